"""The generator: what a rule becomes, and that the compiled rule computes what Python computes."""

import ast
import math
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
from numba.core import types

import fastnet
from fastnet._kernels import compile as compiler
from fastnet._kernels import templates
from fastnet._kernels.chain import Chain, ChainStep
from fastnet._kernels.entry import Writer
from fastnet._kernels.errors import RuleError
from fastnet._kernels.generate import Kernel
from fastnet._kernels.pasting import check_rule
from fastnet._kernels.rules.updates.adam_update import adam
from fastnet._kernels.template import Template
from fastnet._kernels.templates import elementwise, update
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.testing.running import Run

OUTSIDE = 1.5


def twice(x, by=2):
    return x * by


def tanh(x):  # the name of what it calls
    return math.tanh(x)


def rules():
    """(rule, points): one construct each."""

    def powers(x):
        return x**2 + (x + 1) ** 3 - OUTSIDE**2 + 2**x

    def general_power(x):
        return abs(x) ** 0.5 + abs(x) ** -1.0 + x**5

    def conditional(x):
        return -1 if x < -1 else (1 if x > 1 and not x > 3 else x)

    def branches(x):
        y = 0.0
        if x > 0:
            y += x
        else:
            y -= 2 * x
        return y

    def constants(x):
        return x + math.pi - math.e + OUTSIDE + 1e-3

    def helpers(x):
        return twice(x) + twice(x, 5) + tanh(x)

    def functions(x):
        a = abs(x) + 0.5
        return (
            math.exp(x) + math.expm1(x) + math.log(a) + math.log1p(a) + math.pow(a, 1.7) + math.sqrt(a)
            + math.erf(x) + math.sin(x) + math.cos(x) + math.floor(x) + math.fabs(x) + math.copysign(2.0, x)
        )  # fmt: skip

    return [tanh, powers, general_power, conditional, branches, constants, helpers, functions]


def kernel_of(rule, dtype):
    """A rule in a loop over elements."""
    plan = Plan(False, dtype, 1)
    return plan.call(elementwise.apply, f=rule, x=plan.buffer((3,)), y=plan.buffer((3,)), p=()).kernel


def compiled(rule, x):
    """The rule over an array, through a kernel of the array's dtype."""
    plan = Plan(False, x.dtype.name, 1)
    source, result = plan.buffer(x.shape), plan.buffer(x.shape)
    plan.call(elementwise.apply, f=rule, x=source, y=result, p=())
    run = Run(plan, 1, [source, result])
    run.set(source, x)
    run.steps()
    return run.get(result)[0]


def test_numba_leaves_its_code_as_written_and_marks_pointers():
    """fastnet optimises a kernel once, as a whole; hooks of numba that were renamed would show here."""
    relu = fastnet._kernels.registry.activations["relu"].f
    kernel = kernel_of(relu, "float32")
    text, _ = compiler.numba_ir(kernel.source(), "as_written")
    assert "alloca" in text and "x float>" not in text
    (body,) = (line for line in text.splitlines() if line.startswith("define") and "body" in line)
    assert re.search(r"ptr noalias [^,]*%arg\.x_at, ptr noalias [^,]*%arg\.y_at", body)
    assert "x float>" in compiler.texts(kernel.source())[0]


def test_a_debugging_session_changes_no_code(monkeypatch):
    from numba.core import config

    monkeypatch.setattr(config, "DEBUGINFO_DEFAULT", 1)
    kernel = kernel_of(parabola, "float32")
    assert "debug" not in compiler.assembly(kernel.source())


def parabola(x):
    return x * x + x


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.__name__)
def test_the_kernel_computes_what_the_function_computes(rule):
    x = np.random.default_rng(0).uniform(-4, 4, 131)
    wanted = np.array([rule(v) for v in x.tolist()], float)
    np.testing.assert_allclose(compiled(rule, x), wanted, rtol=1e-13, atol=1e-13)
    narrow = compiled(rule, x.astype("f"))
    assert narrow.dtype == np.float32
    # The widest of them grows like e^4 and x^5: a few float32 roundings of its largest term.
    np.testing.assert_allclose(narrow, [rule(v) for v in x.astype("f").tolist()], rtol=3e-6, atol=3e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_literal_has_the_dtype(dtype):
    def rule(x):
        return 2 * x + 0.5 - OUTSIDE + math.pi * -3 + math.inf

    tree = ast.parse(kernel_of(rule, dtype).source().text())
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == f"rule_{dtype}")
    bare = [n for n in ast.walk(function) if isinstance(n, ast.Constant)]
    typed = [n.args[0] for n in ast.walk(function) if isinstance(n, ast.Call) and ast.unparse(n.func) == "T"]
    for constant in bare:
        assert any(constant in ast.walk(argument) for argument in typed)
    assert len(typed) == 6
    assert f"T = np.{dtype}" in ast.unparse(tree)


def test_repeated_parameters_are_written_out():
    plan = Plan(True, "float32", 1)
    w, *states, gradient = (Variable(np.zeros(3, "f"), name) for name in ("w", "m", "v", "g"))
    scalars = [plan.slot() for _ in range(4)]
    launch = plan.call(update.apply_update, f=adam, w=w, g=gradient, states=states, scalars=scalars)
    names = [name for name, _ in launch.kernel.parameters]
    assert names == ["w", "g", "states_0", "states_1", "scalars_0", "scalars_1", "scalars_2", "scalars_3"]
    assert (
        "w_, states_0_, states_1_ = adam_float32(w_, g_, states_0_, states_1_, scalars_0_, scalars_1_, scalars_2_, "
        "scalars_3_)" in launch.kernel.source().text()
    )


def test_a_module_is_complete():
    """Its text alone, in an empty namespace, names nothing that is missing; the entry's names are `entry.Writer`'s."""
    kernel = kernel_of(rules()[-2], "float64")
    text = kernel.source().text()
    namespace = {"rule": lambda f: f, "body": lambda f: f}
    exec(compile(text, "generated", "exec"), namespace)
    Writer(types.float64, 0).record(namespace["kernel"], 3)
    *rest, entry = ast.parse(text).body
    assert entry.name == "kernel"
    for node in ast.walk(ast.Module(rest)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            known = node.id in namespace or node.id in dir(__builtins__) or node.id in __builtins__
            local = any(node.id in f.__code__.co_varnames for f in namespace.values() if hasattr(f, "__code__"))
            assert known or local, node.id


def test_another_formula_is_another_kernel():
    def make(factor):
        def rule(x):
            return factor * x

        return rule

    sources = [kernel_of(make(factor), "float64").source() for factor in (2.0, 2.0, 3.0)]
    keys = [compiler.key(source) for source in sources]
    assert keys[0] == keys[1] != keys[2]
    x = np.array([1.0, 2.0])
    assert compiled(make(2.0), x).tolist() == [2.0, 4.0]
    assert compiled(make(3.0), x).tolist() == [3.0, 6.0]


KERNELS = Path(compiler.__file__).parent


def declared(module):
    """The templates of a module."""
    found = vars(import_module(f"{templates.__name__}.{module}")).values()
    return [item for item in found if isinstance(item, Template)]


def files_of(template):
    """The files from which a template has what it names, and two that write every kernel's text."""
    names = set(template.function.__code__.co_names)
    found = {Path(template.file), KERNELS / "abi.py", KERNELS / "pasting.py"}
    for node in ast.walk(ast.parse(Path(template.file).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and names & {alias.name for alias in node.names}:
            found.add(KERNELS.joinpath(*node.module.split(".")[2:]).with_suffix(".py"))
    return found


@pytest.mark.parametrize("module", [module.name for module in iter_modules(templates.__path__)])
def test_a_change_in_what_a_template_names_is_another_kernel(module, monkeypatch):
    """Numbers of other modules are written into the text: the cache must not give kernels of older ones."""
    contents, changed = compiler.contents, None
    monkeypatch.setattr(compiler, "shared_sources", compiler.shared_sources.__wrapped__)
    monkeypatch.setattr(compiler, "contents", lambda path: contents(path) + "#" * (Path(path) == changed))
    for template in declared(module):
        source = Kernel(template if template.form == "loop" else Chain((ChainStep(template, ()),), ())).source()
        changed = None
        before = compiler.key(source)
        for changed in files_of(template):
            assert changed.exists() and compiler.key(source) != before, (template, changed)
        changed = KERNELS / "registration.py"  # which only checks what users declare
        assert compiler.key(source) == before


def test_two_rules_of_one_name_live_together():
    def outer():
        def helper(x):
            return x + 1

        return helper

    inner = outer()

    def helper(x):
        return inner(x) * 10

    assert compiled(helper, np.array([1.0])).tolist() == [20.0]


@pytest.mark.parametrize(("rule", "message"), [
    (lambda x: x, "not a function written with def"),
    (math.exp, "plain Python function"),
])  # fmt: skip
def test_what_is_no_rule(rule, message):
    with pytest.raises(RuleError, match=message):
        check_rule(rule)


def test_min_and_max_are_refused():
    def rule(x):
        return max(x, 0)

    with pytest.raises(RuleError, match=r"max\(\) loses NaN; write a conditional"):
        check_rule(rule)


def test_what_numba_refuses_is_told_in_our_words_first():
    def rule(x):
        y = (x, x) if x > 0 else x
        return y

    with pytest.raises(fastnet.KernelError) as caught:
        compiled(rule, np.ones(3))
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("The kernel 'apply_rule_float64' does not compile. Its generated source is ")
    assert rest[0].startswith("numba says: ")
