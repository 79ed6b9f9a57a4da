"""Warnings about models that train without an error, but surely not as they were meant; one for each compiled model."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fastnet.layers import Dense, Softmax, spatial
from fastnet.layers.images import ImageLayer
from fastnet.layers.tree import all_parts
from fastnet.layers.undo import on_trial
from fastnet.metrics import BinaryIoU, IoU
from fastnet.training.samples import Samples, warn

#: How every advice begins, by which it can be filtered.
BEGINNING = "Probably a mistake: "
_REGRESSION = frozenset(
    ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Huber",
     "LogCosh")
)  # fmt: skip
#: Losses of probabilities without the argument from_logits.
_OF_PROBABILITIES = frozenset(("KLDivergence", "CategoricalGeneralizedCrossEntropy"))
_ACCURACIES = frozenset(
    ("accuracy", "acc", "binaryaccuracy", "binary_accuracy", "categoricalaccuracy", "categorical_accuracy")
)
_LARGE = 10.0  # inputs above are unscaled
_LOOKED_AT = 1000  # rows whose values are looked at


def advise(model: Any, shape: tuple[int, ...], y: np.ndarray, units: int) -> None:
    """Warn once where data, output, loss, targets and metrics do not fit together.

    Args:
        model: compiled; it may not be built yet.
        shape: of a sample.
        y: targets (n, ...).
        units: of the last layer.
    """
    trainer = model._trainer
    if trainer.is_advised:
        return
    trainer.is_advised = True
    if (text := _found(model, shape, y, units)) is not None:
        warn(BEGINNING + text)


def _found(model: Any, shape: tuple[int, ...], y: np.ndarray, units: int) -> str | None:
    if (hint := _channels_hint(model, shape)) is not None:
        return hint
    loss, layer = model.loss, model.layers_to_run[-1]
    where, activation = f"layer {layer.name!r}", _activation(layer)
    from_logits = getattr(loss, "from_logits", None)
    if activation == "softmax" and units == 1:
        return f"softmax of the one unit of {where} is always 1. Use activation='sigmoid', or one unit for each class."
    if from_logits and activation in ("sigmoid", "softmax"):
        return (
            f"the loss {loss.name!r} has from_logits=True and applies {activation} itself, but {where} has applied it. "
            "Leave out one of the two."
        )
    takes_probabilities = from_logits is False or type(loss).__name__ in _OF_PROBABILITIES
    if takes_probabilities and activation == "linear" and getattr(type(layer), "forward", None) is Dense.forward:
        wanted = "sigmoid" if "binary" in type(loss).__name__.lower() else "softmax"
        return (
            f"the loss {loss.name!r} takes probabilities, but {where} has no activation. Give it "
            f"activation={wanted!r}{'' if from_logits is None else ', or the loss from_logits=True'}."
        )
    if type(loss).__name__ in _REGRESSION and any(map(_counts_classes, model.compiled_metrics.given[0])):
        values = y[:_LOOKED_AT]
        if not ((values == 0) | (values == 1)).all():
            return (
                f"accuracy counts classes that are met, but the loss {loss.name!r} and these targets are of a "
                "regression. Use metrics=['mae'], or a loss of classes."
            )
    if activation in ("sigmoid", "softmax") and (metric := _cutting(model)) is not None:
        remedy = "sparse_y_pred=False" if activation == "softmax" else "metrics.BinaryIoU(threshold=0.5)"
        return (
            f"the metric {metric.name!r} reads predictions as classes, without their fractions, but {where} gives "
            f"probabilities: they count as class 0. Use {remedy}."
        )
    return None


def _channels_hint(model: Any, shape: tuple[int, ...]) -> str | None:
    """The advice for data whose channels seem to come first, where the model's first layer of images reads them."""
    if not (hint := spatial.channels_hint(shape)):
        return None
    with on_trial(all_parts(model)):  # the data may be the first ones, which will build it
        first = next((use for use in model.uses(shape) if isinstance(use.layer, ImageLayer)), None)
    if first is None or first.input_shape != shape:
        return None
    return f"layer {first.layer.name!r} gets samples of shape {shape}.{hint}"


def _cutting(model: Any) -> IoU | None:
    """A metric that reads predictions as classes."""
    for metric in itertools.chain(*model.compiled_metrics.given):
        if isinstance(metric, IoU) and metric.sparse_y_pred and not isinstance(metric, BinaryIoU):
            return metric
    return None


def _counts_classes(metric: Any) -> bool:
    """Whether a metric, as it was given to `compile`, is an accuracy."""
    return (metric if isinstance(metric, str) else type(metric).__name__).lower() in _ACCURACIES


def _activation(layer: Any) -> str | None:
    """The name of the activation that a layer applies last, if it is fastnet's."""
    if isinstance(layer, Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    if getattr(activation, "function", None) is not None:  # a user's own
        return None
    return getattr(activation, "name", None) or getattr(activation, "__name__", None)


def scaling(x: Any) -> str | None:
    """How to scale data with large values; None if they are small.

    Args:
        x: (n, ...), an array or `SparseRows`.
    """
    values = getattr(x, "values", x)[:_LOOKED_AT]
    largest = float(np.abs(values.astype(np.float64)).max(initial=0.0))
    if not _LARGE < largest < np.inf:
        return None
    return f"x holds values up to {largest:g}: scale them, by layers.Rescaling(1 / {largest:g}) or layers.Normalization"


def advise_on_losses(samples: Samples, losses: list[float]) -> bool:
    """Warn, after an epoch, where the loss has risen since the first one, and the data are not scaled.

    The first epoch is not judged: the loss of its first steps is that of a few rows, from which no rise follows. A
    training that diverges so fast ends there with a `NonFiniteError`, which says the same.

    Args:
        samples: the data.
        losses: of the epochs so far.

    Returns:
        Whether it has warned.
    """
    if not (len(losses) > 1 and losses[-1] > 2 * losses[0] > 0):
        return False
    if (remedy := scaling(samples.sources[0].array)) is None:
        return False
    warn(f"{BEGINNING}the loss has risen from {losses[0]:.3g} to {losses[-1]:.3g}, and {remedy}, or lower the rate.")
    return True
