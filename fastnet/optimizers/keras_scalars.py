"""The learning rate and the step count as they are read: numbers with the methods of Keras's variables."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastnet._kernels.errors import quoted
from fastnet.checks import NOT_NEGATIVE, integer, number

if TYPE_CHECKING:
    from fastnet.optimizers.optimizer import Optimizer


class Rate(float):
    """A learning rate as it was read: a number, with methods that Keras's has."""

    __slots__ = ("_optimizer",)
    _optimizer: Optimizer

    def __new__(cls, value: float, optimizer: Optimizer) -> Rate:
        rate = super().__new__(cls, value)
        rate._optimizer = optimizer
        return rate

    def assign(self, value: Any) -> Rate:
        """Set the optimizer's learning rate; returns it."""
        self._optimizer.learning_rate = value
        return Rate(float(self._optimizer.learning_rate), self._optimizer)

    def numpy(self) -> np.ndarray:
        """As an array without axes."""
        return np.array(float(self))

    @property
    def value(self) -> np.ndarray:
        """As an array without axes, as of every variable."""
        return self.numpy()

    def __reduce__(self) -> tuple:
        return float, (float(self),)


class Count(int):
    """The number of steps of an optimizer, as it was read."""

    _optimizer: Any

    def __new__(cls, value: int, optimizer: Any) -> Count:
        count = super().__new__(cls, value)
        count._optimizer = weakref.ref(optimizer)
        return count

    def assign(self, value: Any) -> Count:
        """Set the optimizer's number of steps; returns it."""
        self._optimizer().iterations = value
        return self._optimizer().iterations

    def numpy(self) -> np.ndarray:
        """As an array without axes."""
        return np.array(int(self))

    @property
    def value(self) -> np.ndarray:
        """As an array without axes, as of every variable."""
        return self.numpy()

    def __reduce__(self) -> tuple:
        return int, (int(self),)


class StateNumber(NDArrayOperatorsMixin):
    """The step count or the learning rate of an optimizer as one of its variables, which shows its present value.

    Operators, comparisons and NumPy's functions take the value, as of every variable.

    Args:
        optimizer: whose.
        name: "iteration" or "learning_rate".
    """

    shape: tuple[()] = ()
    trainable = False
    __hash__ = object.__hash__

    def __init__(self, optimizer: Any, name: str):
        self._optimizer, self.name = optimizer, name
        self._attribute, self.dtype = ("iterations", "int64") if name == "iteration" else (name, "float64")
        self.path = f"{optimizer.name}/{name}"

    @property
    def value(self) -> np.ndarray:
        """The present value, as an array without axes."""
        return np.array(getattr(self._optimizer, self._attribute), self.dtype)

    def numpy(self) -> np.ndarray:
        """The same as ``value``."""
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.value if dtype is None else self.value.astype(dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        return getattr(ufunc, method)(*(x.value if isinstance(x, StateNumber) else x for x in inputs), **more)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def check(self, value: Any) -> Any:
        """``value`` as a number that can be assigned; raises ValueError for any other value.

        Example:
            >>> optimizers.SGD().variables[0].check(3.0)
            3
        """
        array = np.asarray(value)
        if array.shape or array.dtype.kind not in "fiub":
            raise ValueError(f"The {self.name} of an optimizer is a number, received {quoted(value)}.")
        owner = f"{type(self._optimizer).__name__}: {self.name}"
        if self.name == "iteration":
            return integer(owner, int(array) if array == np.floor(array) else value, 0)
        return number(owner, float(array), NOT_NEGATIVE)

    def assign(self, value: Any) -> StateNumber:
        """Set the optimizer's number; returns this variable."""
        setattr(self._optimizer, self._attribute, self.check(value))
        return self

    def __repr__(self) -> str:
        return f"<{self.path} {self.value}>"
