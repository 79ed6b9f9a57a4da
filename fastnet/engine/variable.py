"""Weights and optimizer state: arrays with an address that stays."""

from __future__ import annotations

import contextlib
import math
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastnet.engine import changes

have_mirrors = False  # whether a weight of this process has had a copy on another device


class Allocated:
    """The bytes that were allocated for weights, optimizer state and activations, whether they are freed or not."""

    bytes = 0


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Zeros on a cache line's boundary, in memory of their own."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    Allocated.bytes += size
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


class Tracing(threading.local):
    """What a weight is while its thread traces a formula (`symbolic.leaves`).

    Attributes:
        leaf: from a weight to the leaf that stands for it; None where nothing is traced.
        refuse: raises the error for a weight whose elements are read.
        assign: what setting a weight's value does; None where that is refused too.
        check_fold: takes an operation, an array and axes, and raises the error for a fold that is not there; None
            where all are.
        add_loss: takes what a layer's call adds to the loss; None where nothing may be added.
        alone: the layer that is called with arrays, outside of a network, whose result need not be one of the batch.
        rows: stands for the number of rows of the batch, over which what is added or assigned may be folded.
        joining: gets what joins rows in a loss's formula: None for a fold over the batch, and of a loss object the
            numbers of rows that stand for it. None where nobody asks.
        is_whole: whether the formulas are of whole arrays: they may fold the batch as any axis, and weights alone.
        is_update: whether they are of arrays without a batch alone, and need no gradient: updates of optimizers.
    """

    leaf: Callable[[Any], Any] | None = None
    refuse: Callable[[Any], Any]
    assign: Callable[[Any, Any], None] | None = None
    check_fold: Callable[[str, Any, tuple[int, ...]], None] | None = None
    add_loss: Callable[[Any], None] | None = None
    alone: Any = None
    rows: Any = None
    joining: list[Any] | None = None
    is_whole = False
    is_update = False

    @contextlib.contextmanager
    def within(self, **state: Any) -> Iterator[None]:
        """A context in which attributes of this thread have other values; afterwards all are as before."""
        outer = vars(self).copy()
        vars(self).update(state)
        try:
            yield
        finally:
            vars(self).clear()
            vars(self).update(outer)


tracing = Tracing()


def _argument(name: str) -> property:
    """An argument of a weight, which may be set again."""

    def replace(variable: Any, value: Any) -> None:
        setattr(variable, f"_{name}", value)
        variable.changes += 1
        changes.arguments.mark()

    return property(operator.attrgetter(f"_{name}"), replace)


class Variable(NDArrayOperatorsMixin):
    """A weight. Operators, comparisons, indices and NumPy's functions take its value, as that of an array.

    It is hashed by its identity, and ``==`` compares elements: to find a weight in a list use ``is``.

    Args:
        value: its first value; copied. Numbers without a dtype, and lists of them, become ``dtype`` or float32.
        name: as shown in errors and files, "kernel" or "moving_mean".
        trainable: False for a weight that an optimizer must not touch.
        regularizer: adds a penalty of its value to the loss (`fastnet.regularizers`), or None.
        constraint: changes it after each update (`fastnet.constraints`), or None.
        path: its layer's name and its own, "dense/kernel"; by default its own.
        dtype: by default the value's.

    Attributes:
        address: of its memory, which stays.
        mirror: its copy on another device (`engine.cuda.memory`), or None.
        assignments, changes: how often users have set its value, and one of the three arguments above; plans from
            before such a change are void.

    Example:
        >>> layer = layers.Dense(2, kernel_initializer="zeros")
        >>> layer.build((None, 3))
        >>> _ = layer.kernel.assign_add(np.ones((3, 2)))
        >>> (2 * layer.kernel[0] == 2).tolist()
        [True, True]
        >>> w = fastnet.Variable([3.0, 4.0])
        >>> fastnet.optimizers.SGD(0.5).apply([w / 5], [w])
        >>> [round(float(number), 2) for number in w]
        [2.7, 3.6]
    """

    __slots__ = (
        "_array", "_constraint", "_regularizer", "_trainable", "address", "assignments", "changes", "dtype", "mirror",
        "name", "path", "shape",
    )  # fmt: skip

    def __init__(
        self,
        value: Any,
        name: str = "variable",
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        path: str | None = None,
        dtype: str | None = None,
    ):
        if dtype is not None or not isinstance(value, np.ndarray):
            value = np.asarray(value, dtype or getattr(value, "dtype", "float32"))
        # read often; numpy takes 0.7 µs for each
        self.shape, self.dtype = value.shape, value.dtype.name
        self._array = aligned(self.shape, self.dtype)
        self._array[...] = value
        self.address = self._array.ctypes.data
        self.mirror: Any = None
        self.name, self.path = name, path or name
        self._trainable, self._regularizer, self._constraint = trainable, regularizer, constraint
        self.assignments = self.changes = 0

    trainable, regularizer, constraint = (_argument(name) for name in ("trainable", "regularizer", "constraint"))

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError(f"The weight {self.name!r} is one number: it has no axis whose length could be told.")
        return len(self._array)

    def __bool__(self) -> bool:
        return True  # without this, bool would call len

    __hash__ = object.__hash__

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.numpy())

    def __getitem__(self, index: Any) -> Any:
        if tracing.leaf is not None:
            return tracing.leaf(self)[index]
        return self.numpy()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Set elements, as `assign` does."""
        array = self.numpy()
        array[index] = value
        self.assign(array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        """NumPy's functions and operators. ``v += 1`` changes the weight."""
        if tracing.leaf is not None:
            leaves = [tracing.leaf(value) if isinstance(value, Variable) else value for value in inputs]
            return getattr(ufunc, method)(*leaves, **more)
        targets = more.pop("out", ())
        changed = inputs[:1] if method == "at" else targets
        plain = [_plain(value) if any(value is each for each in changed) else _current(value) for value in inputs]
        if not targets:
            result = getattr(ufunc, method)(*plain, **more)
            if method == "at" and isinstance(inputs[0], Variable):
                inputs[0].count_assignment()
            return result
        getattr(ufunc, method)(*plain, out=tuple(_plain(target) for target in targets), **more)
        for target in targets:
            if isinstance(target, Variable):
                target.count_assignment()
        return targets[0] if len(targets) == 1 else targets

    def __jax_array__(self) -> np.ndarray:
        return self.numpy()

    def __dlpack__(self, **options: Any) -> Any:
        """A copy of the value for other libraries."""
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The value for numpy: a copy, as from `numpy`.

        Args:
            dtype: by default the weight's own.
            copy: False for a read-only view, which shows the changes of training.

        Raises:
            ValueError: ``copy`` is False, and the dtype is another one.
        """
        if tracing.leaf is not None:
            tracing.refuse(self)
        if copy is not False:
            return np.array(self.current, dtype)
        if dtype is not None and np.dtype(dtype) != self._array.dtype:
            raise ValueError(
                f"The weight {self.name!r} ({self.dtype}) as {np.dtype(dtype)} is a copy; leave copy=False out."
            )
        view = self.current.view()
        view.flags.writeable = False
        return view

    @property
    def array(self) -> np.ndarray:
        """The memory itself, which the kernels use; it may be written."""
        if self.mirror is not None:
            self.mirror.release()
        return self._array

    @property
    def current(self) -> np.ndarray:
        """The memory, up to date, for reading: a copy on another device stays valid."""
        if self.mirror is not None:
            self.mirror.fetch()
        return self._array

    def numpy(self) -> np.ndarray:
        """A copy of the value."""
        if tracing.leaf is not None:
            tracing.refuse(self)
        return self.current.copy()

    @property
    def value(self) -> Any:
        """A copy of the value; in array code what stands for it."""
        return self.numpy() if tracing.leaf is None else tracing.leaf(self)

    def check(self, value: Any) -> np.ndarray:
        """``value`` as an array that can be assigned.

        Raises:
            ValueError: the value has another shape, or is not of real numbers.
        """
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"The weight {self.name!r} of shape {self.shape} takes an array: {error}") from None
        if array.dtype.kind not in "fiub":
            raise ValueError(
                f"The weight {self.name!r} of shape {self.shape} takes real numbers, received {array.dtype}."
            )
        if array.shape != self.shape:
            raise ValueError(
                f"The weight {self.name!r} has shape {self.shape}; received a value of shape {array.shape}."
            )
        return array

    def assign(self, value: Any) -> Variable:
        """Set the value; its shape must be the same. Returns the weight.

        Raises:
            ValueError: the value has another shape, or is not of real numbers.
        """
        if tracing.assign is not None:
            tracing.assign(self, value)
            return self
        if tracing.leaf is not None:
            tracing.refuse(self)
        self.array[...] = self.check(value)
        self.count_assignment()
        return self

    def count_assignment(self) -> None:
        """Note that its value has been set: trainings that go on see it."""
        self.assignments += 1
        changes.weights.mark()

    def assign_add(self, value: Any) -> Variable:
        """Add a number, or an array that broadcasts to the weight's shape; see `assign`."""
        return self.assign(self._combined(np.add, value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract a number, or an array that broadcasts to the weight's shape; see `assign`."""
        return self.assign(self._combined(np.subtract, value))

    def _combined(self, operation: np.ufunc, value: Any) -> np.ndarray:
        if tracing.assign is not None:
            return operation(self, value)
        try:
            return operation(self.current, np.asarray(value))
        except ValueError as error:
            raise ValueError(f"The weight {self.name!r} of shape {self.shape}: {error}") from None

    def __reduce__(self) -> tuple:
        """For copies and pickles: they make a new weight, since kernels need aligned memory."""
        return type(self), (self.numpy(), self.name, self.trainable, self.regularizer, self.constraint, self.path)

    def __repr__(self) -> str:
        return f"<Variable {self.name} {self.shape} {self.dtype}{'' if self.trainable else ', not trainable'}>"


def _plain(value: Any) -> Any:
    """A weight's memory, which may be written; other values stay."""
    return value.array if isinstance(value, Variable) else value


def _current(value: Any) -> Any:
    """A weight's memory for reading; other values stay."""
    return value.current if isinstance(value, Variable) else value
