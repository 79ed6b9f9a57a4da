"""The metrics of a model: as given to `compile`, and as its plans count them."""

from __future__ import annotations

import itertools
from typing import Any

from fastnet import losses
from fastnet.metrics import means
from fastnet.metrics.metric import Metric
from fastnet.metrics.metric_names import get, listed, named


class CompiledMetrics:
    """The metrics of a model, which reads users' functions once, when it is compiled.

    Args:
        metrics, weighted: the arguments of ``compile``.

    Attributes:
        given: both as lists.

    Raises:
        ValueError: an item is not a metric.
    """

    def __init__(self, metrics: Any = None, weighted: Any = None):
        self.given = [listed(metrics, "metrics"), listed(weighted, "weighted_metrics")]
        self._read = [[_as_read(each, get(each)) for each in items] for items in self.given]
        self._found: dict[tuple, Metric] = {}

    def counted(self, output_shape: tuple[int, ...] | None, sparse: bool) -> list[tuple[str, Metric, bool]]:
        """(key in the logs, metric, whether it is weighted) for predictions of this shape.

        Args:
            output_shape: of one sample's prediction.
            sparse: whether the targets are class indices.
        """
        indices = ([(i, j) for j in range(len(items))] for i, items in enumerate(self._read))
        return named(*([self._metric(*index, output_shape, sparse) for index in each] for each in indices))

    def _metric(self, i: int, j: int, output_shape: tuple[int, ...] | None, sparse: bool) -> Metric:
        """The metric of an entry: the same each time, but for functions of arrays, which count in each plan."""
        key = i, j, output_shape, sparse
        found = self._found.get(key) or get(self._read[i][j], output_shape, sparse)
        return found if found.in_python else self._found.setdefault(key, found)

    def losses(self) -> list[losses.Loss]:
        """The losses that are metrics."""
        metrics = [*itertools.chain(*self._read), *self._found.values()]
        return [m for m in (getattr(metric, "loss", metric) for metric in metrics) if isinstance(m, losses.Loss)]


def _as_read(given: Any, metric: Metric) -> Any:
    """A metric of a user's function of two numbers as its loss, which has read the function; others as given."""
    of_user = type(metric) is means.MeanMetricWrapper and metric.loss.row.declared
    return metric.loss if of_user and metric is not given else given  # type: ignore[attr-defined]
