"""Symbolic arrays: the operands of a traced formula. Each is an operation on others, with a shape and no elements."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels.errors import RuleError
from fastnet._kernels.registry import nearest
from fastnet.symbolic.functions import FUNCTIONS

Shape = tuple[int | None, ...]  # None stands for the rows of the batch, always the first axis


class TracingError(RuleError):
    """A formula of arrays does what cannot be compiled; the message says what, in which line, and what to write."""


class ShapeError(TracingError):
    """A formula of arrays does not fit the shapes of its arguments."""


class OperandError(TracingError, TypeError):
    """A function of another library gets a symbolic array; its operators then leave the work to those of the array."""


@dataclass(frozen=True)
class Operation:
    """What is known of an operation apart from its operands.

    `formulas`, `folds`, `reshape`, `slices`, `boundaries` and `rearrange` have its kinds.

    Attributes:
        name: in `fastnet.ops`.
        adjoint: ``(dy, y, *inputs) -> gradients`` of the inputs, of symbolic arrays; None where no gradient flows.
    """

    name: str
    adjoint: Callable[..., Any] | None = None

    @property
    def is_boundary(self) -> bool:
        """Whether it has launches of its own, for results that are in memory: a product, a layer."""
        return False

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the result follows from one of each operand."""
        return False

    @property
    def flattens(self) -> bool:
        """Whether the result is the elements of the whole batch in a row (`reshape.flattened`)."""
        return False


class SymbolicArray:
    """An operation and its operands, or a leaf: an argument of the formula, or a constant.

    It takes part in expressions as an array of NumPy does: operators, indices, methods, functions of NumPy and of
    `fastnet.ops`. What needs elements (``if``, ``float()``, loops) raises `TracingError`.

    Args:
        operation: None for a leaf.
        inputs: its operands.
        shape: the rows of the batch are None, the first axis.
        is_bool: whether its elements are truth values.
        settings: what else decides the result, such as an axis.
        value: of a constant, the array.
    """

    is_symbolic = True  # what stands below asks for it
    __slots__ = ("inputs", "is_bool", "is_flat", "lifted", "operation", "settings", "shape", "value")
    __hash__ = object.__hash__

    def __init__(
        self, operation: Operation | None, inputs: tuple[SymbolicArray, ...], shape: Shape, is_bool: bool = False,
        settings: tuple = (), value: np.ndarray | None = None,
    ):  # fmt: skip
        self.operation, self.inputs, self.shape, self.is_bool = operation, inputs, shape, is_bool
        self.settings, self.value = settings, value
        self.is_flat = operation is not None and (operation.flattens or _joins_flat(operation, inputs))
        self.lifted: SymbolicArray | None = None  # a weight's sample, and the weight of a sample (`weight_formulas`)

    @property
    def per_row(self) -> bool:
        """Whether there is an entry for each row of the batch."""
        return self.shape[:1] == (None,)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> str:
        """Of its elements; numbers have the dtype of the model."""
        return "bool" if self.is_bool else "float"

    # ---- NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return _called(name, f"np.{name}", inputs, more)

    def __array_function__(self, function: Any, types: Any, arguments: tuple, named: dict[str, Any]) -> Any:
        name = getattr(function, "__name__", str(function))
        return _called(name, f"np.{name}", arguments, named)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise refusal(
            "np.asarray of an argument needs its elements",
            "use it as it is, with functions of fastnet.ops; ops.stack joins several",
        )

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, arguments: tuple = (), named: Any = None) -> Any:
        raise refusal("a function of torch needs the elements of an argument", _OPS, OperandError)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _method(self, name)

    # ---- what needs elements

    def __bool__(self) -> bool:
        raise refusal(
            "`if`, `and`, `or`, `not` and `while` need the elements of an argument",
            "write ops.where(condition, a, b), ops.logical_and(a, b)",
        )

    def __float__(self) -> float:
        raise refusal("float() and functions of math need a number", "write ops.log(x) instead of math.log(x)")

    def __int__(self) -> int:
        raise refusal("int() and range() need a number", "write the operation on the whole array")

    __index__ = __trunc__ = __int__

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        raise refusal("a format needs a number", "print arrays outside of the function")

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def __len__(self) -> int:
        raise refusal("len() of the batch is not known", "take .shape[-1] for other axes; ops.mean for a mean")

    def __iter__(self) -> Any:
        raise refusal("a loop over an array needs its elements", "index its last axis, x[:, 0], or use ops.sum")

    def __contains__(self, item: Any) -> bool:
        raise refusal("`in` needs the elements of an argument", "compare: ops.any(x == value, axis=-1)")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise refusal("arrays of a formula are not written", "write ops.where(condition, a, b), or ops.slice_update")

    def __copy__(self) -> SymbolicArray:
        return self  # nothing changes it

    def __deepcopy__(self, memo: Any) -> SymbolicArray:
        return self

    def __repr__(self) -> str:
        name = "argument" if self.operation is None else self.operation.name
        return f"<symbolic array {name}{shown(self.shape)}>"


def _operator(name: str, swapped: bool = False) -> Callable[..., Any]:
    def method(self: SymbolicArray, *others: Any) -> Any:
        operands = (*others, self) if swapped else (self, *others)
        return _called(name, f"the operator {name}", operands, {})

    return method


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "matmul": "matmul",
    "mod": "mod", "floordiv": "floor_divide",
}  # fmt: skip
for _name, _function in _OPERATORS.items():
    setattr(SymbolicArray, f"__{_name}__", _operator(_function))
    setattr(SymbolicArray, f"__r{_name}__", _operator(_function, swapped=True))
for _name, _function in {
    "neg": "negative", "pos": "copy", "abs": "abs", "invert": "logical_not", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal", "and": "logical_and", "or": "logical_or",
    "rand": "logical_and", "ror": "logical_or", "xor": "not_equal", "rxor": "not_equal", "round": "round",
    "getitem": "get_item",
}.items():  # fmt: skip
    setattr(SymbolicArray, f"__{_name}__", _operator(_function))


def _refused(what: str, remedy: str) -> Callable[..., Any]:
    def method(self: SymbolicArray, *others: Any) -> Any:
        raise refusal(what, remedy)

    return method


for _name in ("lshift", "rlshift", "rshift", "rrshift"):
    setattr(SymbolicArray, f"__{_name}__", _refused("<< and >> move bits of integers", "write x * 2.0**n"))


#: names by which NumPy knows functions of `fastnet.ops`
_NUMPY = {
    "true_divide": "divide", "absolute": "abs", "fabs": "abs", "amax": "max", "amin": "min", "add.reduce": "sum",
    "multiply.reduce": "prod", "maximum.reduce": "max", "minimum.reduce": "min", "rint": "round",
    "float_power": "power", "positive": "copy",
    "concat": "concatenate", "bitwise_and": "logical_and", "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor", "invert": "logical_not",
}  # fmt: skip
_ARGUMENTS = {"a_min": "x_min", "a_max": "x_max"}  # of NumPy's functions, by other names in Keras's
_METHODS = (
    "sum", "mean", "max", "min", "prod", "std", "var", "any", "all", "clip", "round", "squeeze", "reshape", "astype",
    "argmax", "argmin", "cumsum", "transpose", "swapaxes", "repeat", "take", "dot", "ravel", "flatten",
)  # fmt: skip


def _called(name: str, what: str, arguments: tuple, named: dict[str, Any]) -> Any:
    """The result of a function of `fastnet.ops` that NumPy or an operator stands for."""
    if any(named.get(key) is not None for key in ("out", "where")):
        raise refusal(f"{what} with out= or where= writes into an array", "use its result; ops.where chooses")
    named = {_ARGUMENTS.get(key, key): each for key, each in named.items() if key not in ("out", "where", "dtype")}
    function = FUNCTIONS.get(_NUMPY.get(name, name))
    if function is None:
        raise refusal(f"{what} is not an operation of a formula", _near(name))
    return function(*arguments, **named)


def _method(x: SymbolicArray, name: str) -> Callable[..., Any]:
    if name == "T":
        if not x.per_row:
            return FUNCTIONS["transpose"](x)
        raise refusal(
            ".T moves the axis of the batch",
            "transpose other axes; in a loss ops.einsum('bi,bj->ij', x, y) is a product over the batch",
        )
    if name not in _METHODS:
        raise AttributeError(f"An array of a formula has no attribute {name!r}; its methods: {', '.join(_METHODS)}.")
    if name == "astype":
        return lambda dtype, **_: FUNCTIONS["cast"](x, dtype)
    if name == "flatten":
        return lambda: FUNCTIONS["ravel"](x)
    return lambda *arguments, **named: _called(name, f"the method {name}", (x, *arguments), named)


def _joins_flat(operation: Operation, inputs: tuple[SymbolicArray, ...]) -> bool:
    """Whether operands are elements of the whole batch in a row.

    Raises:
        TracingError: the operation needs another order of elements than theirs.
    """
    if not any(x.is_flat for x in inputs):
        return False
    if not operation.is_elementwise:
        raise refusal(f"{operation.name} of all elements of the batch in a row", "fold them: ops.sum(x), ops.mean(x)")
    flat = next(x.shape for x in inputs if x.is_flat)
    others = [x for x in inputs if (x.shape != flat if x.is_flat else x.per_row or any(size != 1 for size in x.shape))]
    if others:
        what = "others" if others[0].is_flat else shown(others[0].shape)
        raise refusal(
            f"{operation.name} of all elements of the batch in a row and of {what}",
            "reshape both with (-1,), from one shape", ShapeError,
        )  # fmt: skip
    return True


def _near(name: str) -> str:
    near = nearest(name, FUNCTIONS)
    offered = " or ".join(f"ops.{each}" for each in near[:3])
    return f"near are {offered}; fastnet.extend has rules and kernels for the rest" if near else "see fastnet.extend"


def refusal(problem: str, remedy: str, kind: type[TracingError] = TracingError) -> TracingError:
    """The error for something that a formula cannot do, with the line of the user's code."""
    library, line = _caller()
    if library:
        problem, remedy = f"a function of {library} needs the elements of an argument", _OPS
    return kind(f"{problem}{line}: {remedy}.")


def foreign(error: Exception) -> str:
    """What is said of an error that a function of another library, such as jax, raised for a symbolic array."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _NOT_USERS:
            place = _line(trace.tb_frame.f_code, trace.tb_lineno)
        trace = trace.tb_next
    return f"a function of another library needs the elements of an argument{place}: {_OPS}. Its error is: {error}"


def user_line() -> str:
    """Where the formula is: " (line 3 of loss.py, in f)"; empty if no frame is the user's."""
    return _caller()[1]


_OPS = "write it with fastnet.ops, which has Keras's names"
_LIBRARIES = ("jax", "keras", "torch")  # whose functions take no symbolic array
_NOT_USERS = ("fastnet", "numpy", "contextlib", "functools", *_LIBRARIES)


def _caller() -> tuple[str, str]:
    """The other library that the user's code has called, if any, and that code's line."""
    frame, library = sys._getframe(1), ""
    while frame is not None:
        root = frame.f_globals.get("__name__", "").partition(".")[0]
        if root not in _NOT_USERS:
            return library, _line(frame.f_code, frame.f_lineno)
        library = root if root in _LIBRARIES else library
        frame = frame.f_back  # type: ignore[assignment]
    return library, ""


def _line(code: Any, number: int) -> str:
    return f" (line {number} of {code.co_filename.rpartition('/')[2]}, in {code.co_name})"


def name_of_call(name: str) -> str:
    """The function of fastnet.ops that the user's code has called, such as softmax, of which ``name`` is a part."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(("fastnet.", "numpy.")):
        function = frame.f_code.co_name
        if frame.f_globals["__name__"].startswith("fastnet.ops.") and function[0].isalpha():
            name = function
        frame = frame.f_back  # type: ignore[assignment]
    return name


def shown(shape: Shape) -> str:
    """A shape as errors show it, n for the rows of the batch."""
    return str(shape).replace("None", "n")


_KEEP = "keep the axis with keepdims=True, or reshape"


def broadcast(name: str, *shapes: Shape) -> Shape:
    """The shape to which shapes broadcast as in NumPy, where the batch only meets itself and 1.

    Raises:
        TracingError: they do not.
    """
    out: list[int | None] = []
    for sizes in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            given = " and ".join(map(shown, shapes))
            raise refusal(f"{name}: shapes {given} do not broadcast", _KEEP, ShapeError)
        out.append(others.pop() if others else 1)
    shape = tuple(reversed(out))
    if None in shape[1:]:
        given = " and ".join(map(shown, shapes))
        raise refusal(f"{name}: shapes {given} would move the axis of the batch", _KEEP, ShapeError)
    return shape
