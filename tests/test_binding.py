"""Plans as text, and plans that are bound more than once."""

import re
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet._kernels import abi
from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.bind import bind
from fastnet.engine.cpu import place_barriers
from fastnet.engine.fuse import fuse
from fastnet.engine.memory import layout
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Source
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.training.step import lower

ROOT = Path(__file__).resolve().parents[1]
ROWS = 5


def readme_plan():
    """The training step of README's first model."""
    source = (ROOT / "README.md").read_text(encoding="utf-8")
    program = next(block for block in re.findall(r"```python\n(.*?)```", source, re.S) if "digits.load_data" in block)
    names = {"fastnet": fastnet, "layers": layers}
    exec(program[program.index("(x, y)") : program.index("model.fit")], names)
    model, x, y = names["model"], names["x"], names["y"]
    for name, layer in zip(["rescaling", "flatten", "dense", "dense_1"], model.layers, strict=True):
        for variable in layer.variables:
            variable.path = f"{name}/{variable.name}"
        layer.name = name
    model.optimizer.build(model.trainable_weights)
    signatures = Source(x).signature, Source(y).signature
    metrics = [("accuracy", fastnet.metrics.SparseCategoricalAccuracy(), False)]
    return lower(model, "train", 32, *signatures, model.loss, metrics, model.optimizer).plan


def test_the_plan_of_the_readme_is_that_of_the_design_page():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    (golden,) = re.findall(r"```text\n(forward .*?)\n```", page, re.S)
    assert str(readme_plan()) == golden


def plan_of(mode, *given):
    model = fastnet.Sequential([layers.Input((3,)), *given])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_weights)
    signature = Source(np.ones((4, 3), "f")).signature
    return lower(model, mode, 32, signature, signature, model.loss, [], model.optimizer).plan


def offsets_of(plan):
    """The memory of each buffer of a plan with the numbers that its text gives them, for 32 rows."""
    offsets, size = layout(plan.launches, 32)
    buffers = dict.fromkeys(
        view.buffer for launch in plan.launches for view, _ in launch.access if isinstance(view, View)
    )
    return " ".join(f"%{number}={offsets[buffer]}" for number, buffer in enumerate(buffers)) + f" of {size}"


TRAINED = """
forward   sgd                 step_scalars             f=sgd_scalars rate=step[rate] iteration=step[iteration] scalars_0→step[16] | 1 × 1
forward   input               gather                   address=step[17] stride=step[18] per=step[20] order=step[order] first=step[first] y→%0[rows×3] nonfinite→step[nonfinite] | rows × 9
forward   dropout             draw_mask                keep→%1[rows×3] uint8 seed=step[seed] iteration=step[iteration] | 3·rows × 4
forward   dense               product                  a=%0[rows×3] b=dense/kernel[3×3] c→%2[rows×3] bias=dense/bias[3] then apply_keep_or_drop_add_tile f=gelu keep=%1[rows×3] uint8 factor=2 offset=0 dropped=0 b=%0[rows×3] y_3→%3[rows×3] x→%2[rows×3] | tiles
forward   out                 product                  a=%3[rows×3] b=out/kernel[3×3] c→%4[rows×3] bias=out/bias[3] | tiles
forward   targets             gradient_of_mean_gather  df=mean_squared_error_gradient y_true→%5[rows×3] y_pred=%4[rows×3] dx→%6[rows×3] gather_address=step[21] gather_stride=step[22] gather_per=step[24] gather_order=step[order] gather_first=step[first] gather_nonfinite→step[nonfinite] | rows × 18
forward   mean_squared_error  mean_of_row              f=mean_squared_error y_true=%5[rows×3] y_pred=%4[rows×3] loss→%7[rows×1] | rows × 30
forward   mean_squared_error  sum_weighted             values=%7[rows×1] total→%8[⌈rows/4096⌉] | ⌈rows/4096⌉ × 8192
forward   mean_squared_error  batch_loss               chunk_sums=%8[⌈rows/4096⌉] loss→step[loss] total→step[25] nonfinite→step[nonfinite] | 1 × 1
backward  out                 product                  bᵀ a=%6[rows×3] b=out/kernel[3×3] then keep_or_drop_chain_rule_tile df=gelu_gradient keep=%1[rows×3] uint8 factor=2 offset=0 dropped=0 saved=%2[rows×3] dx→%9[rows×3] | tiles if finite
backward  out                 sum_rows                 x=%6[rows×3] total→%10[3] | ⌈rows/256⌉ × 192
backward  out                 product                  aᵀ a=%3[rows×3] b=%6[rows×3] then apply_update_tile f=sgd w→out/kernel[3×3] scalars_0=step[16] | tiles
backward  dense               sum_rows                 x=%9[rows×3] total→%11[3] | ⌈rows/256⌉ × 192
backward  dense               product                  aᵀ a=%0[rows×3] b=%9[rows×3] then apply_update_tile f=sgd w→dense/kernel[3×3] scalars_0=step[16] | tiles
update    dense               apply_update             f=sgd w→dense/bias[3] g=%11[3] scalars_0=step[16] | 3 × 4
update    out                 apply_update             f=sgd w→out/bias[3] g=%10[3] scalars_0=step[16] | 3 × 4
""".strip()  # noqa: E501
PREDICTED = """
forward  input   gather   address=step[16] stride=step[17] per=step[19] order=step[order] first=step[first] y→%0[rows×3] nonfinite→step[nonfinite] | rows × 9
forward  left    product  relu a=%0[rows×3] b=left/kernel[3×2] c→%1[rows×2] in 3 bias=left/bias[2] | tiles
forward  right   product  a=%0[rows×3] b=right/kernel[3×1] c→%1[rows×1] +2 in 3 bias=right/bias[1] | tiles
forward  out     product  a=%1[rows×3] b=out/kernel[3×3] bias=out/bias[3] then apply_tile f=tanh y→%2[rows×3] | tiles
forward  output  scatter  y=%2[rows×3] address=step[20] first=step[first] | rows × 9
""".strip()  # noqa: E501


def test_what_is_joined_and_what_shares_memory():
    """A GELU, the dropout and the residual sum behind it, and their gradients, have no launch but that of random bits.
    Branches write to their columns of a concatenation. Buffers that are never alive together share memory."""
    block = layers.Residual([layers.Dense(3, "gelu", name="dense"), layers.Dropout(0.5, name="dropout")])
    plan = plan_of("train", block, layers.Dense(3, name="out"))
    assert str(plan) == TRAINED
    # %8 and %9 lie where the predictions %4 lay, %10 and %11 where %2 lay, the input of the GELU.
    memory = "%0=0 %1=2432 %2=384 %3=768 %4=1152 %5=1536 %6=1920 %7=2304 %8=1152 %9=1152 %10=384 %11=448 of 2560"
    assert offsets_of(plan) == memory
    branches = layers.Parallel([layers.Dense(2, "relu", name="left"), layers.Dense(1, name="right")], "concat")
    plan = plan_of("predict", branches, layers.Dense(3, "tanh", name="out"))
    assert str(plan) == PREDICTED
    assert offsets_of(plan) == "%0=0 %1=384 %2=0 of 768"


def test_every_launch_is_a_line():
    plan = readme_plan()
    lines = str(plan).splitlines()
    assert len(lines) == len(plan.launches)
    for line, launch in zip(lines, plan.launches, strict=True):
        phase, label, name, *_ = line.split()
        assert (phase, label, name) == (launch.phase, launch.label, launch.name)
        assert ("then" in line) == (launch.epilogue is not None)
        assert line.endswith("if finite") == bool(launch.flags)


def test_the_text_tells_offsets_distances_periods_and_numbers():
    plan = Plan(True, "float64", ROWS)
    plan.label, whole, y = "layer", plan.buffer((4, 6)), plan.buffer((4, 3))
    weight = Variable(np.ones((3, 2)), "kernel", path="layer/kernel")
    plan.call(elementwise.copy, x=whole.slice(-1, 1, 4), y=y, period=2)
    plan.product(y, weight, plan.buffer((4, 2)))
    plan.call(elementwise.fill, y=plan.buffer((), per_row=False), number=1.0)
    one, two, three = str(plan).splitlines()
    assert "x=%0[rows×4×3] +1 in 6" in one and "y→%1[rows×4×3]" in one and one.endswith("every 2 steps")
    assert "a=%1[rows×4×3] b=layer/kernel[3×2] c→%2[rows×4×2]" in two
    assert "y→%3[]" in three


def half(x):
    return x / 2


def test_the_text_tells_how_many_sums_of_chunks_there_are():
    plan = Plan(True, "float32", 1000)
    x, fixed, total = plan.buffer((3,)), plan.buffer((9000,), per_row=False), plan.buffer((3,), per_row=False)
    plan.call(folds.sum_rows, x=x, total=total)
    plan.call(folds.sum_rule, f=half, x=x, p=(), total=plan.chunk_sums(-3))
    plan.call(folds.sum_rule, f=half, x=fixed, p=(), total=plan.chunk_sums(9000))
    lines = [line.split(" | ")[0] for line in str(plan).splitlines()]
    assert "total→%1[⌈rows/256⌉×3]" in lines[0] and "chunk_sums=%1[⌈rows/256⌉×3] total→%2[3]" in lines[1]
    assert lines[2].endswith("total→%3[⌈3·rows/4096⌉]") and lines[3].endswith("total→%5[3]")


@pytest.mark.parametrize(("cut", "text"), [
    (lambda v: v.slice(0, 1, 3), "[rows×2×6] +6 in 6 of 24"),
    (lambda v: v.slice(-1, 2, 5), "[rows×4×3] +2 in 6"),
    (lambda v: v.slice(-1, 2, 5).slice(0, 1, 2), "[rows×1×3] +8 in 24"),
    (lambda v: v.flat.slice(0, 1, 3), "[rows×2] +1 in 24"),
])  # fmt: skip
def test_the_text_tells_how_far_rows_lie_apart(cut, text):
    view = cut(Plan(True, "float64", ROWS).buffer((4, 6)))
    assert repr(view) == f"<view {text}>"


# ---- many bindings of one plan


def product_plan(units=3):
    plan = Plan(False, "float64", ROWS)
    x, y = plan.buffer((4,)), plan.buffer((units,))
    w, b = Variable(np.ones((4, units)), "w"), Variable(np.zeros(units), "b")
    z = plan.buffer((units,))
    plan.product(x, w, z, b)
    plan.call(elementwise.scale, x=z, y=y, factor=2.0)
    plan.results.append(y)
    return plan, x, y, w, b


def computed(bound, x, y, values):
    bound.read(x, len(values))[...] = values
    bound.execution.run(0, len(values), len(values), 1, 0.0)
    return bound.read(y, len(values)).copy()


@pytest.mark.parametrize("joined", [False, True])
def test_one_plan_serves_many_models(joined):
    plan, x, y, w, b = product_plan()
    if joined:
        fuse(plan)
    rng, values = np.random.default_rng(0), np.random.default_rng(1).standard_normal((ROWS, 4))
    others = [
        {w: Variable(rng.standard_normal((4, 3)), "w"), b: Variable(rng.standard_normal(3), "b")} for _ in range(3)
    ]
    bindings = [bind(plan, pinned=[x], weights=weights) for weights in (None, *others)]
    for bound, weights in list(zip(bindings, ({w: w, b: b}, *others), strict=True)) * 2:  # in turns
        wanted = 2 * (values @ weights[w].array + weights[b].array)
        np.testing.assert_allclose(computed(bound, x, y, values), wanted, rtol=1e-13)
    others[0][w].assign(np.zeros((4, 3)))  # the weight itself is read, not a copy
    np.testing.assert_allclose(computed(bindings[1], x, y, values), np.tile(2 * others[0][b].array, (ROWS, 1)))
    assert bindings[0].arena.ctypes.data != bindings[1].arena.ctypes.data
    assert not np.array_equal(computed(bindings[2], x, y, values), computed(bindings[3], x, y, values))


def test_a_weight_that_is_not_replaced_is_the_plans_own():
    plan, x, y, w, b = product_plan()
    other = Variable(np.full(3, 7.0), "b")
    values = np.random.default_rng(1).standard_normal((ROWS, 4))
    got = computed(bind(plan, pinned=[x], weights={b: other}), x, y, values)
    np.testing.assert_allclose(got, 2 * (values @ w.array + 7), rtol=1e-13)
    np.testing.assert_allclose(computed(bind(plan, pinned=[x]), x, y, values), 2 * values @ w.array, rtol=1e-13)


def test_updates_reach_the_weights_that_are_bound():
    plan = Plan(True, "float64", 1)
    w = Variable(np.zeros(6), "w")
    plan.call(elementwise.fill, y=w, number=3.0)
    others = [Variable(np.zeros(6), "w") for _ in range(2)]
    for other in others:
        bind(plan, weights={w: other}).execution.run(0, 1, 1, 1, 0.0)
    assert (w.array == 0).all() and all((other.array == 3).all() for other in others)


def test_a_plan_is_bound_for_fewer_rows_and_not_for_more():
    plan, x, y, w, b = product_plan()
    small = bind(plan, 2, pinned=[x])
    values = np.random.default_rng(1).standard_normal((2, 4))
    np.testing.assert_allclose(computed(small, x, y, values), 2 * values @ w.array, rtol=1e-13)
    with pytest.raises(ValueError, match="at most 5 rows cannot be bound for 6"):
        bind(plan, 6)


def test_barriers_follow_from_the_weights_that_are_bound():
    """Two weights of a plan may be one weight of a model."""
    plan = Plan(True, "float64", 1)
    a, b, c = (Variable(np.zeros(6), name) for name in "abc")
    plan.call(elementwise.fill, y=a, number=1.0)
    plan.call(elementwise.copy, x=b, y=c)
    shared = Variable(np.zeros(6), "shared")

    def waits(weights):
        table = np.zeros((2, abi.COLUMNS), np.int64)
        place_barriers(table, plan.launches, bind(plan, weights=weights))
        return [bool(flags & abi.BARRIER) for flags in table[:, abi.FLAGS]]

    assert waits({}) == [False, False]
    assert waits({a: shared, b: shared}) == [False, True]


@pytest.mark.parametrize(("one", "other"), [
    (fastnet.layers.Dense(3, activation="relu"), fastnet.layers.Dense(3)),
    (fastnet.layers.Dense(3, activation="gelu"), fastnet.layers.Dense(3, activation="tanh")),
    (fastnet.layers.Rescaling(0.1), fastnet.layers.Rescaling(0.9)),
    (fastnet.layers.LeakyReLU(0.1), fastnet.layers.LeakyReLU(0.2)),
], ids=str)  # fmt: skip
def test_plans_that_differ_differ_as_text(one, other):
    texts = []
    for layer in (one, other):
        plan = Plan(False, "float32")
        layer.name = "layer"
        layer.connect((3,))
        for variable in layer.variables:
            variable.path = variable.name
        plan.apply(layer, plan.buffer((3,)))
        texts.append(str(plan))
    assert texts[0] != texts[1]
