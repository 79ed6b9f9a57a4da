"""Averaged weights where a model is looked at."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.callbacks.base import Callback, Logs


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the moving average of the weights, which an optimizer with ``use_ema=True`` keeps.

    The averages and the weights change places before an evaluation, the validation within `fit` too, or a prediction,
    and back after it.

    Args:
        swap_on_epoch: whether they are swapped at the end of an epoch too, until the next begins: what comes after this
            callback in the list, `ModelCheckpoint` say, sees the averages. After the last epoch the model keeps them.

    Raises:
        ValueError: ``swap_on_epoch`` is neither True nor False; at the first swap, an optimizer without
            ``use_ema=True``.

    Example:
        >>> import fastnet
        >>> callback = fastnet.callbacks.SwapEMAWeights(swap_on_epoch=True)
    """

    def __init__(self, swap_on_epoch: bool = False):
        self.swap_on_epoch = checks.flag("SwapEMAWeights: swap_on_epoch", swap_on_epoch)
        self._swapped = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch and not self._swapped:
            self._swap(True)
            if epoch == (self.params or {})["epochs"] - 1:
                for weight, average in self._pairs():  # so that the end of fit, which takes the averages, takes these
                    average.assign(weight.array)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def _swap(self, wanted: bool) -> None:
        if self._swapped != wanted:
            for weight, average in self._pairs():
                value = weight.numpy()
                weight.assign(average.array)
                average.assign(value)
            self._swapped = wanted

    def _pairs(self) -> list[tuple[Any, Any]]:
        """(weight, its moving average) of all that is trained."""
        optimizer = self.model.optimizer
        if not optimizer.use_ema:
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
