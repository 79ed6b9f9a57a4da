"""Checks samples against the requirements of a network: arrays once, a stream once for each batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet.arrays import check_labels, check_range, match_targets, match_weights
from fastnet.layers.open_shapes import fits
from fastnet.training.advice import advise
from fastnet.training.class_weights import ClassWeights
from fastnet.training.samples import Batch

Shape = tuple[int, ...]


def check_pairs(model: Any, class_weight: ClassWeights | None, batch: Batch) -> tuple[np.ndarray | None, ...]:
    """x, targets and weights of a batch as the network and its loss read them; the network is not built.

    Args:
        model: a compiled `Sequential`.
        class_weight: that of `fit`, or None.
        batch: the arrays.

    Raises:
        ValueError: one of them does not fit the network, its loss or its metrics.
    """
    x, y, sample_weight, _ = batch
    if (x.shape[1:], y.shape[1:]) not in model._trainer.plans.known_shapes:
        x = x if x.shape[1:] == check_shape(model, x.shape) else x[..., None]
    targets = check_targets(model, x.shape, y)
    model.check_data(x)
    return x, targets, _weights(model, x.shape, y, sample_weight, class_weight)


def check_inputs(model: Any, batch: Batch) -> tuple[np.ndarray]:
    """x of a batch as the network reads it; the network is not built.

    Raises:
        ValueError: x does not fit the network.
    """
    x = batch.x
    x = x if x.shape[1:] == check_shape(model, x.shape) else x[..., None]
    model.check_data(x)
    return (x,)


def check_columns(known: tuple[str, ...] | None, received: tuple[str, ...] | None) -> None:
    """Check that a frame has the columns of the one in `fit`, in the same order; arrays have no names.

    Raises:
        ValueError: it has others, or in another order.
    """
    if known is None or received is None or received == known:
        return
    if set(received) == set(known):
        k = next(k for k in range(len(known)) if received[k] != known[k])
        raise ValueError(
            f"x has the columns of fit in another order: column {k} is {received[k]!r} and was {known[k]!r}. Give "
            "x[columns], with the columns as in fit."
        )
    differences = []
    for verb, names in (("misses", set(known) - set(received)), ("adds", set(received) - set(known))):
        if names:
            listed = sorted(names)
            differences.append(f"{verb} {', '.join(map(repr, listed[:3]))}{', ...' if len(listed) > 3 else ''}")
    raise ValueError(f"x must have the columns of fit; it {' and '.join(differences)}.")


def check_shape(model: Any, shape: Shape) -> Shape:
    """The shape of one sample of data of this shape, as the network reads it; the network is not built.

    Data without the last axis are data of one feature where the network takes one, or does not know yet.

    Raises:
        ValueError: the first layer takes another shape.
    """
    if not shape:
        raise ValueError("x must have one row for each sample, received a number.")
    if not model._layers:
        raise ValueError(f"The model {model.name!r} has no layers; add some first.")
    wanted = model.given_input_shape
    if wanted is None:
        return checks.sample_shape(f"The model {model.name!r}: the shape of a sample", shape[1:] or (1,))
    if shape[1:] == wanted:
        return wanted
    if (found := next((s for s in (shape[1:], (*shape[1:], 1)) if fits(s, wanted)), None)) is None:
        if model.takes_any_shape:
            return checks.sample_shape(f"The model {model.name!r}: the shape of a sample", shape[1:])
        raise ValueError(
            f"The model {model.name!r} (first layer {model.layers_to_run[0].name!r}) takes samples of shape {wanted}, "
            f"that is data of shape {('n', *wanted)}; received data of shape {shape}."
            f"{_remedy(shape, wanted)}".replace("'n'", "n")
        )
    return found


def _remedy(shape: Shape, wanted: Shape) -> str:
    """What to do with data of this shape, where samples of another one are wanted; empty where nobody knows."""
    if shape == wanted:
        return f" For one sample give x[None], of shape {(1, *shape)}."
    if len(shape) == len(wanted) + 1 > 2 and shape[-1] == wanted[-1]:
        return f" Input({(*(None for _ in wanted[1:]), wanted[-1])}) takes samples of other lengths too."
    if len(wanted) > 2 and fits((*shape[2:], *shape[1:2]), wanted):
        return " Their channels seem to come first: np.moveaxis(x, 1, -1) puts them last."
    if len(wanted) == 3 and fits((*shape[1:3], *wanted[2:]), wanted):  # images of another number of channels
        if shape[3:] in ((), (1,)):
            return f" np.repeat(x{'' if shape[3:] else '[..., None]'}, {wanted[2]}, axis=-1) repeats their one channel."
        if shape[3:] == (4,) and wanted[2] == 3:
            return " x[..., :3] leaves their transparency out."
    return ""


def check_targets(model: Any, shape: Shape, y: np.ndarray) -> np.ndarray:
    """The targets of data of this shape as the loss reads them."""
    if model.loss is None:
        return _without_loss(model, shape, y)
    loss, known, key = model.loss, model._trainer.plans.known_shapes, (shape[1:], y.shape[1:])
    if key in known and shape[0] == len(y):  # these shapes fitted before: not checked again
        if known[key]:
            try:
                check_labels(y, known[key], loss.name)
            except ValueError as error:
                raise _of_last_layer(model, error) from None
        elif loss.target_range is not None:
            check_range(y, loss.target_range, loss.name)
        return y
    given = y
    sample = check_shape(model, shape)
    predicted = model.sample_output_shape(sample)
    try:
        wanted = loss.target_shape(predicted or (1,), y.shape[1:])
        along = loss.along(predicted or (1,)).shape
        y = loss.squeezed(y, predicted)
        of_rows = along if loss.sparse else predicted or (1,)
        classes = loss.row.classes
        y = match_targets(y, of_rows, shape[0], loss.sparse, loss.name, loss.ignore_class, wanted, classes)
    except ValueError as error:
        raise _of_last_layer(model, error) from None
    if loss.target_range is not None:
        check_range(y, loss.target_range, loss.name)
    if loss.reduction in ("none", None):
        raise ValueError(f"The loss {loss.name!r} has reduction={loss.reduction!r}, which gives no number to train on.")
    are_known = _check_metrics(model, predicted, y)
    advise(model, sample, y, along[-1])
    if y is given and model.built and are_known and loss.ignore_class is None and loss.row.targets != "group":
        known[key] = along[-1] if loss.sparse else 0
    return y


def _without_loss(model: Any, shape: Shape, y: np.ndarray) -> np.ndarray:
    """What stands in for the targets of data of this shape, where penalties alone are trained on.

    Raises:
        ValueError: metrics read targets.
    """
    predicted = model.sample_output_shape(check_shape(model, shape))
    if metrics := [name for name, _, _ in model.metrics_for(predicted)]:
        raise ValueError(f"The model has the metrics {metrics} and no loss, which would say what their targets are.")
    return np.zeros((len(y), 1), "float32")


def _check_metrics(model: Any, predicted: Shape, y: np.ndarray) -> bool:
    """Check that the metrics take predictions of this shape, and the same targets as the loss.

    Returns:
        Whether other targets of the same shape need not be checked.
    """
    loss, are_known = model.loss, True
    for _, metric, _ in model.metrics_for(predicted):
        if metric.in_python:
            continue
        metric.size(metric.along(predicted or (1,)).shape)
        if loss.row.outputs > 1:
            raise ValueError(
                f"The metric {metric.name!r} reads targets of the predictions' shape, and the loss {loss.name!r} "
                f"{loss.row.outputs} predictions for each target; leave the metric out, or write it in Python."
            )
        if metric.sparse is not None and metric.sparse != loss.sparse:
            kinds = {True: "class indices", False: "rows of the predictions' shape"}
            raise ValueError(
                f"The metric {metric.name!r} reads {kinds[metric.sparse]} as targets, but the loss {loss.name!r} reads "
                f"{kinds[loss.sparse]}; use a metric of the same kind, or metrics=['accuracy']."
            )
        if metric.sparse and metric.along(predicted).order != loss.along(predicted).order:
            raise ValueError(
                f"The metric {metric.name!r} has axis={metric.axis}, and the loss {loss.name!r} axis={loss.axis}: the "
                f"classes of the targets are those of one axis of predictions of shape {('n', *predicted)}. Give both "
                "the same axis, or leave the metric out.".replace("'n'", "n")
            )
        metric.check_targets(y)
        are_known = are_known and not metric.checks_targets
    return are_known


def _of_last_layer(model: Any, error: ValueError) -> ValueError:
    """An error about the shape of predictions, which names the layer that gives them."""
    last = model.layers_to_run[-1]
    return ValueError(f"{error} Predictions are what layer {last.name!r} ({type(last).__name__}) gives.")


def _weights(
    model: Any, shape: Shape, y: np.ndarray, sample_weight: Any, class_weight: ClassWeights | None
) -> np.ndarray | None:
    """The weight of each row, or of each element, as the loss reads it; None if all count the same.

    Raises:
        ValueError: both kinds of weights are given, or the weights do not fit.
    """
    if sample_weight is None and class_weight is None:
        return None
    if sample_weight is not None and class_weight is not None:
        raise ValueError("sample_weight and class_weight cannot be given both; multiply the sample weights yourself.")
    predicted = model.sample_output_shape(check_shape(model, shape)) or (1,)
    loss, along = model.loss_of_steps, model.loss_of_steps.along(predicted)
    if class_weight is not None:
        sample_weight = class_weight.of_rows(loss, y, along.shape[-1])
    if np.ndim(sample_weight) <= len(along.shape) or along.shape[-1] == 1:
        return match_weights(sample_weight, shape[0], along.shape)
    weighted = [each for _, each, is_weighted in model.metrics_for(predicted) if is_weighted and not each.in_python]
    row_wise = [each.name for each in (loss, *weighted) if not each.weighs_elements or loss.moves(predicted)]
    return match_weights(sample_weight, shape[0], along.shape, row_wise[0] if row_wise else "")
