"""The losses that Keras has as metrics too: the mean of the loss of each row, whatever the reduction of the loss is."""

from __future__ import annotations

import inspect
from typing import Any

from fastnet import losses
from fastnet._kernels import registry
from fastnet.losses import plain_losses
from fastnet.metrics.means import LossMetric
from fastnet.settable import init_of


class LogCoshError(LossMetric):
    """mean(log cosh(y_pred - y_true)), averaged; see `fastnet.losses.LogCosh`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> round(metrics.LogCoshError()([[0.0, 1.0]], [[1.0, 1.0]]), 4)
        0.2169
    """

    def __init__(self, name: str = "logcosh", dtype: Any = None):
        super().__init__(losses.LogCosh(), name, dtype)


class BinaryCrossentropy(LossMetric):
    """-mean(t log p + (1 - t) log(1 - p)), averaged; see `fastnet.losses.BinaryCrossentropy`.

    Args:
        name, dtype: as for every `Metric`.
        from_logits, label_smoothing: as for the loss.

    Raises:
        ValueError: label_smoothing outside [0, 1].

    Example:
        >>> round(metrics.BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name, dtype)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing


class CategoricalCrossentropy(LossMetric):
    """-sum(t log p), averaged; see `fastnet.losses.CategoricalCrossentropy`.

    Args:
        name, dtype: as for every `Metric`.
        from_logits, label_smoothing: as for the loss.
        axis: of the classes; the batch is axis 0.

    Raises:
        ValueError: label_smoothing outside [0, 1], or predictions lack the axis.

    Example:
        >>> round(metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.75, 0.25]]), 4)
        1.3863
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing, axis), name, dtype)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing


class SparseCategoricalCrossentropy(LossMetric):
    """-log p[label], averaged; see `fastnet.losses.SparseCategoricalCrossentropy`.

    As in Keras, rows of the ignored class count as 0 in a mean without weights, and not at all in one with weights.

    Args:
        name, dtype: as for every `Metric`.
        from_logits, ignore_class: as for the loss.
        axis: of the classes; the batch is axis 0.

    Raises:
        ValueError: ignore_class is not an integer, or predictions lack the axis.

    Example:
        >>> round(metrics.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]]), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis), name, dtype)
        self.from_logits, self.ignore_class = from_logits, ignore_class


def _class(row: registry.Loss) -> Any:
    """The metric of a loss that is a row of the registry and no more."""
    formula = row.formula.partition("\n\nArgs:\n")[0]
    summary = f"The mean over all rows of `fastnet.losses.{row.public}`: {formula}"
    more = "    name, dtype: as for every `Metric`."
    example = f">>> round(metrics.{row.public}()({{targets}}, {{predictions}}), 4)\n{{loss}}"
    document = plain_losses.described(row, summary, more, example)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = [inspect.Parameter(name, kind, default=value) for name, value in (("name", row.name), ("dtype", None))]

    def start(metric: LossMetric, given: dict[str, Any]) -> None:
        name, dtype = given.pop("name"), given.pop("dtype")
        loss = plain_losses.CLASSES[row.public](**given)
        LossMetric.__init__(metric, loss, name, dtype)
        vars(metric).update({argument: getattr(loss, argument) for argument in given})

    init = init_of([*shared, *plain_losses.parameters_of(row)], start)
    return type(row.public, (LossMetric,), {"__init__": init, "__doc__": document, "__module__": __name__})


CLASSES: dict[str, Any] = {row.public: _class(row) for row in plain_losses.ROWS if row.is_metric}
globals().update(CLASSES)
