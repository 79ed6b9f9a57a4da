"""`fastnet.extend`: kinds as users write them, and one sentence for each mistake, before any kernel runs."""

import linecache
import math
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest

import fastnet
from fastnet import extend
from fastnet._kernels import templates
from fastnet._kernels.template import Template

ROOT = Path(__file__).parents[1]
ROUNDS = 3
HALF = np.float64(0.5)


def third(x, by=3.0):
    return x / by


def cell(text, filename, **names):
    """What a notebook's cell defines: its text can be found again under the file's name."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace = {"__name__": "notebook", "extend": extend, "fastnet": fastnet, "math": math, **names}
    exec(compile(text, filename, "exec", dont_inherit=True), namespace)
    return namespace


def ran(template, x, dtype="float64", **more):
    """y of a template that reads x and writes y of the same shape."""
    plan = extend.Plan(training=False, dtype=dtype)
    source, result = plan.buffer(x.shape[1:]), plan.buffer(x.shape[1:])
    plan.call(template, x=source, y=result, **more)
    return extend.run_once(plan, {source: x.astype(dtype)}, result)


BODY = """
@{0}template("n", cost="width")
def doubled(x: {1}, y: {2}, width: {0}size, lo, hi):
    for r in range(lo, hi):
        for j in range(width):
            y[r, j] = 2.0 * x[r, j]
"""
FUTURE = "from __future__ import annotations\n"


@pytest.mark.parametrize(("first", "text"), [
    ("", BODY.format("extend.", 'extend.read["n, width"]', 'extend.write["n, width"]')),
    ("", BODY.format("fastnet.extend.", 'fastnet.extend.read["n, width"]', 'fastnet.extend.write["n, width"]')),
    (FUTURE, BODY.format("extend.", "extend.read[n, width]", "extend.write[n, width]")),
    (FUTURE + "from fastnet.extend import *\n", BODY.format("", "read[n, width]", 'write["n, width"]')),
    ("from fastnet.extend import *\n", BODY.format("", 'read["n, width"]', 'write["n, width"]')),
])  # fmt: skip
def test_annotations_in_a_cell(first, text):
    doubled = cell(first + text, f"<cell {hash(first + text)}>")["doubled"]
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ran(doubled, x), 2 * x)


@pytest.mark.parametrize("first", ["", FUTURE])
def test_annotations_in_a_file(tmp_path, monkeypatch, first):
    name = f"own_templates_{len(first)}"
    text = BODY.format("extend.", 'extend.read["n, width"]', 'extend.write["n, width"]')
    (tmp_path / f"{name}.py").write_text(f"{first}from fastnet import extend\n{text}")
    monkeypatch.syspath_prepend(tmp_path)
    np.testing.assert_array_equal(ran(import_module(name).doubled, np.ones((2, 3))), np.full((2, 3), 2.0))


def test_a_template_uses_numbers_rules_and_math_from_outside():
    shift = 4

    def inner(x):
        return x + shift

    @extend.template("n", cost="width")
    def mixed(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
        for r in range(lo, hi):
            for j in range(width):
                y[r, j] = 0.0
                for _ in range(ROUNDS):
                    y[r, j] += inner(third(x[r, j])) * HALF + math.exp(-math.inf)

    @extend.elementwise
    def mixed_elements(x: extend.read, y: extend.write):
        y = ROUNDS * (inner(third(x)) * HALF + math.exp(-math.inf))

    x = np.arange(6.0).reshape(2, 3)
    for template in (mixed, mixed_elements):
        for dtype, tolerance in (("float64", 1e-15), ("float32", 1e-6)):
            np.testing.assert_allclose(ran(template, x, dtype), ROUNDS * (x / 3 + 4) * 0.5, rtol=tolerance)


def test_optional_operands_of_a_loop():
    @extend.template("n", cost="width")
    def weighted(
        x: extend.read["n, width"], weight: extend.read["width"] | 1.0, y: extend.write["n, width"],
        total: extend.write["n"] | None, width: extend.size, lo, hi,
    ):  # fmt: skip
        for r in range(lo, hi):
            total[r] = 0.0
            for j in range(width):
                y[r, j] = x[r, j] * weight[j]
                total[r] += y[r, j]

    x, plan = np.arange(6.0).reshape(2, 3), extend.Plan(training=False, dtype="float64")
    np.testing.assert_array_equal(ran(weighted, x), x)
    source, factors, y, total = plan.buffer((3,)), plan.buffer((3,), per_row=False), plan.buffer((3,)), plan.buffer(())
    plan.call(extend.fill, y=factors, number=2.0)
    plan.call(weighted, x=source, weight=factors, y=y, total=total)
    np.testing.assert_array_equal(extend.run_once(plan, {source: x}, total).ravel(), 2 * x.sum(axis=1))


@pytest.mark.parametrize("form", ["loop", "formula"])
def test_results_of_one_assignment_are_all_given_or_none(form):
    """Without `twice` the other result must not be left out with it."""
    text = {
        "formula": "@extend.elementwise\ndef t(x: extend.read, y: extend.write, twice: extend.write | None):\n"
        "    y, twice = x + 1.0, 2.0 * x\n",
        "loop": '@extend.template("n")\n'
        'def t(x: extend.read["n"], y: extend.write["n"], twice: extend.write["n"] | None, lo, hi):\n'
        "    for i in range(lo, hi):\n        y[i], twice[i] = x[i] + 1.0, 2.0 * x[i]\n",
    }[form]
    template = cell(text, f"<both results of a {form}>")["t"]
    plan = extend.Plan(training=False, dtype="float64")
    x, y, twice = (plan.buffer((3,)) for _ in range(3))
    with pytest.raises(fastnet.RuleError, match="assigns several operands, of which one is missing"):
        plan.call(template, x=x, y=y)
    plan.call(template, x=x, y=y, twice=twice)
    np.testing.assert_array_equal(extend.run_once(plan, {x: np.array([[1.0, 2.0, 3.0]])}, twice), [[2.0, 4.0, 6.0]])


ADDS = """@extend.template("n", cost="width")
def t(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
    for r in range(lo, hi):
        for j in range(width):
            {}
"""
DECLARED = {
    "unannotated": ("@extend.elementwise\ndef t(x, y: extend.write):\n    y = x", "the parameter 'x' has no kind"),
    "not a kind": (
        FUTURE + "@extend.elementwise\ndef t(x: extend.reed, y: extend.write):\n    y = x",
        "the parameter 'x': 'extend.reed' is not a kind",
    ),
    "axis": (
        '@extend.template("rows")\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "its axis 'rows' names 'rows', which is not a size; its sizes are: n",
    ),
    "cost": (
        '@extend.template("n", cost="width")\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "its cost 'width' names 'width', which is not a size",
    ),
    "a sum in an axis": (
        '@extend.template("n + 1")\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "its axis 'n + 1' has more than products of sizes and chunks(size, 64)",
    ),
    "a quotient in an axis": (
        '@extend.template("n // 2")\ndef t(x: extend.update["n"], lo, hi):\n    pass', "has more than products of sizes"
    ),
    "chunks of chunks": (
        '@extend.template("chunks(chunks(n, 64), 4)")\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "has more than products of sizes",
    ),
    "chunks without a size": (
        '@extend.template("chunks(n)")\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "has more than products of sizes",
    ),
    "axis syntax": ('@extend.template("n *")\ndef t(x: extend.update["n"], lo, hi):\n    pass', "is not an expression"),
    "no lo": ('@extend.template("n")\ndef t(x: extend.update["n"]):\n    pass', "add the parameters lo, hi"),
    "no axis": ("@extend.template()\ndef t(x: extend.update, lo, hi):\n    pass", "but no axis"),
    "default": ("@extend.elementwise\ndef t(x: extend.read = 1, *, y: extend.write):\n    y = x", "has a default"),
    "star": ("@extend.elementwise\ndef t(*x, y: extend.write):\n    y = x", "takes * or **"),
    "dimensions of a formula": (
        '@extend.elementwise\ndef t(x: extend.read["n"], y: extend.write):\n    y = x',
        "'x' has the dimensions n; here it has row or column",
    ),
    "writes nothing": ("@extend.elementwise\ndef t(x: extend.read):\n    x", "it writes nothing"),
    "a fold": ("@extend.fold\ndef t(x: extend.read, y: extend.write):\n    y = x", "'y' of a fold is summed"),
    "a row in a sum over all elements": (
        '@extend.fold\ndef t(x: extend.read, w: extend.read["row"], y: extend.write_float64["total"]):\n    y = w * x',
        "'w' has the dimensions row, but a sum over all elements knows neither rows nor columns",
    ),
    "a column in a sum over all elements": (
        '@extend.fold\ndef t(x: extend.read, w: extend.read["column"], y: extend.write_float64["total"]):\n    y = w',
        "'w' has the dimensions column, but a sum over all elements knows neither rows nor columns",
    ),
    "an axis that is no text": (
        '@extend.template(5)\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "its axis must be a string such as \"n\", received 5",
    ),
    "no parentheses": (
        '@extend.template\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        'write `@template("n")` with its axis, or `@template()` where it has none',
    ),
    **{
        f"grain {grain}": (
            f'@extend.template("n", grain={grain})\ndef t(x: extend.update["n"], lo, hi):\n    pass',
            f"its grain must be an integer of at least 1, received {grain}",
        )
        for grain in ("0", "-1", "'3'", "2.5", "True")
    },
    "a cost that cannot be computed": (
        '@extend.template("n", cost="n / 0")\ndef t(x: extend.update["n"], lo, hi):\n    pass',
        "its cost 'n / 0' cannot be computed: division by zero",
    ),
    "no else": (
        "@extend.elementwise\ndef t(x: extend.read, y: extend.write):\n    if x > 2:\n        y = x",
        "'y' is not assigned on every path, and would keep what it held before; assign it in both branches; to leave "
        "old values alone declare it `update`",
    ),
    "no inner else": (
        "@extend.elementwise\ndef t(x: extend.read, y: extend.write):\n    if x > 2:\n        y = x\n"
        "    else:\n        if x > 1:\n            y = 1.0",
        "'y' is not assigned on every path",
    ),
    "a fold without else": (
        '@extend.fold\ndef t(x: extend.read, y: extend.write["column"]):\n    if x > 2:\n        y = x',
        "'y' is not assigned on every path",
    ),
    "never assigned": (
        "@extend.elementwise\ndef t(x: extend.read, y: extend.write, z: extend.write):\n    y = x",
        "'z' is a write operand and is never assigned",
    ),
    "read before": (
        "@extend.elementwise\ndef t(x: extend.read, y: extend.write):\n    y = x + y",
        "'y' is read where it may not be assigned yet; assign it before, in both branches of an if; to read old values "
        "declare it `update` (line 3 of its source)",
    ),
    "added to before": (
        "@extend.elementwise\ndef t(x: extend.read, y: extend.write):\n    y += x", "'y' is read where it may not be"
    ),
    "a variable without else": (
        "@extend.elementwise\ndef t(x: extend.read, y: extend.write):\n    if x > 2:\n        z = x\n    y = z",
        "'z' is read where it may not be assigned yet; assign it before, in both branches of an if (line 5",
    ),
    "a loop that adds": (
        ADDS.format("y[r, j] += x[r, j]"),
        "`y[r, j] += x[r, j]` reads 'y', which nothing assigns before, and a write operand holds no values; declare it "
        "`update` (line 5 of its source)",
    ),
    "a loop that adds to what it reads": (ADDS.format("y[r, j] = y[r, j] + x[r, j]"), "declare it `update`"),
    "a loop that assigns nothing": (
        ADDS.format("total = x[r, j]"), "'y' is a write operand and is never assigned"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DECLARED)
def test_a_mistake_in_a_declaration(name):
    text, message = DECLARED[name]
    with pytest.raises(fastnet.RuleError, match=re.escape(message)) as caught:
        cell(text + "\n", f"<declared {name}>")
    assert str(caught.value).startswith("The template 't': ")


@pytest.mark.parametrize("body", [
    "if x > 2:\n        y = x\n    else:\n        y = -x",
    "y = -x\n    if x > 2:\n        y = x",
    "z = -x\n    if x > 2:\n        z += 2.0 * x\n    y = z",
])  # fmt: skip
def test_a_formula_that_assigns_on_every_path(body):
    template = cell(ELEMENT.format(body), f"<every path {body}>")["t"]
    x = np.array([[1.0, 3.0, -1.0, 5.0]])
    np.testing.assert_array_equal(ran(template, x), np.where(x > 2, x, -x))


def test_a_loop_may_read_what_another_statement_assigns():
    text = """@extend.template("n", cost="width")
def t(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
    for r in range(lo, hi):
        for j in range(width):
            if j > 0:
                y[r, j] = y[r, j - 1] + x[r, j]
            else:
                y[r, j] = 0.0
                y[r, j] += x[r, j]
"""
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ran(cell(text, "<reads another>")["t"], x), np.cumsum(x, axis=1))


HEAD = (
    '@extend.template("n", cost="width")\ndef t(x: extend.read["n, width"], y: extend.write["n, width"], {}lo, hi):\n'
)
LOOP = (
    HEAD.format("width: extend.size, ")
    + "    for r in range(lo, hi):\n        for j in range(width):\n            {}\n"
)
ELEMENT = "@extend.elementwise\ndef t(x: extend.read, y: extend.write):\n    {}\n"
CALLED = {
    "one index": (LOOP.format("y[r, j] = x[j]"), "x[j]: an element of 'x', a view of 2 dimensions, is x[row, column]"),
    "three indices": (LOOP.format("y[r, j, 0] = x[r, j]"), "an element of 'y', a view of 2 dimensions, is y[row, col"),
    "a view as a number": (LOOP.format("y[r, j] = x"), "'x' is a view, and only its elements are numbers"),
    "an unknown name": (LOOP.format("y[r, j] = x[r, j] * nowhere"), "the name 'nowhere' is neither a parameter"),
    "an unknown function": (LOOP.format("y[r, j] = lookup(x[r, j])"), "lookup is not among the functions"),
    "an unknown function of math": (
        LOOP.format("y[r, j] = math.gamma(x[r, j])"),
        "math.gamma is not among the functions",
    ),
    "an attribute": (LOOP.format("y[r, j] = x.shape"), "'x.shape' is not known"),
    "by name": (LOOP.format("y[r, j] = math.pow(x[r, j], y=2)"), "passes arguments by name"),
    "too few": (LOOP.format("y[r, j] = third()"), "'third' takes 2 arguments and gets 0"),
    "what is read": (LOOP.format("x[r, j] = 0.0"), "is assigned, but 'x' is read"),
    "a result": (LOOP.format("return"), "it returns"),
    "not its part": (LOOP.replace("range(lo, hi)", "range(width)").format("y[r, j] = x[r, j]"), "keep to its part"),
    "an element with an index": (ELEMENT.format("y = x[0]"), "x[0]: each name of a formula stands for one element"),
    "an element that is read": (ELEMENT.format("x = y"), "'x' is assigned, but is a read"),
    "a name in a formula": (ELEMENT.format("y = x * nowhere"), "the name 'nowhere' is neither a parameter"),
}


@pytest.mark.parametrize("name", CALLED)
def test_a_mistake_in_a_body_shows_where_the_call_stands(name):
    text, message = CALLED[name]
    template = cell(text, f"<called {name}>", third=third)["t"]
    plan = extend.Plan(training=False, dtype="float64")
    with pytest.raises(fastnet.RuleError, match=re.escape(message)) as caught:
        plan.call(template, x=plan.buffer((3,)), y=plan.buffer((3,)))
    assert str(caught.value).startswith("The template 't': ")
    assert not plan.launches


def test_a_cost_that_a_size_makes_infinite():
    text = LOOP.replace('cost="width"', 'cost="1 / (width - 3)"').format("y[r, j] = x[r, j]")
    template = cell(text, "<infinite cost>")["t"]
    plan = extend.Plan(training=False, dtype="float64")
    plan.call(template, x=plan.buffer((4,)), y=plan.buffer((4,)))
    with pytest.raises(TypeError, match=r"The template 't': its cost '1 / \(width - 3\)': division by zero"):
        plan.call(template, x=plan.buffer((3,)), y=plan.buffer((3,)))


@pytest.mark.parametrize("number", ["1", b"1", None, "one"])
def test_a_number_is_no_text(number):
    plan = extend.Plan(training=False, dtype="float64")
    with pytest.raises(TypeError, match="The template 'scale': .*'factor'.* (must be a number|is missing)"):
        plan.call(extend.scale, x=plan.buffer((3,)), y=plan.buffer((3,)), factor=number)


@pytest.mark.parametrize(("what", "named"), [(third, "'third'"), (math.sin, "'sin'"), (None, "None")])
def test_what_is_called_is_a_template(what, named):
    plan = extend.Plan(training=False, dtype="float64")
    for operands in ({}, {"x": plan.buffer((3,))}):
        with pytest.raises(TypeError, match=f"plan.call takes a template, received {named}: declare one with"):
            plan.call(what, **operands)


@pytest.mark.parametrize("declare", [extend.elementwise, extend.fold, extend.template("n")])
def test_what_is_declared_is_a_function(declare):
    with pytest.raises(fastnet.RuleError, match="declared from a function written with def, received 5"):
        declare(5)


def test_a_source_that_cannot_be_read():
    namespace = {"extend": extend}
    exec(compile(ELEMENT.format("y = x"), "<gone>", "exec"), namespace)
    plan = extend.Plan(training=False, dtype="float64")
    with pytest.raises(fastnet.RuleError, match="The source of the template 't' cannot be read"):
        plan.call(namespace["t"], x=plan.buffer((3,)), y=plan.buffer((3,)))


def test_what_the_compiler_refuses_names_the_kernel():
    template = cell(LOOP.format("y[r, j] = (x[r, j], x[r, j])"), "<refused>")["t"]
    with pytest.raises(fastnet.KernelError, match="The kernel 't_float64' does not compile. Its generated source is"):
        ran(template, np.ones((2, 3)))


def test_fastnets_own_templates_are_declared_as_users_must():
    found = 0
    for module in iter_modules(templates.__path__):
        for item in vars(import_module(f"{templates.__name__}.{module.name}")).values():
            if isinstance(item, Template):
                item.check()
                found += 1
    assert found > 80


def test_no_page_and_no_example_imports_what_is_inside():
    pages = [
        *ROOT.glob("docs/*.md"),
        ROOT / "README.md",
        *ROOT.glob("examples/**/*.py"),
        *ROOT.glob("examples/**/*.ipynb"),
    ]
    assert len(pages) > 4
    for page in pages:
        assert not re.search(r"(from|import) +fastnet\._kernels", page.read_text("utf-8")), page.name
    assert "fastnet._kernels" not in (ROOT / "docs" / "extending.md").read_text("utf-8")


def test_extend_is_an_attribute_that_is_imported_on_demand():
    program = "import fastnet, sys; assert 'fastnet.extend' not in sys.modules; print(fastnet.extend.Plan.__name__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "Plan\n"
