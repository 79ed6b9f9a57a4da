"""Operations on elements: the text of their value in a rule, their adjoint, and NumPy's function for arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet import config
from fastnet.engine.variable import tracing
from fastnet.symbolic.array import Operation, SymbolicArray, broadcast
from fastnet.symbolic.broadcasting import aligned, aligned_whole
from fastnet.symbolic.leaves import constant, leaf_of
from fastnet.symbolic.reshape import reshaped
from fastnet.symbolic.weight_formulas import in_memory

FORMULAS: dict[str, Formula] = {}


@dataclass(frozen=True)
class Formula(Operation):
    """An operation on elements.

    Attributes:
        text: its value as an expression of a rule, in a, b and c.
        on_arrays: the same for arrays.
        is_bool: whether its result is a truth value.
        keeps_integers: whether its result for arrays of integers is one of integers, as in Keras.
    """

    text: str = ""
    on_arrays: Callable[..., Any] | None = None
    is_bool: bool = False
    keeps_integers: bool = field(default=False, kw_only=True)

    @property
    def is_elementwise(self) -> bool:
        return True

    @property
    def letters(self) -> str:
        """The operands in its text."""
        return "".join(letter for letter in "abc" if re.search(rf"\b{letter}\b", self.text))

    def __call__(self, *inputs: Any) -> Any:
        """The symbolic result; of arrays and numbers alone, the array."""
        inputs = tuple(map(leaf_of, inputs))
        if not any(isinstance(x, SymbolicArray) for x in inputs):
            return self.of_arrays(*inputs)
        nodes = tuple(in_memory(constant(x)) for x in inputs)
        if all(x.value is not None for x in nodes):
            assert self.on_arrays is not None
            return constant(self.on_arrays(*(x.value for x in nodes)))
        shape = broadcast(self.name, *(x.shape for x in nodes))
        operands, given = aligned(nodes, shape) if not tracing.is_whole else (aligned_whole(nodes, shape), shape)
        return reshaped(SymbolicArray(self, operands, given, self.is_bool), shape)

    def of_arrays(self, *inputs: Any) -> np.ndarray:
        """The result for arrays and numbers; integers beside fractions have their dtype, as in Keras."""
        assert self.on_arrays is not None
        given = [x if type(x) in (bool, int, float) else as_floats(x) for x in inputs]  # np.float64 is a float
        if self.is_bool:
            return self.on_arrays(*given)
        first = 1 if self.name == "where" else 0  # behind the condition
        return self.on_arrays(*given[:first], *of_one_kind(given[first:], self.keeps_integers))


def as_floats(x: Any) -> Any:
    """An array or a weight as it is; lists and numbers in the default dtype, as in Keras; truth values stay."""
    array = np.asarray(x)
    if hasattr(x, "dtype") or array.dtype.kind == "b":
        return array
    return array.astype(config.floatx())


def as_real(x: Any) -> Any:
    """An array, a weight, a list or a number; integers and truth values in the default dtype."""
    array = as_floats(x)
    return array.astype(config.floatx()) if _is_whole(array) else array


def of_one_kind(inputs: list[Any], keeps_integers: bool = True) -> list[Any]:
    """Arrays and numbers as real numbers: integers get the dtype of the others, or the default one, as in Keras.

    Args:
        inputs: arrays, as `as_floats` gives them, and Python's numbers.
        keeps_integers: whether they stay where there is nothing else.
    """
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    real = [x.dtype for x in arrays if x.dtype.kind == "f"]
    if keeps_integers and arrays and not real and not any(isinstance(x, float) for x in inputs):
        return inputs
    dtype = np.result_type(*real) if real else np.dtype(config.floatx())
    return [np.asarray(x, dtype) if not arrays or _is_whole(x) else x for x in inputs]


def _is_whole(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "iub"


def formula(
    name: str, text: str, adjoint: Callable | None, on_arrays: Callable, is_bool: bool = False,
    keeps_integers: bool = False,
) -> Formula:  # fmt: skip
    """Declare an operation on elements."""
    FORMULAS[name] = Formula(name, adjoint, text, on_arrays, is_bool, keeps_integers=keeps_integers)
    return FORMULAS[name]


def _erf(x: Any) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.result_type(x, np.float32)])(x)


# ---- arithmetic

add = formula("add", "a + b", lambda dy, y, a, b: (dy, dy), np.add, keeps_integers=True)
subtract = formula("subtract", "a - b", lambda dy, y, a, b: (dy, -dy), np.subtract, keeps_integers=True)
multiply = formula("multiply", "a * b", lambda dy, y, a, b: (dy * b, dy * a), np.multiply, keeps_integers=True)
divide = formula("divide", "a / b", lambda dy, y, a, b: (dy / b, -dy * y / b), np.divide)
negative = formula("negative", "-a", lambda dy, y, a: (-dy,), np.negative, keeps_integers=True)
positive = formula("positive", "a", lambda dy, y, a: (dy,), np.positive, keeps_integers=True)
square = formula("square", "a * a", lambda dy, y, a: (2.0 * dy * a,), np.square, keeps_integers=True)
reciprocal = formula("reciprocal", "1.0 / a", lambda dy, y, a: (-dy * y * y,), lambda a: 1 / a)
sqrt = formula("sqrt", "math.sqrt(a)", lambda dy, y, a: (0.5 * dy / y,), np.sqrt)
rsqrt = formula("rsqrt", "1.0 / math.sqrt(a)", lambda dy, y, a: (-0.5 * dy * y / a,), lambda a: 1 / np.sqrt(a))
power = formula(
    "power",
    "a ** b",
    lambda dy, y, a, b: (_by_base(dy, y, a, b), dy * where(equal(y, 0.0), y, y * log(where(equal(a, 0.0), 1.0, a)))),
    np.power,
    keeps_integers=True,
)
floor_divide = formula("floor_divide", "a // b", None, np.floor_divide, keeps_integers=True)
mod = formula("mod", "a % b", lambda dy, y, a, b: (dy, -dy * floor(a / b)), np.mod, keeps_integers=True)
sign = formula("sign", "-1.0 if a < 0.0 else 1.0 if a > 0.0 else a", None, np.sign, keeps_integers=True)
absolute = formula("abs", "abs(a)", lambda dy, y, a: (dy * sign(a),), np.abs, keeps_integers=True)
maximum = formula(
    "maximum", "a if a > b or a != a else b",
    lambda dy, y, a, b: (_share(dy, greater, a, b), _share(dy, greater, b, a)), np.maximum, keeps_integers=True,
)  # fmt: skip
minimum = formula(
    "minimum", "a if a < b or a != a else b", lambda dy, y, a, b: (_share(dy, less, a, b), _share(dy, less, b, a)),
    np.minimum, keeps_integers=True,
)  # fmt: skip

# ---- functions

exp = formula("exp", "math.exp(a)", lambda dy, y, a: (dy * y,), np.exp)
exp2 = formula("exp2", "math.exp(a * 0.6931471805599453)", lambda dy, y, a: (dy * y * math.log(2),), np.exp2)
expm1 = formula("expm1", "math.expm1(a)", lambda dy, y, a: (dy * exp(a),), np.expm1)
log: Formula = formula("log", "math.log(a)", lambda dy, y, a: (dy / a,), np.log)
log2 = formula("log2", "math.log2(a)", lambda dy, y, a: (dy / (a * math.log(2)),), np.log2)
log10 = formula("log10", "math.log10(a)", lambda dy, y, a: (dy / (a * math.log(10)),), np.log10)
log1p = formula("log1p", "math.log1p(a)", lambda dy, y, a: (dy / (1.0 + a),), np.log1p)
sin = formula("sin", "math.sin(a)", lambda dy, y, a: (dy * cos(a),), np.sin)
cos: Formula = formula("cos", "math.cos(a)", lambda dy, y, a: (-dy * sin(a),), np.cos)
tan = formula("tan", "math.tan(a)", lambda dy, y, a: (dy * (1.0 + y * y),), np.tan)
arcsin = formula("arcsin", "math.asin(a)", lambda dy, y, a: (dy / sqrt((1.0 - a) * (1.0 + a)),), np.arcsin)
arccos = formula("arccos", "math.acos(a)", lambda dy, y, a: (-dy / sqrt((1.0 - a) * (1.0 + a)),), np.arccos)
arctan = formula("arctan", "math.atan(a)", lambda dy, y, a: (dy / (1.0 + a * a),), np.arctan)
arctan2 = formula(
    "arctan2", "math.atan2(a, b)", lambda dy, y, a, b: (dy * b / (a * a + b * b), -dy * a / (a * a + b * b)), np.arctan2
)
sinh = formula("sinh", "math.sinh(a)", lambda dy, y, a: (dy * cosh(a),), np.sinh)
cosh: Formula = formula("cosh", "math.cosh(a)", lambda dy, y, a: (dy * sinh(a),), np.cosh)
tanh = formula("tanh", "math.tanh(a)", lambda dy, y, a: (dy * (1.0 - y * y),), np.tanh)
arcsinh = formula("arcsinh", "math.asinh(a)", lambda dy, y, a: (dy / sqrt(a * a + 1.0),), np.arcsinh)
arccosh = formula("arccosh", "math.acosh(a)", lambda dy, y, a: (dy / (sqrt(a - 1.0) * sqrt(a + 1.0)),), np.arccosh)
arctanh = formula("arctanh", "math.atanh(a)", lambda dy, y, a: (dy / ((1.0 - a) * (1.0 + a)),), np.arctanh)
erf = formula("erf", "math.erf(a)", lambda dy, y, a: (dy * (2 / math.sqrt(math.pi)) * exp(-a * a),), _erf)
floor: Formula = formula("floor", "math.floor(a)", None, np.floor)
ceil = formula("ceil", "math.ceil(a)", None, np.ceil)
trunc = formula("trunc", "math.trunc(a)", None, np.trunc, keeps_integers=True)
rint = formula("round", "np.rint(a)", None, np.round, keeps_integers=True)
stop_gradient = formula("stop_gradient", "a", None, np.asarray, keeps_integers=True)

like = formula(
    "like", "a", lambda dy, y, a, b: (dy, None), lambda a, b: np.broadcast_arrays(a, b)[0], keeps_integers=True
)  # of b's shape

# ---- conditions

less: Formula = formula("less", "a < b", None, np.less, is_bool=True)
less_equal = formula("less_equal", "a <= b", None, np.less_equal, is_bool=True)
greater: Formula = formula("greater", "a > b", None, np.greater, is_bool=True)
greater_equal = formula("greater_equal", "a >= b", None, np.greater_equal, is_bool=True)
equal: Formula = formula("equal", "a == b", None, np.equal, is_bool=True)
not_equal = formula("not_equal", "a != b", None, np.not_equal, is_bool=True)
isnan = formula("isnan", "a != a", None, np.isnan, is_bool=True)
isfinite = formula("isfinite", "a - a == 0.0", None, np.isfinite, is_bool=True)
isinf = formula("isinf", "abs(a) == math.inf", None, np.isinf, is_bool=True)
logical_and = formula("logical_and", "a and b", None, np.logical_and, is_bool=True)
logical_or = formula("logical_or", "a or b", None, np.logical_or, is_bool=True)
logical_xor = formula("logical_xor", "a != b", None, np.logical_xor, is_bool=True)
logical_not = formula("logical_not", "not a", None, np.logical_not, is_bool=True)
where: Formula = formula(
    "where",
    "b if a else c",
    lambda dy, y, a, b, c: (None, where(a, dy, 0.0), where(a, 0.0, dy)),
    np.where,
    keeps_integers=True,
)

CONDITIONS = frozenset(["logical_and", "logical_or", "logical_xor", "logical_not"])  # whose operands are truth values


def _by_base(dy: Any, y: Any, a: Any, b: Any) -> Any:
    if b.value is not None and b.value.ndim == 0:
        n = float(b.value)
        return dy * n if n == 1 else 2.0 * dy * a if n == 2 else dy * (n * a ** (n - 1.0)) if n else dy * 0.0
    return dy * (b * a ** (b - 1.0))


def _share(dy: Any, first: Formula, a: Any, b: Any) -> Any:
    """Of a maximum or a minimum, the gradient of a: half of it where both are equal, as in JAX."""
    return where(equal(a, b), 0.5 * dy, where(logical_or(first(a, b), isnan(a)), dy, 0.0))
