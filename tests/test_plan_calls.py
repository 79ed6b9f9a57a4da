"""Calls of templates: what may be wrong with an operand is said where the call stands, and the plan is as it was."""

# ruff: noqa: F821, F841, UP037  (templates are read as text)
from __future__ import annotations

import re

import numpy as np
import pytest

from fastnet import layers
from fastnet._kernels.errors import RuleError
from fastnet._kernels.kinds import (
    integer,
    read,
    read_int32,
    reads,
    real,
    reals,
    rule,
    size,
    value,
    write,
    write_float64,
)
from fastnet._kernels.template import elementwise, fold, template
from fastnet._kernels.templates import elementwise as formulas
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.testing.running import Run

ROWS = 5


def square(x):
    return x * x


@template("n", grain=16, cost="2 * width")
def affine(
    f: rule, x: read["n, width"], scale: read["width"] | 1.0, offset: read["n"] | "T(width)", y: write["n, width"],
    total: write["n"] | None, by: real, times: integer, width: size, lo, hi,
):  # fmt: skip
    for r in range(lo, hi):
        summed = 0.0
        for j in range(width):
            y[r, j] = f(x[r, j]) * scale[j] * T(times) + offset[r] + by
            summed = summed + y[r, j]
        total[r] = summed


@template("count")
def counted(y: write, count: size, lo, hi):
    for i in range(lo, hi):
        y[i] = 1.0


@elementwise
def spread(
    x: read, of_row: read["row"] | 1.0, of_column: read["column"] | 0.0, y: write, twice: write | None, factor: value
):  # fmt: skip
    y = x * of_row * factor + of_column
    twice = 2 * (x * of_row)


@elementwise
def chosen(x: read, keep: read_int32, y: write):
    y = x if keep > 0 else 0.0


@fold
def sum_of(f: rule, x: read, weight: read["row"] | 1.0, p: reals, total: write["column"]):
    total = f(x, *p) * weight


@fold
def sum_all(x: read, total: write_float64["total"]):
    total = x


@elementwise
def joined(f: rule, xs: reads, y: write):
    y = f(*xs)


@elementwise
def shifted(x: read, by: real, y: write):
    y = x + by


@elementwise
def halved(x: read, y: write):
    y = 0.5 * x


def plus(x, y, z=0.0):
    return x + y + z


exec("def unread(x):\n    return x", globals())


class Calls:
    """A plan, and the operands with which each template can be called."""

    def __init__(self):
        plan = self.plan = Plan(True, "float64", ROWS)
        self.x, self.y, self.narrow = plan.buffer((4,)), plan.buffer((4,)), plan.buffer((3,))
        self.labels, self.other_dtype = plan.buffer((4,), "int32"), plan.buffer((4,), "float32")
        self.each, self.short = plan.buffer(()), plan.buffer((2,), per_row=False)
        self.third, self.other_labels = plan.buffer((3,), per_row=False), plan.buffer((4,), "int32")
        self.columns, self.weight = plan.buffer((4,), per_row=False), Variable(np.ones(4), "w")
        self.slot = plan.slot()
        plan.call(formulas.copy, x=self.y, y=self.x)
        self.correct = {
            affine: dict(f=square, x=self.x, y=self.y, by=1.5, times=2),
            counted: dict(y=self.y, count=4),
            spread: dict(x=self.x, y=self.y, factor=self.slot),
            chosen: dict(x=self.x, keep=self.labels, y=self.y),
            sum_of: dict(f=square, x=self.x, p=(), total=self.columns),
            sum_all: dict(x=self.x, total=plan.chunk_sums(-4)),
            joined: dict(f=plus, xs=[self.x, self.x], y=self.y),
            shifted: dict(x=self.labels, by=2, y=self.other_labels),
            halved: dict(x=self.x, y=self.y),
        }


MISTAKES = [  # (template, operands that are changed or, where they are None, left out; error; message)
    (affine, dict(x=None), TypeError, "the operand 'x' (read) is missing"),
    (affine, dict(f=None), TypeError, "the operand 'f' (rule) is missing"),
    (affine, dict(by=None), TypeError, "the operand 'by' (real) is missing"),
    (affine, dict(z="x"), TypeError, "it has no parameter 'z'; it has f, x, scale, offset, y, total, by"),
    (affine, dict(lo_=3), TypeError, "it has no parameter 'lo_'"),
    (affine, dict(x=np.ones((5, 4))), TypeError, "'x' must be a view, a weight or a slot, received ndarray"),
    (affine, dict(f="relu"), TypeError, "'f' must be a rule, a function written with def, received 'relu'"),
    (affine, dict(f=abs), TypeError, "'f' must be a rule, a function written with def, received <built-in"),
    (affine, dict(f=[square]), TypeError, "'f' must be a rule, a function written with def, received [<function"),
    (sum_of, dict(f=lambda x: x), TypeError, "'f' must be a rule, a function written with def, received <function <"),
    (affine, dict(f=plus), TypeError, "it gives its rule 'f' 1 number, and received plus(x, y, z=0.0)"),
    (sum_of, dict(f=plus), TypeError, "it gives its rule 'f' 1 number, and received plus(x, y, z=0.0)"),
    (sum_of, dict(p=[1.0, 2.0, 3.0], f=plus), TypeError, "it gives its rule 'f' 4 numbers, and received plus(x, y, z"),
    (sum_of, dict(f=unread), ValueError, "its rule 'f': The source of the rule 'unread' cannot be read"),
    (affine, dict(lo=7), TypeError, "'lo' is a bound of the part of its axis that a thread works on, and no operand"),
    (affine, dict(dtype="float16"), ValueError, "dtype must be one of float32, float64, int32, int64, uint8, received"),
    (spread, dict(dtype=3), ValueError, "dtype must be one of float32, float64, int32, int64, uint8, received 3"),
    (affine, dict(period=0), ValueError, "period must be an integer of at least 1, received 0"),
    (spread, dict(period=1.5), ValueError, "period must be an integer of at least 1, received 1.5"),
    (sum_of, dict(period="2"), ValueError, "period must be an integer of at least 1, received '2'"),
    (joined, dict(xs="x"), TypeError, "'xs' (reads) takes a sequence, such as a list, received View [rows×4]"),
    (joined, dict(xs="weight"), TypeError, "'xs' (reads) takes a sequence, such as a list, received Variable w[4]"),
    (joined, dict(xs=3), TypeError, "'xs' (reads) takes a sequence, such as a list, received int 3"),
    (joined, dict(xs=()), TypeError, "'xs' (reads) takes at least one view, received an empty sequence"),
    (joined, dict(f=square), TypeError, "it gives its rule 'f' 2 numbers, and received square(x)"),
    (shifted, dict(by=0.5), TypeError, "'by' must be an integer of int32, as its views are, received 0.5"),
    (shifted, dict(by=2**31), TypeError, "'by' must be an integer of int32, as its views are, received 2147483648"),
    (shifted, dict(by=float("nan")), TypeError, "'by' must be an integer of int32, as its views are, received nan"),
    (halved, dict(x="labels", y="other_labels"), ValueError, "0.5 is not a number of int32, the dtype of its views"),
    (sum_of, dict(total="y"), ValueError, "'total' must have one number for each column, without the rows"),
    (sum_all, dict(total="each"), ValueError, "must have a number for each of ⌈4·rows/4096⌉ chunks"),
    (sum_all, dict(total="slot"), ValueError, "must have a number for each of ⌈4·rows/4096⌉ chunks"),
    (affine, dict(by="much"), TypeError, "'by' must be a number, received 'much'"),
    (affine, dict(times=1.5), TypeError, "'times' must be an integer, received 1.5"),
    (affine, dict(y="other_dtype"), TypeError, "one dtype: x is float64, y is float32"),
    (affine, dict(y="narrow"), ValueError, "y [rows×3] has 3 as 'width', but x [rows×4] has 4"),
    (affine, dict(scale="short"), ValueError, "scale [2] has 2 as 'width', but x [rows×4] has 4"),
    (affine, dict(offset="columns"), ValueError, "offset [4] has 4 as 'n', but x [rows×4] has rows"),
    (affine, dict(y="x"), ValueError, "x [rows×4] and y [rows×4] overlap, and one of them is written"),
    (counted, dict(count=None), TypeError, "the size 'count' follows from no operand"),
    (counted, dict(count=3.5), TypeError, "'count' must be an integer, received 3.5"),
    (affine, dict(width="wide"), TypeError, "'width' must be an integer, received 'wide'"),
    (affine, dict(width=3.5), TypeError, "'width' must be an integer, received 3.5"),
    (affine, dict(width=np.int64(3)), ValueError, "x [rows×4] has 4 as 'width', but the call has 3"),
    (spread, dict(factor=1.0), TypeError, "'factor' must be a slot of the step block, received 1.0"),
    (spread, dict(of_row="columns"), ValueError, "of_row [4] has 4 elements, but [rows×4] has no axes of which"),
    (spread, dict(of_column="third"), ValueError, "of_column [3] has 3 elements, but [rows×4] has no axes of which"),
    (spread, dict(of_column="short"), ValueError, "of_column [2] has 2 elements, but [rows×4] has no axes of which"),
    (spread, dict(of_row="x", of_column="columns"), ValueError, "of_row [rows×4] has 4·rows elements, but the row of"),
    (spread, dict(y="narrow"), ValueError, "y [rows×3] has 3·rows elements, but another operand of [rows×4]"),
    (spread, dict(twice="y"), ValueError, "y [rows×4] and twice [rows×4] overlap"),
    (chosen, dict(keep="x"), TypeError, "'keep' must be int32, received [rows×4] of float64"),
    (sum_of, dict(total="short"), ValueError, "total [2] has 2 elements, but [rows×4] has no axes"),
    (sum_of, dict(total=None), TypeError, "the operand 'total' (write) is missing"),
    (sum_of, dict(p=("much",)), TypeError, "'p_0' must be a number, received 'much'"),
]  # fmt: skip


@pytest.mark.parametrize(("called", "changed", "error", "message"), MISTAKES)
def test_a_mistake_is_told_with_the_template_and_changes_nothing(called, changed, error, message):
    calls = Calls()
    operands = dict(calls.correct[called])
    for name, given in changed.items():
        operands[name] = getattr(calls, given) if isinstance(given, str) and hasattr(calls, given) else given
        if given is None:
            del operands[name]
    before, text = list(calls.plan.launches), str(calls.plan)
    with pytest.raises(error) as caught:
        calls.plan.call(called, **operands)
    assert f"The template {called.name!r}: " in str(caught.value)
    assert message in str(caught.value)
    assert calls.plan.launches == before and str(calls.plan) == text
    launch = calls.plan.call(called, **calls.correct[called])  # nothing else was wrong
    assert calls.plan.launches == [*before, launch]


def test_a_copy_that_was_made_for_a_call_goes_with_it():
    calls = Calls()
    apart = calls.plan.buffer((4, 6)).slice(-1, 1, 4)
    before = str(calls.plan)
    with pytest.raises(TypeError, match="'counted'"):
        calls.plan.call(counted, y=calls.y)
    with pytest.raises(TypeError, match="'offset'"):
        calls.plan.call(affine, **calls.correct[affine] | {"offset": "no view", "scale": apart})
    with pytest.raises(ValueError, match="the sizes do not fit"):
        calls.plan.product(calls.plan.buffer((4, 6)).slice(0, 1, 3), calls.weight, calls.y)
    assert str(calls.plan) == before


def test_a_layer_that_fails_leaves_the_plan_as_it_was():
    class Failing(layers.Layer):
        def forward(self, plan, x):
            plan.call(formulas.copy, x=x, y=plan.like(x), z=x)

        def backward(self, plan, dy, x, y):
            return dy

    plan = Plan(True, "float64", ROWS)
    plan.label = "before"
    with pytest.raises(TypeError):
        plan.apply(Failing(name="failing", dtype="float32"), plan.buffer((4,), "float32"))
    assert (plan.label, plan.dtype, plan.launches, plan.outputs) == ("before", "float64", [], [])


def test_a_parameter_without_a_kind():
    with pytest.raises(RuleError, match="The template 'unkind': the parameter 'x' has no kind"):

        @template()
        def unkind(x, y: write):
            y[0] = x


@pytest.mark.parametrize("name", ["row_count", "column_count", "x_at", "y_ld"])
def test_names_of_the_loop_are_no_parameters(name):
    names = {}
    exec(f"def formula({name}, y):\n    y = {name}", names)
    names["formula"].__annotations__ |= {name: "read", "y": "write"}
    with pytest.raises(RuleError, match=f"The template 'formula': '{name}' is a name of the loop"):
        elementwise(names["formula"])


AXES = {
    "n": lambda n, width: n,
    "n * width": lambda n, width: n * width,
    "chunks(n, 4)": lambda n, width: -(-n // 4),
    "chunks(n * width, 64)": lambda n, width: -(-n * width // 64),
    "3 * chunks(width * n, 5)": lambda n, width: 3 * -(-width * n // 5),
    "chunks(n, 4) * width": lambda n, width: -(-n // 4) * width,
    "n * chunks(width, 2)": lambda n, width: n * -(-width // 2),
    "chunks(n * width, chunks(width, 2))": lambda n, width: -(-n * width // -(-width // 2)),
}


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("axis", AXES)
def test_the_axis_is_as_long_for_the_batch_as_for_a_fixed_size(axis, per_row):
    @template(axis)
    def marked(x: read["n, width"], y: write["units"], units: size, lo, hi):
        for i in range(lo, hi):
            y[i] = 1.0

    for rows in (1, 2, 7, 64, 131):
        plan = Plan(False, "float64", rows)
        x = plan.buffer((3,)) if per_row else plan.buffer((rows, 3), per_row=False)
        launch = plan.call(marked, x=x, y=plan.buffer((1000,), per_row=False))
        assert launch.extent.at(rows) == AXES[axis](rows, 3)


@pytest.mark.parametrize(("axis", "problem"), [
    ("n * n", "it has the rows of the batch in it twice"),
    ("n * chunks(n, 4)", "it has the rows of the batch in it twice"),
    ("chunks(width, n)", "chunks are of a fixed size"),
])  # fmt: skip
def test_an_axis_that_does_not_follow_from_the_batch(axis, problem):
    @template(axis)
    def squared(x: read["n, width"], y: write["n, width"], lo, hi):
        for i in range(lo, hi):
            y[i, 0] = 1.0

    plan = Plan(False, "float64", ROWS)
    with pytest.raises(TypeError, match=re.escape(f"The template 'squared': its axis {axis!r}: {problem}.")):
        plan.call(squared, x=plan.buffer((3,)), y=plan.buffer((3,)))
    assert not plan.launches


def test_the_product_says_what_does_not_fit():
    plan = Plan(True, "float64", ROWS)
    x, w, y = plan.buffer((3,)), Variable(np.ones((3, 4)), "w", path="layer/w"), plan.buffer((4,))
    for arguments, message in [
        ((w, x, y), r"op\(a\) is 3×4, op\(b\) rows×3"),
        ((y, Variable(np.ones((4, 4)), "w"), y), "overlap"),
        ((x, w, plan.buffer((3,))), "the sizes do not fit"),
        ((x, w, y, Variable(np.ones(3), "b")), "bias .*the sizes do not fit"),
        ((x, w, plan.buffer((4, 6)).slice(0, 1, 3).slice(-1, 0, 2)), "c .* uneven distances"),
    ]:
        with pytest.raises(ValueError, match=f"product.*: .*{message}"):
            plan.product(*arguments)
    assert not plan.launches


# ---- optional operands


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_optional_operands_of_a_loop(scale, offset, total):
    rng = np.random.default_rng(0)
    plan = Plan(True, "float64", ROWS)
    x, y, offsets, sums = plan.buffer((4,)), plan.buffer((4,)), plan.buffer(()), plan.buffer(())
    weight = Variable(rng.standard_normal(4), "scale")
    given = {"scale": weight} if scale else {}
    given |= {"offset": offsets} if offset else {}
    given |= {"total": sums} if total else {}
    plan.call(affine, f=square, x=x, y=y, by=0.25, times=3, **given)
    run, values = Run(plan, ROWS, [x, y, offsets, sums]), rng.standard_normal((ROWS, 4))
    run.set(x, values)
    run.set(offsets, np.arange(5.0))
    run.set(sums, -1.0)
    run.steps()
    want = values**2 * (weight.array if scale else 1) * 3 + (np.arange(5.0)[:, None] if offset else 4) + 0.25
    np.testing.assert_allclose(run.get(y), want, rtol=1e-14)
    np.testing.assert_allclose(run.get(sums), want.sum(1) if total else -1.0, rtol=1e-13)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("row", [False, True])
def test_optional_operands_of_a_formula(row, column, twice):
    rng = np.random.default_rng(0)
    plan = Plan(True, "float64", ROWS)
    x, y, doubled, of_row = plan.buffer((4,)), plan.buffer((4,)), plan.buffer((4,)), plan.buffer(())
    of_column, factor = Variable(rng.standard_normal(4), "c"), plan.slot()
    given = {"of_row": of_row} if row else {}
    given |= {"of_column": of_column} if column else {}
    given |= {"twice": doubled} if twice else {}
    plan.call(spread, x=x, y=y, factor=factor, **given)
    run, values, rows = Run(plan, ROWS, [x, y, doubled, of_row]), rng.standard_normal((ROWS, 4)), np.arange(5.0)
    run.set(x, values)
    run.set(of_row, rows)
    run.set(doubled, -1.0)
    run.bound.scalars[factor.index] = 0.5
    run.steps()
    scaled = values * (rows[:, None] if row else 1)
    np.testing.assert_allclose(run.get(y), scaled * 0.5 + (of_column.array if column else 0), rtol=1e-14)
    np.testing.assert_array_equal(run.get(doubled), 2 * scaled if twice else np.full((ROWS, 4), -1.0))


@pytest.mark.parametrize("weighted", [False, True])
def test_optional_operands_of_a_fold(weighted):
    plan = Plan(True, "float64", ROWS)
    x, weight, total = plan.buffer((3,)), plan.buffer(()), plan.buffer((3,), per_row=False)
    plan.call(sum_of, f=square, x=x, p=(), total=total, **({"weight": weight} if weighted else {}))
    run, weights = Run(plan, ROWS, [x, weight, total]), np.arange(5.0)
    values = np.random.default_rng(0).random((ROWS, 3))
    run.set(x, values)
    run.set(weight, weights)
    run.steps()
    want = (values**2 * (weights[:, None] if weighted else 1)).sum(0)
    np.testing.assert_allclose(run.get(total), want, rtol=1e-14)
