"""What errors say to write in a rule instead of a function: it is allowed, and gives the numbers of the function."""

import math
import re

import numpy as np
import pytest

from fastnet._kernels import unknown_calls
from fastnet._kernels.pasting import check_rule
from fastnet._kernels.rules import primitives
from fastnet._kernels.tangents import rule_from_source

#: Those that neither `math` nor `numpy` has, or that have other arguments there.
OTHERS = {
    "int": int,
    "fix": np.trunc,
    "heaviside": lambda x: np.heaviside(x, 1.0),
    "logical_and": lambda a, b: b if a else a,
    "logical_or": lambda a, b: a or b,
    "ldexp": lambda n, x: math.ldexp(x, n),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: max(x, 0),
    "softplus": lambda x: np.log1p(np.exp(x)),
}
EXPRESSIONS = {name: text for name, text in unknown_calls._EXPRESSIONS.items() if name != "bool"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_said_is_allowed_and_right(name):
    text = EXPRESSIONS[name].replace("fastnet.extend.primitives.", "")
    names = [each for each in "abnxy" if re.search(rf"\b{each}\b", text)]
    rule = rule_from_source(f"def f({', '.join(names)}):\n    return {text}\n", {"numpy": np, "rint": primitives.rint})
    check_rule(rule)
    function = OTHERS.get(name) or getattr(np, name, None) or getattr(math, name)
    whole = name == "ldexp"
    for values in [(1.75, 0.5), (0.25, 1.5), (3.0, 2.0)]:
        given = [int(values[0]), *values[1:]] if whole else values[: len(names)]
        assert float(rule(*given)) == pytest.approx(float(function(*given)), rel=1e-12), given
