"""The variables of metrics written in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastnet.engine.variable import Variable


class MetricVariable(NDArrayOperatorsMixin, Variable):
    """Numbers of a metric, made by `Metric.add_weight`: NumPy's functions and operators take them as an array.

    Example:
        >>> import fastnet
        >>> total = fastnet.metrics.Metric(name="mine").add_weight(name="total")
        >>> total.assign_add(3)
        >>> float(total / 2)
        1.5
    """

    __slots__ = ()

    @property
    def value(self) -> np.ndarray:
        """A copy of the numbers."""
        return self.numpy()

    def assign_add(self, value: Any) -> None:
        """Add to each number."""
        self.assign(self._array + value)

    def assign_sub(self, value: Any) -> None:
        """Subtract from each number."""
        self.assign(self._array - value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        plain = [_array(value) for value in inputs]
        given = more.pop("out", ())
        if given:  # `total += 1`, which leaves the variable where it is
            getattr(ufunc, method)(*plain, out=tuple(_array(value) for value in given), **more)
            return given[0] if len(given) == 1 else given
        return getattr(ufunc, method)(*plain, **more)

    def __getitem__(self, index: Any) -> Any:
        return self.numpy()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._array[index] = value

    def __float__(self) -> float:
        return float(self._array)

    def __int__(self) -> int:
        return int(self._array)

    def __bool__(self) -> bool:
        return bool(self._array)


def _array(value: Any) -> Any:
    return value.array if isinstance(value, MetricVariable) else value
