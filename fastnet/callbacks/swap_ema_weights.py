"""Averaged weights while a model is evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the moving average of the weights, which an optimizer with ``use_ema=True`` keeps.

    The averages and the weights are swapped before an evaluation (including the validation within `fit`) or a
    prediction, and swapped back after it, even if it fails.

    Args:
        swap_on_epoch: whether to swap them also from the end of an epoch to the beginning of the next: later callbacks
            in the list, such as `ModelCheckpoint`, then see the averages. After the last epoch of `fit` the model keeps
            the averages; if training stops before that, it has the weights, as in Keras.

    Raises:
        ValueError: ``swap_on_epoch`` is neither True nor False; at the first swap, the optimizer lacks
            ``use_ema=True``.

    Example:
        >>> import fastnet
        >>> callback = fastnet.callbacks.SwapEMAWeights(swap_on_epoch=True)
    """

    def __init__(self, swap_on_epoch: bool = False):
        self.swap_on_epoch = checks.flag("SwapEMAWeights: swap_on_epoch", swap_on_epoch)
        self._reset()

    def _reset(self) -> None:
        self._swapped: int | None = None  # the optimizer's iteration at which they were swapped
        self._weights: list[np.ndarray] = []  # after the last epoch, when weights and averages hold the averages

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch and self._swapped is None:
            self._swap(True)
            if epoch == (self.params or {})["epochs"] - 1:
                for weight, average in self._pairs():  # the end of fit assigns averages to weights
                    self._weights.append(average.numpy())
                    average.assign(weight.current)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def _swap(self, wanted: bool) -> None:
        if (self._swapped is not None) != wanted:
            for weight, average in self._pairs():
                value = weight.numpy()
                weight.assign(average.current)
                average.assign(value)
            self._swapped = self.model.optimizer.iterations if wanted else None

    def close(self) -> None:
        # At another iteration the weights are those of a snapshot before the swap.
        if self._swapped is not None and self._swapped == self.model.optimizer.iterations:
            for (_, average), value in zip(self._pairs(), self._weights):
                average.assign(value)
            self._swap(False)
        self._reset()

    def _pairs(self) -> list[tuple[Any, Any]]:
        """(weight, its moving average) of all trained weights."""
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.use_ema:
            raise ValueError(
                f"SwapEMAWeights needs an optimizer with use_ema=True, this model has {optimizer!r}: make the "
                "optimizer with use_ema=True."
            )
        optimizer.build(self.model.trainable_weights)
        return [(v, average) for v in self.model.trainable_weights if (average := optimizer.average(v)) is not None]

    def get_state(self) -> dict[str, Any]:
        return {"swapped": self._swapped}

    def set_state(self, state: dict[str, Any]) -> None:
        self._swapped = state["swapped"]
