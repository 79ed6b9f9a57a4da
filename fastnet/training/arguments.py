"""Checks of what the user gave `fit`, `evaluate` and `predict`; nothing is computed and nothing built before them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from fastnet import checks
from fastnet.arrays import as_array, check_labels, check_range, match_targets, match_weights
from fastnet.layers.base import all_parts
from fastnet.layers.undo import Before
from fastnet.training.samples import is_stream

BATCH = 32
WIDE_BATCH = 256  # rows at a time where nothing depends on the batch and none was given: evaluate, predict


def must_be_compiled(model: Any, what: str) -> None:
    """Raise unless there is an optimizer and a loss."""
    if model.optimizer is None or model.loss is None:
        missing = "compile was not called" if model.optimizer is None else "compile was given no loss"
        raise RuntimeError(
            f"{what} needs an optimizer and a loss, and {missing}: call model.compile(optimizer=..., loss=...) first."
        )


def count(value: Any, argument: str, least: int) -> int:
    """A whole number of at least ``least``."""
    return checks.whole(argument, value, least)


def count_or_none(value: Any, argument: str) -> int | None:
    """A whole number of at least 1, or None."""
    return None if value is None else count(value, argument, 1)


def batch_rows(batch_size: Any, rows: int, default: int, steps: int | None = None) -> int:
    """Rows in a step; where only the number of steps is known, the rows are shared out over them, as in Keras."""
    if batch_size is None:
        batch = default if steps is None else -(-rows // steps)
    else:
        batch = count(batch_size, "batch_size", 1)
    return max(1, min(batch, rows))


def check_seconds(value: Any, what: str) -> None:
    """A duration is a number that is not negative, nor infinite."""
    checks.number(f"{what}: seconds", value, checks.NOT_NEGATIVE)


def validation_epochs(freq: Any) -> int | Collection[int]:
    """``validation_freq``: every so many epochs, or the numbers of the epochs, counted from 1."""
    if isinstance(freq, (list, tuple, set, frozenset, range, np.ndarray)):
        return frozenset(count(epoch, "each epoch in validation_freq", 1) for epoch in freq)
    return count(freq, "validation_freq", 1)


def validates(freq: int | Collection[int], epoch: int) -> bool:
    """Whether a validation follows the epoch of this number, counted from 0."""
    return (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq


def check_shuffle(shuffle: Any) -> None:
    """True, False or "batch"."""
    if not isinstance(shuffle, (bool, np.bool_)) and shuffle != "batch":
        raise ValueError(
            f"shuffle must be True, False or 'batch' (each batch's rows among themselves), received {shuffle!r}."
        )


def unpacked(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights where they came as one tuple of arrays."""
    if y is None and isinstance(x, tuple) and len(x) in (2, 3) and not is_stream(x):
        x, y, *weights = x
        sample_weight = weights[0] if weights else sample_weight
    return x, y, sample_weight


def pair(x: Any, y: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """x and y as arrays with the same number of rows, at least one."""
    if x is None or y is None:
        raise ValueError(f"{what} needs x and y, received {'no x' if x is None else 'no y'}.")
    x, y = as_array(_of_one_input(x, y), "x"), as_array(y, "y")
    for name, array in (("x", x), ("y", y)):
        if array.ndim == 0:
            raise ValueError(f"{name} must have one row for each sample, received a number.")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same number of samples; received {len(x)} and {len(y)}.")
    if len(x) == 0:
        raise ValueError(f"{what} needs at least one sample; x has the shape {x.shape}.")
    return x, y


def _of_one_input(x: Any, y: Any) -> Any:
    """The data where they stand, as in Keras, in a list or a dictionary of the inputs, of which there is one."""
    if isinstance(x, dict):
        if len(x) != 1:
            raise ValueError(f"x must be the data of one input; received a dictionary of {len(x)}: {list(x)}.")
        return next(iter(x.values()))
    if isinstance(x, list) and len(x) == 1 and isinstance(x[0], np.ndarray) and x[0].ndim:
        return x[0] if len(x[0]) == len(y) != 1 else x
    return x


def split_place(rows: int, split: Any) -> int:
    """The row at which ``validation_split`` divides the data; ``rows`` where it is 0."""
    split = checks.number("validation_split", split, checks.UNIT)
    if split == 0:
        return rows
    at = int(np.floor(rows * (1 - split)))
    if at == 0 or at == rows:
        raise ValueError(
            f"validation_split={split} of {rows} samples leaves {at} to train on and {rows - at} to validate on; "
            "both must be at least 1."
        )
    return at


def _of_last_layer(model: Any, error: ValueError) -> ValueError:
    """What does not fit predictions names the layer that gives them."""
    last = model.layers_to_run[-1]
    return ValueError(f"{error} Predictions are what layer {last.name!r} ({type(last).__name__}) gives.")


def check_targets(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The targets as the loss reads them; builds nothing."""
    loss, known, kind = model.loss, model._trainer.fits, (x.shape[1:], y.shape[1:])
    if kind in known and len(x) == len(y):  # shapes that fitted before: a step need not wait for all that again
        if known[kind]:
            try:
                check_labels(y, known[kind], loss.name)
            except ValueError as error:
                raise _of_last_layer(model, error) from None
        elif loss.target_range is not None:
            check_range(y, loss.target_range, loss.name)
        return y
    given = y
    shape = model.sample_output_shape(check_samples(model, x))
    try:
        y = match_targets(y, shape or (1,), len(x), loss.sparse, loss.name, loss.ignore_class)
    except ValueError as error:
        raise _of_last_layer(model, error) from None
    if loss.target_range is not None:
        check_range(y, loss.target_range, loss.name)
    if loss.reduction in ("none", None):
        raise ValueError(f"The loss {loss.name!r} has reduction={loss.reduction!r}, which gives no number to train on.")
    for _, metric, _ in model.metrics_for(shape):
        if metric.in_python:
            continue
        metric.size(shape or (1,))
        if metric.sparse is not None and metric.sparse != loss.sparse:
            kinds = {True: "class indices", False: "rows of the predictions' shape"}
            raise ValueError(
                f"The metric {metric.name!r} reads {kinds[metric.sparse]} as targets, but the loss {loss.name!r} reads "
                f"{kinds[loss.sparse]}; use a metric of the same kind, or metrics=['accuracy']."
            )
    if y is given and model.built and loss.ignore_class is None:
        known[kind] = shape[-1] if loss.sparse else 0
    return y


def row_weights(model: Any, x: np.ndarray, y: np.ndarray, sample_weight: Any, class_weight: Any) -> np.ndarray | None:
    """What each row counts, as the loss reads it; None where all count the same.

    Raises:
        ValueError: both kinds of weights, or some that do not fit.
    """
    if sample_weight is None and class_weight is None:
        return None
    if sample_weight is not None and class_weight is not None:
        raise ValueError("sample_weight and class_weight cannot be given both; multiply the sample weights yourself.")
    if class_weight is not None:
        sample_weight = class_weights(y, class_weight, model.loss.sparse)
    shape = model.sample_output_shape(check_samples(model, x))
    return match_weights(sample_weight, len(x), shape[:-1])


def class_weights(y: np.ndarray, class_weight: Any, sparse: bool) -> np.ndarray:
    """The weight of each row's class; 1 for a class that is not named.

    Its class is its label where the loss reads labels (``sparse``) or there is one target, else where its largest
    target stands.

    Raises:
        ValueError: no dictionary of finite weights by class, or targets that are not one class for each row.
    """
    if not isinstance(class_weight, dict):
        raise ValueError(f"class_weight must be a dictionary {{class: weight}}, received {class_weight!r}.")
    for label, weight in class_weight.items():
        if not checks.is_number(label) or not (checks.is_whole(label) or float(label).is_integer()):
            raise ValueError(f"class_weight must have whole numbers as classes, received {label!r}.")
        if not checks.is_number(weight) or not np.isfinite(weight):
            raise ValueError(f"class_weight must have finite weights, received {weight!r} for class {label}.")
    labels = y
    if y.ndim > 1:
        labels = y[..., 0] if y.shape[-1] == 1 else y if sparse else y.argmax(axis=-1)
    if labels.ndim != 1:
        raise ValueError(
            f"class_weight needs one class for each row, received targets of shape {y.shape}; give sample_weight."
        )
    found, place = np.unique(np.round(labels).astype(np.int64), return_inverse=True)
    return np.array([class_weight.get(int(label), 1.0) for label in found], np.float64)[place.reshape(-1)]


def build(model: Any, shape: tuple[int, ...]) -> None:
    """Build the model for samples of this shape, once; until there is a plan, the trainer can take it back."""
    if not model.built:
        before = Before([*all_parts(model), *([] if model.optimizer is None else [model.optimizer])])
        model.build((None, *shape))
        model._trainer.before_build = before


def check_values(model: Any, x: np.ndarray) -> None:
    """Let the layers that read the data look at them: the first one, and those behind layers that only move numbers."""
    for layer in model.layers_to_run:
        layer.check_data(x)
        if not layer.keeps_values:
            return


def check_samples(model: Any, x: np.ndarray) -> tuple[int, ...]:
    """The shape of one sample, which is the one the first layer wants; builds nothing."""
    if x.ndim == 0:
        raise ValueError("x must have one row for each sample, received a number.")
    if not model._layers:
        raise ValueError(f"The model {model.name!r} has no layers; add some first.")
    wanted = model.given_input_shape
    if wanted is None:
        return checks.sample_shape(f"The model {model.name!r}: the shape of a sample", x.shape[1:])
    if x.shape[1:] != wanted:
        hint = f" For one sample give x[None], of shape {(1, *x.shape)}." if x.shape == wanted else ""
        raise ValueError(
            f"The model {model.name!r} (first layer {model.layers_to_run[0].name!r}) takes samples of shape {wanted}, "
            f"that is data of shape {('n', *wanted)}; received data of shape {x.shape}.{hint}".replace("'n'", "n")
        )
    return wanted
