"""The variables of metrics written in Python."""

from __future__ import annotations

from fastnet.engine.variable import Variable


class MetricVariable(Variable):
    """Numbers of a metric, made by `Metric.add_weight`: NumPy's functions and operators take them as an array.

    Example:
        >>> import fastnet
        >>> total = fastnet.metrics.Metric(name="mine").add_weight(name="total")
        >>> _ = total.assign_add(3)
        >>> float(total / 2)
        1.5
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return bool(self._array)
