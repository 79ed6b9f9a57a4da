"""The variables of metrics written in Python."""

from __future__ import annotations

import numpy as np

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

    @classmethod
    def of(cls, name: str, value: np.ndarray) -> MetricVariable:
        """A read-only copy of numbers that were counted inside the runner."""
        variable = cls(np.asarray(value, np.float64), name, trainable=False)
        variable.array.flags.writeable = False
        return variable

    def __bool__(self) -> bool:
        return bool(self.numpy())
