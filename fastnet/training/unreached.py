"""The warnings, once each, for what a training leaves as it is since no gradient reaches it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastnet.checks import Met, warn
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.losses.function_rows import reads_predictions

_named = Met()  # losses and networks


def warn_of_loss(loss: Any, plan: Plan, y_true: View, y_pred: View) -> None:
    """Warn of a loss that does not depend on the predictions, where layers add none of their own."""
    if not plan.penalized and loss not in _named and not reads_predictions(loss.row, y_true.shape, y_pred.shape):
        _named.add(loss)
        warn(
            f"The loss {loss.name!r}: no gradient reaches y_pred, so it trains no weight. Its formula does not "
            "use y_pred, or stops the gradient, as comparisons, rounding, argmax and ops.stop_gradient do."
        )


def warn_of_weights(network: Any, plan: Plan, wanted: Iterable[Variable]) -> None:
    """Warn of a network's trained weights between which and the loss something stops the gradient."""
    stopped = plan.tape.stopped - plan.tape.reached
    missing = [v for v in wanted if v in stopped and v.regularizer is None]
    if missing and network not in _named:
        _named.add(network)
        names = ", ".join(repr(v.path) for v in missing)
        warn(
            f"No gradient reaches the weights {names}: a layer behind them stops it, as comparisons, rounding, argmax "
            "and ops.stop_gradient do. Set trainable=False where this is meant."
        )
