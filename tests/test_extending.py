"""docs/extending.md is run, block by block; what registering from outside gives, and what it refuses."""

import linecache
import math
import platform
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, testing
from fastnet._kernels import compile as compiler
from fastnet._kernels import registry
from fastnet._kernels.rules import derived, elementary, primitives
from fastnet.extend import integer, read, value, write
from fastnet.testing.running import double_instructions

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture(autouse=True)
def tables():
    """What a test registers is gone after it."""
    before = [(table, dict(table)) for table in (registry.activations, registry.losses, registry.updates)]
    yield
    for table, rows in before:
        table.clear()
        table.update(rows)


def blocks():
    text = PAGE.read_text(encoding="utf-8")
    return [
        (text[: match.start()].count("\n") + 2, match.group(1))
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def run_text(text, filename, namespace):
    """As a notebook runs a cell: the text can be found again under the file's name."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


@pytest.mark.slow
def test_every_block_of_the_page_runs(capsys):
    namespace = {"__name__": "extending_page"}
    found = blocks()
    assert len(found) >= 9
    for line, text in found:
        run_text(text, f"<docs/extending.md:{line}>", namespace)
    out = capsys.readouterr().out
    # The comments of the page say what is printed.
    assert "instead of a lambda" in out
    assert "max() loses NaN" in out
    assert "The kernel 'apply_confused_float64' does not compile. Its generated source is" in out
    for text in re.findall(r"print\(error\)  # (The template .*?);? ?\.\.\.$", PAGE.read_text("utf-8"), re.MULTILINE):
        assert text in out
    assert "The template 'add': the operand 'b' (read) is missing." in out
    for text in re.findall(r"print\(error\)  # (activation .*?) \.\.\.$", PAGE.read_text("utf-8"), re.MULTILINE):
        assert text in out
    assert out.count("the same bits on 1 and 2") == sum("print(testing.check_" in text for _, text in found)
    for name in ("Gated", "Square", "Scale", "RunningMaximum", "LastStep"):
        assert f"layer {name}\n" in out
    shown = re.search(r"^```text\n(forward .*?)```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert shown.group(1) in out


def test_registering_takes_under_ten_lines():
    registering = [text for _, text in blocks() if "fastnet.register_" in text]
    for text in registering[:4]:
        assert len([line for line in text.splitlines() if line.strip()]) <= 10


def test_the_page_lists_exactly_what_the_generator_knows():
    text = PAGE.read_text(encoding="utf-8")
    listed = text[text.index("* These functions of `math`") : text.index("Three habits")]
    functions, names = listed.split("* The primitives of `fastnet.extend.primitives`")
    rules = {name.rsplit("_", 1)[0] for name in elementary.__all__}
    rules |= {*derived.FUNCTIONS, "where", "isnan", "isinf", "isfinite"}
    shared = {name for name in primitives.NAMES if hasattr(math, name) and callable(getattr(math, name))} - {"fma"}
    assert set(re.findall(r"`([a-z0-9]+)`", functions)) - {"math", "numpy", "arctan"} == rules | shared
    assert set(re.findall(r"`([a-z0-9_]+)`", names)) == set(primitives.NAMES)


def test_a_function_of_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import math
        import fastnet
        SLOPE = 0.25

        def helper(x, by=2.0):
            return x * by

        def serf(x):
            return helper(math.erf(x)) if x > 0 else SLOPE * helper(x, 4.0)

        fastnet.register_activation("serf", serf)
        print(fastnet.activations.get("serf")([-1.0, 1.0]).tolist())
        """)
    )
    done = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(eval(done.stdout), [-1.0, 2 * math.erf(1)], rtol=1e-6)


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": str(Path(fastnet.__file__).parents[1])}


def test_a_function_typed_into_an_interpreter_that_keeps_no_source():
    program = textwrap.dedent("""
        import fastnet
        exec(compile("def f(x):\\n    return x", "<typed>", "exec"))
        try:
            fastnet.register_activation("f", f)
        except fastnet.RuleError as error:
            print(error)
        print("f" in fastnet._kernels.registry.activations)
    """)
    done = subprocess.run([sys.executable, "-c", program], env=_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "The source of the rule 'f' cannot be read" in done.stdout
    assert "named function (def) in a file or a notebook cell" in done.stdout
    assert done.stdout.endswith("False\n")


def test_a_cell_may_run_again_with_another_formula():
    text = "import fastnet\ndef f(x):\n    return {} * x\nfastnet.register_activation('again', f)\n"
    namespace = {"__name__": "notebook"}
    run_text(text.format(2), "<cell 1>", namespace)
    old = fastnet.activations.get("again")
    assert old([3.0]).tolist() == [6.0]
    run_text(text.format(5), "<cell 2>", namespace)
    assert fastnet.activations.get("again")([3.0]).tolist() == [15.0]
    assert old([3.0]).tolist() == [6.0]


@pytest.mark.parametrize("name", ["relu", "softmax", "swish"])
def test_own_names_are_kept(name):
    def f(x):
        return x

    with pytest.raises(ValueError, match=f"'{name}' is fastnet's own; register yours under another name"):
        fastnet.register_activation(name, f)


def test_every_kernel_of_a_registered_row_exists_in_both_dtypes():
    def mine(x, a=0.5):
        return a * x * x

    def distance(y_true, y_pred):
        return abs(y_true - y_pred) ** 3

    def follow(w, g, rate):
        return w - rate * g

    fastnet.register_activation("mine", mine)
    fastnet.register_loss("distance", distance)
    fastnet.register_optimizer("follow", follow, learning_rate=0.25)
    for dtype in ("float32", "float64"):
        model = fastnet.Sequential(
            [layers.Input((1,), dtype=dtype), layers.Dense(1, "mine", kernel_initializer="ones", dtype=dtype)]
        )
        model.compile("follow", "distance", metrics=["distance"])
        x, t = 2.0, 1.0
        loss, metric = model.train_on_batch(np.full((1, 1), x, dtype), np.full((1, 1), t, dtype))
        y = 0.5 * x * x
        assert loss == metric == abs(t - y) ** 3
        dz = 3 * (y - t) ** 2 * x
        np.testing.assert_allclose(model.get_weights()[0], [[1 - 0.25 * dz * x]], rtol=1e-6)


def f_unknown_call(x):
    return math.gamma(x)


def f_unknown_name(x):
    return x * nowhere  # noqa: F821


def f_keyword(x):
    return pow(x, exp=2)


def f_recursive(x):
    return x if x < 1 else f_recursive(x - 1)


def f_attribute(x):
    return x * np.linalg


def f_too_few(x):
    return _two(x)


def _two(a, b):
    return a + b


def f_text(x):
    return "a"


def f_list(x):
    return [x, x]


def f_of_numpy(x):
    return np.mean(x)


def f_pair(x):
    return x, x


def f_nothing(x):
    return


def f_loop(x):
    while x < 1:
        x = x + 1
    return x


def test_a_rule_without_its_arguments_or_results():
    def nothing():
        return 1

    def one(w):
        return w

    def lost(w, g, speed, rate):
        return w - rate * g

    def third(w, g, rate):
        return w, g

    with pytest.raises(ValueError, match="'nothing' must take at least 1 argument"):
        fastnet.register_activation("bad", nothing)
    with pytest.raises(ValueError, match="'one' must take at least 2 arguments"):
        fastnet.register_loss("bad", one)
    with pytest.raises(ValueError, match="the rule must take"):
        fastnet.register_optimizer("bad", one)
    with pytest.raises(fastnet.RuleError, match="must return 2 numbers, and has `return w - rate"):
        fastnet.register_optimizer("bad", lost, states=("speed",))
    with pytest.raises(fastnet.RuleError, match="must return 1 number, and has"):
        fastnet.register_optimizer("bad", third)
    assert not any("bad" in table for table in (registry.activations, registry.losses, registry.updates))


@pytest.mark.parametrize(("f", "message"), [
    (f_of_numpy, "it sums or averages, but a rule gets single numbers"),
    (f_list, "must return 1 number, and has `return [x, x]` (line 2 of its source)"),
    (f_unknown_call, "math.gamma is not among the functions a rule may use"),
    (f_unknown_name, "the name 'nowhere' stands for no number"),
    (f_keyword, "passes arguments by name"),
    (f_recursive, "calls itself"),
    (f_attribute, "'np.linalg' is not known in a rule"),
    (f_too_few, "'_two' takes 2 arguments and gets 1"),
    (len, "A rule is a plain Python function"),
    (None, "A rule is a plain Python function"),
    (f_text, "must return 1 number, and has `return 'a'`"),
    (f_pair, "must return 1 number, and has `return (x, x)`"),
    (f_nothing, "must return 1 number, and has `return`"),
    (f_loop, "it contains a loop"),
])  # fmt: skip
def test_what_a_rule_may_not_use_is_said_at_registration(f, message):
    with pytest.raises(fastnet.RuleError, match=re.escape(message)):
        fastnet.register_activation("bad", f)
    assert "bad" not in registry.activations


def test_arguments_that_do_not_fit():
    def f(x, a=1.0):
        return a * x

    def no_default(x, a):
        return a * x

    def df(x):
        return 1

    for call, message in [
        (lambda: fastnet.register_activation("two words", f), "must be an identifier"),
        (lambda: fastnet.register_activation("g", f, keeps="z"), "keeps must be 'x' or 'y'"),
        (lambda: fastnet.register_activation("g", no_default), "default"),
        (lambda: fastnet.register_activation("g", f, df), "'df' behind the first 1 are []"),
        (lambda: fastnet.register_optimizer("g", f, states=("m",)), "the rule must take (w, g, m, rate)"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            call()


def test_numbers_from_outside_become_constants_of_the_dtype():
    scale, offset = np.float64(0.5), 3

    def f(x):
        y: float = (x + offset) ** 2
        return scale * y + math.tau

    fastnet.register_activation("outside", f)
    got = fastnet.activations.get("outside")(np.array([1.0, -2.0]))
    np.testing.assert_allclose(got, [0.5 * 16 + math.tau, 0.5 + math.tau], rtol=1e-15)
    testing.check_activation("outside")


ODD = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 2.0, -0.5])
NUMPYS = {  # a rule by functions of numpy, and numpy itself; without `math`, whose names the rules do not need
    "isnan": (lambda f: f"np.where(np.isnan({f}), 3.0, x)", lambda x: np.where(np.isnan(x), 3, x)),
    "isinf": (lambda f: f"np.where(np.isinf({f}), 3.0, x)", lambda x: np.where(np.isinf(x), 3, x)),
    "isfinite": (lambda f: f"np.where(np.isfinite({f}), x, 3.0)", lambda x: np.where(np.isfinite(x), x, 3)),
    "maximum": (lambda f: f"np.maximum({f}, -0.25)", lambda x: np.maximum(x, -0.25)),
    "minimum": (lambda f: f"np.minimum(0.25, {f})", lambda x: np.minimum(0.25, x)),
    "clip": (lambda f: f"np.clip({f}, -0.25, 0.75)", lambda x: np.clip(x, -0.25, 0.75)),
    "sign": (lambda f: f"np.sign({f})", np.sign),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_numpy_at_odd_numbers(dtype):
    """All in one kernel: column k of the result is that of function k."""
    text = "".join(f"    y_{name} = {rule('x')}\n" for name, (rule, _) in NUMPYS.items())
    ys = ", ".join(f"y_{name}: 'write'" for name in NUMPYS)
    functions = run_text(f"def functions(x: 'read', {ys}):\n{text}", "<functions>", {"np": np})["functions"]
    plan = extend.Plan(training=False, dtype=dtype)
    x, y = plan.buffer((1,)), plan.buffer((len(NUMPYS),))
    plan.call(extend.elementwise(functions), x=x, **{f"y_{n}": y.slice(0, k, k + 1) for k, n in enumerate(NUMPYS)})
    odd = ODD.astype(dtype)
    got = extend.run_once(plan, {x: odd[:, None]}, y)
    for (name, (_, wanted)), found in zip(NUMPYS.items(), got.T, strict=True):
        np.testing.assert_array_equal(found, wanted(odd), name)


def test_powers_by_the_number_of_a_step_are_no_doubles():
    """In rules and in templates, where Python's own power is the system's, in double if a number is an integer."""

    def decayed(x, t):
        return x * 0.9**t

    @extend.elementwise
    def by_slot(x: read, t: value, y: write):
        y = decayed(x, t) + x * t**-0.5 + x**2.5  # noqa: F841

    @extend.template("n")
    def by_integer(x: read["n"], y: write["n"], t: integer, lo, hi):  # noqa: F821
        for i in range(lo, hi):
            y[i] = x[i] * 0.9**t + x[i] ** t

    plan = extend.Plan(training=False, dtype="float32")
    x, y = plan.buffer((8,)), plan.buffer((8,))
    for called, t in ((by_slot, plan.slot()), (by_integer, 3)):
        assert not doubles_of(plan.call(called, x=x, y=y, t=t))
    del plan.launches[0]
    numbers = np.arange(1, 9, dtype="float32")[None]
    np.testing.assert_allclose(extend.run_once(plan, {x: numbers}, y), numbers * 0.729 + numbers**3, rtol=1e-6)


def doubles_of(launch):
    machine = platform.machine().lower()
    family = "x86" if machine in ("x86_64", "amd64") else "arm"
    return double_instructions(compiler.assembly(launch.kernel.source()), family)


def test_a_double_instruction_is_found():
    """The search itself: a float64 kernel must be caught, a float32 one must not."""
    from fastnet._kernels.rules.activation_rules import sigmoid_gradient, silu

    def found(dtype, template, **operands):
        plan = extend.Plan(training=False, dtype=dtype)
        views = {name: plan.buffer((8,)) for name, kind in template.parameters.items() if kind.access}
        return doubles_of(plan.call(template, **views, **operands))

    for template, rule in ((extend.apply, {"f": silu}), (extend.chain_rule, {"df": sigmoid_gradient})):
        assert found("float64", template, **rule)
        assert not found("float32", template, **rule)


@pytest.mark.parametrize(("line", "family", "found"), [
    ("vmulpd %ymm0, %ymm1, %ymm2", "x86", True),
    ("vfmadd213sd %xmm0, %xmm1, %xmm2", "x86", True),
    ("cvtss2sd %xmm0, %xmm1", "x86", True),
    ("vcvtps2pd %xmm0, %ymm1", "x86", True),
    ("vcvtsd2ss %xmm0, %xmm1, %xmm1", "x86", False),  # a parameter becomes float32
    ("vmovsd (%rax), %xmm0", "x86", False),
    ("vmulps %ymm0, %ymm1, %ymm2", "x86", False),
    ("fmul v0.2d, v1.2d, v2.2d", "arm", True),
    ("fadd d0, d1, d2", "arm", True),
    ("fcvt d0, s1", "arm", True),
    ("fcvt s0, d1", "arm", False),
    ("fmla v0.4s, v1.4s, v2.4s", "arm", False),
])  # fmt: skip
def test_what_counts_as_a_double_instruction(line, family, found):
    assert bool(double_instructions(f"\t{line}\n", family)) == found
