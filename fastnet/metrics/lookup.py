"""Metrics by name, and as plain data."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from fastnet import losses
from fastnet._kernels import registry
from fastnet.configs import snake_case
from fastnet.metrics import confusion, functions, means, scores
from fastnet.metrics import losses as loss_metrics
from fastnet.metrics.base import Metric

_OWN = [
    cls
    for module in (means, loss_metrics, confusion, scores)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Metric) and cls.__module__ == module.__name__
]
_HIDDEN = (means.LossMetric, means.MeanMetricWrapper, means.RowMetric, confusion.Counts)  # need arguments
CLASSES: dict[str, type[Metric]] = {
    name: cls
    for cls in _OWN
    if cls not in _HIDDEN and not cls.__name__.startswith("_")
    for name in (cls.__name__, snake_case(re.sub(r"(?<=\d)(?=[A-Z])", "_", cls.__name__)))
}
CLASSES.update(
    {alias: CLASSES[row.name] for alias, row in registry.losses.items() if alias not in CLASSES and row.name in CLASSES}
)
CLASSES |= {"log_cosh": loss_metrics.LogCoshError, "logcosh": loss_metrics.LogCoshError}
_FUNCTIONS = {f: name for name, f in vars(functions).items() if inspect.isfunction(f)}
_ACCURACY = ("accuracy", "acc")


def get(identifier: Any, y_shape: tuple[int, ...] | None = None, sparse: bool = False) -> Metric:
    """The metric of a name, a class, a description, an object, a loss or a function of two numbers.

    Args:
        identifier: what to look up. "accuracy" and "acc" are binary, sparse or categorical accuracy, whichever the
            predictions and targets call for, as in Keras. A metric got by a name has that name.
        y_shape: shape of one sample's prediction, needed for "accuracy".
        sparse: whether the targets are class indices.

    Raises:
        ValueError: an unknown name, which offers the nearest known ones; a function that cannot become a kernel.
    """
    if isinstance(identifier, str):
        return _named(identifier, y_shape, sparse)
    if isinstance(identifier, dict):
        identifier = deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, Metric):
        return identifier
    if inspect.isfunction(identifier) and identifier in _FUNCTIONS:
        return CLASSES[_FUNCTIONS[identifier]]()
    return means.MeanMetricWrapper(identifier)


def _named(name: str, y_shape: tuple[int, ...] | None, sparse: bool) -> Metric:
    from fastnet.saving import serialization

    if name.lower() in _ACCURACY:
        if y_shape is None or (y_shape[-1:] in ((), (1,))):
            return means.BinaryAccuracy(name)
        return means.SparseCategoricalAccuracy(name) if sparse else means.CategoricalAccuracy(name)
    found = serialization.get_registered_object(name, module_objects=CLASSES)
    if found is None:
        try:
            found = losses.get(name)
        except ValueError:
            known = [*_ACCURACY, *CLASSES, *registry.losses]
            raise ValueError(registry.unknown("metric", name, known)) from None
    metric = get(found, y_shape, sparse)
    metric.name = name
    return metric


def named(metrics: Sequence[Metric], weighted: Sequence[Metric]) -> list[tuple[str, Metric, bool]]:
    """(key in the logs, metric, whether it is weighted); a name that is taken gets a number or "weighted_", as in
    Keras."""
    out: list[tuple[str, Metric, bool]] = []
    taken: dict[str, int] = {}
    for metric, heavy in [*((m, False) for m in metrics), *((m, True) for m in weighted)]:
        name = f"weighted_{metric.name}" if heavy and metric.name in taken else metric.name
        times = taken[name] = taken.get(name, 0) + 1
        out.append((name if times == 1 else f"{name}_{times - 1}", metric, heavy))
    return out


def serialize(metric: Any) -> Any:
    """A description of a metric as plain data; a name or None stays.

    Args:
        metric: a `Metric`, or a function.
    """
    from fastnet.saving import serialization

    return serialization.serialize_keras_object(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Metric:
    """The metric that `serialize` described.

    Args:
        config: a description or a name.
        custom_objects: name → class or function of yours that it mentions.

    Raises:
        ValueError: nothing of that name is known.
    """
    from fastnet.saving import serialization

    with serialization.custom_object_scope(custom_objects):
        return get(serialization.deserialize_keras_object(config))
