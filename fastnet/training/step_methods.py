"""`train_step` and `test_step` of a `Sequential`, which a subclass may wrap."""

from __future__ import annotations

from typing import Any

from fastnet import hooks
from fastnet.tracebacks import trimmed
from fastnet.training import loop, own_steps


class StepMethods:
    """The methods that make one step, as fit and evaluate make it."""

    _own_steps: frozenset[str] = frozenset()  # those that the class itself defines

    def __init_subclass__(cls, **more: Any):
        super().__init_subclass__(**more)
        cls._own_steps = frozenset(name for name in hooks.AT_COMPILE if hooks.overrides(cls, name))

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of training on a batch; the logs so far.

        A subclass's method may look at the batch and change the logs. `fit` and `train_on_batch` call it for each
        batch, after `on_train_batch_begin`. It must give the data on to this method as they are, once. Logs with other
        keys than the metrics' are those of the epoch as the last batch leaves them, as in Keras.

        Args:
            data: (x, y) or (x, y, sample_weight).

        Raises:
            ValueError: in `fit`, other data than those of the batch.

        Example:
            >>> class Counting(fastnet.Sequential):
            ...     def train_step(self, data):
            ...         logs = super().train_step(data)
            ...         return {**logs, "rows": len(data[0])}
            >>> model = Counting([layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> model.fit(np.ones((5, 2)), np.ones(5), batch_size=4, verbose=0).history["rows"]
            [1]
        """
        logs = own_steps.made_by_sequential(data)
        if logs is None:  # called by itself
            x, y, sample_weight = (*data, None, None)[:3]
            with trimmed:
                logs = loop.train_on_batch(self, x, y, sample_weight, own=False)
        return logs

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of an evaluation, as `train_step` is one of training.

        Args:
            data: (x, y) or (x, y, sample_weight).

        Raises:
            ValueError: in `evaluate`, other data than those of the batch.

        Example:
            >>> model = fastnet.Sequential([layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> model.test_step((np.ones((5, 2)), np.ones(5)))
            {'loss': 1.0}
        """
        logs = own_steps.made_by_sequential(data)
        if logs is None:
            x, y, sample_weight = (*data, None, None)[:3]
            with trimmed:
                logs = loop.evaluate(self, x, y, None, 0, sample_weight, None, None, "test_step", own=False)
        return logs
