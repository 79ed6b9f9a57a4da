"""Metrics by name, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnet import losses
from fastnet._kernels import registry
from fastnet._kernels.errors import RuleError
from fastnet.descriptions import Family
from fastnet.metrics import (
    confusion,
    intersection,
    loss_metrics,
    means,
    metric_functions,
    operating_points,
    scores,
    values,
)
from fastnet.metrics.metric import Metric

# These need arguments.
_HIDDEN = (values.ArrayMetric, means.LossMetric, means.MeanMetricWrapper, means.RowMetric, confusion.Counts)
family = Family(
    "a metric",
    Metric,
    [
        cls
        for module in (means, values, loss_metrics, confusion, operating_points, intersection, scores)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Metric) and cls.__module__ == module.__name__
        if cls not in _HIDDEN and not cls.__name__.startswith("_")
    ],
    table=registry.losses,
    twins=vars(metric_functions),
    wanted="a name, one of fastnet.metrics, a subclass of fastnet.metrics.Metric, a loss, or a function "
    "f(y_true, y_pred) of two numbers or of arrays",
    acc=means.Accuracy,  # but see `get`
    log_cosh=loss_metrics.LogCoshError,
    logcosh=loss_metrics.LogCoshError,
)
for _name, _loss in losses.loss_names.family.names.items():
    family.names.setdefault(_name, _loss)
_ACCURACY = ("accuracy", "acc")


def get(identifier: Any, y_shape: tuple[int, ...] | None = None, sparse: bool = False) -> Any:
    """The metric of a name, a class, a description, an object, a loss, a function of two numbers or one of arrays.

    Args:
        identifier: what to look up; None for None. "accuracy" and "acc" are binary, sparse or categorical accuracy,
            depending on predictions and targets, as in Keras. A metric that is looked up by a name has that name.
        y_shape: shape of one sample's prediction, needed for "accuracy".
        sparse: whether the targets are class indices.

    Raises:
        ValueError: the name is unknown (the error offers the nearest ones), or the object is not a metric.

    Example:
        >>> metrics.get("mse")([[0.0, 1.0]], [[0.5, 1.0]])
        0.125
    """
    if isinstance(identifier, str) and identifier.lower() in _ACCURACY:
        if y_shape is None or (y_shape[-1:] in ((), (1,))):
            return means.BinaryAccuracy(identifier)
        return means.SparseCategoricalAccuracy(identifier) if sparse else means.CategoricalAccuracy(identifier)
    if identifier is None:
        return None
    found = family.look_up(identifier)
    is_metric = isinstance(found, Metric) or (isinstance(found, type) and issubclass(found, Metric))
    metric = family.create(found) if is_metric else _of_function(found)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def listed(given: Any, argument: str) -> list[Any]:
    """The metrics of a model's one output, from an argument of ``compile``: a list; classes become objects.

    Raises:
        ValueError: an item is not a metric, or there are metrics for several outputs.
    """
    if given == {}:
        return []
    if isinstance(given, dict) or (
        isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], (list, tuple))
    ):
        given = losses.of_one_output(given, argument)
    given = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
    given = [get(metric) if isinstance(metric, type) else metric for metric in given]
    for metric in given:
        if get(metric) is None:
            raise ValueError(f"compile: a metric in {argument} is {family.wanted}; received None.")
    return given


def _of_function(found: Any) -> Metric:
    """A metric of a formula of two numbers, a loss or its row, else of a function of arrays."""
    if not callable(found) and not isinstance(found, registry.Loss):
        return family.create(found)  # raises the error that lists the possible metrics
    try:
        return means.MeanMetricWrapper(found)
    except RuleError as error:
        metric = values.ArrayMetric(found)
        metric._refused = f"As a formula of two numbers it was refused: {error}"
        return metric


def named(metrics: Sequence[Metric], weighted: Sequence[Metric]) -> list[tuple[str, Metric, bool]]:
    """(key in the logs, metric, whether it is weighted). As in Keras, a name that is taken gets a number or the prefix
    "weighted_"."""
    out: list[tuple[str, Metric, bool]] = []
    taken: dict[str, int] = {}
    for metric, heavy in [*((m, False) for m in metrics), *((m, True) for m in weighted)]:
        name = f"weighted_{metric.name}" if heavy and metric.name in taken else metric.name
        times = taken[name] = taken.get(name, 0) + 1
        out.append((name if times == 1 else f"{name}_{times - 1}", metric, heavy))
    return out


def serialize(metric: Any) -> Any:
    """A description of a metric as plain data; a name or None is returned.

    Args:
        metric: a `Metric`, or a function.

    Example:
        >>> metrics.serialize(metrics.Mean())["class_name"]
        'Mean'
    """
    return family.serialize(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Metric:
    """The metric that `serialize` described.

    Args:
        config: a description or a name.
        custom_objects: your classes and functions in the description, by name.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> metrics.deserialize(metrics.serialize(metrics.Mean("loss"))).name
        'loss'
    """
    return family.deserialize(config, custom_objects, get)
