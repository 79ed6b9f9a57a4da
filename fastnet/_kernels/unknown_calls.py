"""What to write instead of a function that a rule cannot call."""

from __future__ import annotations

import ast

_SUMS = (
    "it sums or averages, but a rule gets single numbers: a loss is the mean of its rule over the last axis, an "
    "optimizer takes sums=, and a loss of a whole row is register_row_loss"
)
_LOSES_NAN = "{0}() loses NaN; write a conditional such as `{1}`, or numpy.{0}imum(x, y)"
#: The functions that need more than an expression.
_SENTENCES = {
    "max": _LOSES_NAN.format("max", "0 if x < 0 else x"),
    "min": _LOSES_NAN.format("min", "0 if x > 0 else x"),
    **dict.fromkeys(("sum", "mean", "dot", "prod", "std", "var", "norm", "reduce_mean", "reduce_sum"), _SUMS),
}
#: The other ones, and what is allowed in their place.
_EXPRESSIONS = {
    "add": "x + y",
    "subtract": "x - y",
    "multiply": "x * y",
    "divide": "x / y",
    "true_divide": "x / y",
    "negative": "-x",
    "reciprocal": "1 / x",
    "float_power": "x ** y",
    "exp2": "2.0 ** x",
    "cbrt": "math.copysign(abs(x) ** (1 / 3), x)",
    "hypot": "math.sqrt(x * x + y * y)",
    "fmod": "x - y * math.trunc(x / y)",
    "mod": "x - y * math.floor(x / y)",
    "remainder": "x - y * math.floor(x / y)",
    "round": "fastnet.extend.primitives.rint(x)",
    "rint": "fastnet.extend.primitives.rint(x)",
    "around": "fastnet.extend.primitives.rint(x)",
    "int": "math.trunc(x)",
    "fix": "math.trunc(x)",
    "ldexp": "x * 2.0 ** n",
    "fmax": "numpy.maximum(x, y)",
    "fmin": "numpy.minimum(x, y)",
    "heaviside": "0 if x < 0 else 1",
    "nan_to_num": "0 if x != x else x",
    "signbit": "x < 0",
    "bool": "a comparison",
    "equal": "x == y",
    "less": "x < y",
    "greater": "x > y",
    "logical_and": "a and b",
    "logical_or": "a or b",
    "logical_not": "not a",
    "degrees": "x * (180 / math.pi)",
    "rad2deg": "x * (180 / math.pi)",
    "radians": "x * (math.pi / 180)",
    "deg2rad": "x * (math.pi / 180)",
    "sinc": "1 if x == 0 else math.sin(math.pi * x) / (math.pi * x)",
    "erfc": "1 - math.erf(x)",
    "sigmoid": "1 / (1 + math.exp(-x))",
    "relu": "0 if x < 0 else x",
    "softplus": "numpy.maximum(x, 0) + math.log1p(math.exp(-abs(x)))",
    "logaddexp": "numpy.maximum(x, y) + math.log1p(math.exp(-abs(x - y)))",
}


def sentence(target: ast.expr) -> str:
    """The sentence for a function that a rule cannot call; with what to write instead, where that is known."""
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    if name in _SENTENCES:
        return _SENTENCES[name]
    instead = f"; write {_EXPRESSIONS[name]}" if name in _EXPRESSIONS else ""
    return f"{ast.unparse(target)} is not among the functions a rule may use{instead}"
