"""Views: slices of steps and of channels as operands of products, formulas, loops and folds, against numpy."""
# ruff: noqa: F821  (templates are read as text)

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet._kernels.kinds import read, size, write
from fastnet._kernels.template import template
from fastnet._kernels.templates import elementwise, folds, rows, step_masks
from fastnet.engine.bind import bind
from fastnet.engine.launch import overlap
from fastnet.engine.operations import Concatenate
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.testing.running import Run

ROWS, STEPS, CHANNELS = 5, 4, 6


def double(x):
    return 2 * x


@template("n")
def running_sum(x: read["n, width"], y: write["n, width"], width: size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for j in range(width):
            total = total + x[r, j]
            y[r, j] = total


@template("count")
def reverse(x: read["count"], y: write["count"], count: size, lo, hi):
    for i in range(lo, hi):
        y[i] = x[count - 1 - i]


#: slices of samples of (steps, channels): name → (of a view, of an array with the batch in front)
SLICES = {
    "all": (lambda v: v, np.s_[:]),
    "a step": (lambda v: v.slice(0, 2, 3), np.s_[:, 2:3]),
    "steps": (lambda v: v.slice(0, 1, 3), np.s_[:, 1:3]),
    "the last steps": (lambda v: v.slice(0, 2, STEPS), np.s_[:, 2:]),
    "channels": (lambda v: v.slice(-1, 1, 4), np.s_[:, :, 1:4]),
    "a channel": (lambda v: v.slice(-1, 5, 6), np.s_[:, :, 5:6]),
    "channels of steps": (lambda v: v.slice(0, 1, 3).slice(-1, 2, 5), np.s_[:, 1:3, 2:5]),
    "channels of a step": (lambda v: v.slice(-1, 2, 5).slice(0, 3, 4), np.s_[:, 3:4, 2:5]),
}
EVEN = [name for name in SLICES if name not in ("steps", "the last steps", "channels of steps")]


def plan_of(name, dtype="float64"):
    """A plan, a buffer of (steps, channels), the slice of it, its values and those of the slice."""
    plan = Plan(True, dtype, ROWS)
    whole = plan.buffer((STEPS, CHANNELS))
    take, index = SLICES[name]
    values = np.random.default_rng(0).standard_normal((ROWS, STEPS, CHANNELS)).astype(dtype)
    return plan, whole, take(whole), values, values[index]


def run(plan, result, **given):
    """What a step writes to a view; views and values come in pairs."""
    views = [view for view, _ in given.values()]
    once = Run(plan, ROWS, [*views, result])
    for view, value in given.values():
        once.set(view, value)
    once.steps()
    return once.get(result)


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_is_read_and_written_where_it_lies(name):
    plan, whole, part, values, wanted = plan_of(name)
    plan.call(elementwise.copy, x=plan.like(part), y=plan.like(part))
    once = Run(plan, ROWS, [whole])
    once.set(whole, values)
    np.testing.assert_array_equal(once.get(part), wanted)
    once.set(part, 7.0)
    changed = values.copy()
    changed[SLICES[name][1]] = 7.0
    np.testing.assert_array_equal(once.get(whole), changed)


@pytest.mark.parametrize("name", SLICES)
def test_a_product_reads_a_slice(name):
    plan, whole, part, values, wanted = plan_of(name)
    w = Variable(np.random.default_rng(1).standard_normal((part.shape[-1], 3)), "w")
    y = plan.buffer((*part.shape[:-1], 3))
    plan.product(part, w, y)
    copies = len(plan.launches) - 1
    assert (copies == 0) == (name in EVEN)
    np.testing.assert_allclose(run(plan, y, x=(whole, values)), wanted @ w.array, rtol=1e-13)


@pytest.mark.parametrize("name", EVEN)
def test_a_product_writes_a_slice_and_nothing_else(name):
    plan, whole, part, values, wanted = plan_of(name)
    x = plan.buffer((*part.shape[:-1], 3))
    w = Variable(np.random.default_rng(1).standard_normal((3, part.shape[-1])), "w")
    plan.product(x, w, part)
    inputs = np.random.default_rng(2).standard_normal((ROWS, *x.shape))
    changed = values.copy()
    changed[SLICES[name][1]] = inputs @ w.array
    np.testing.assert_allclose(run(plan, whole, whole=(whole, values), x=(x, inputs)), changed, rtol=1e-13)


@pytest.mark.parametrize("name", EVEN)
def test_a_weights_gradient_of_slices(name):
    plan, whole, part, values, wanted = plan_of(name)
    dy, dw = plan.buffer((*part.shape[:-1], 3)), plan.buffer((part.shape[-1], 3), per_row=False)
    plan.product(part, dy, dw, transpose_a=True)
    gradient = np.random.default_rng(2).standard_normal((ROWS, *dy.shape))
    got = run(plan, dw, x=(whole, values), dy=(dy, gradient))
    flat = wanted.reshape(-1, part.shape[-1])
    np.testing.assert_allclose(got, flat.T @ gradient.reshape(-1, 3), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SLICES)
def test_formulas_of_slices(name):
    """What is written lies among other channels too, with rows at another distance."""
    plan, whole, part, values, wanted = plan_of(name)
    other = plan.buffer((*part.shape[:-1], part.shape[-1] + 3))
    plan.call(elementwise.apply, f=double, x=part, y=other.slice(-1, 2, 2 + part.shape[-1]))
    got = run(plan, other, x=(whole, values), other=(other, 9.0))
    np.testing.assert_array_equal(got[..., 2:-1], 2 * wanted)
    assert (got[..., :2] == 9).all() and (got[..., -1] == 9).all()


def test_a_formula_of_rows_and_columns_of_a_slice():
    plan, whole, part, values, wanted = plan_of("channels")
    mask, y = plan.buffer((STEPS,)), plan.buffer((STEPS, CHANNELS))
    plan.call(step_masks.zero_masked, x=part, mask=mask, y=y.slice(-1, 3, 6))
    keep = (np.arange(ROWS * STEPS).reshape(ROWS, STEPS) % 3 > 0).astype(float)
    got = run(plan, y, x=(whole, values), mask=(mask, keep), y=(y, 9.0))
    np.testing.assert_array_equal(got[..., 3:], wanted * keep[..., None])
    assert (got[..., :3] == 9).all()


@pytest.mark.parametrize("name", SLICES)
def test_folds_of_slices(name):
    plan, whole, part, values, wanted = plan_of(name)
    total = plan.buffer((part.shape[-1],), per_row=False)
    plan.call(folds.sum_rows, x=part, total=total)
    got = run(plan, total, x=(whole, values))
    np.testing.assert_allclose(got, wanted.reshape(-1, part.shape[-1]).sum(0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", SLICES)
def test_sums_over_all_elements_of_slices(name):
    plan, whole, part, values, wanted = plan_of(name)
    sums = plan.chunk_sums(-part.width)
    plan.call(folds.sum_rule, f=double, x=part, p=(), total=sums)
    got = run(plan, sums, x=(whole, values))
    np.testing.assert_allclose(got.sum(), 2 * wanted.sum(), rtol=1e-12)


@pytest.mark.parametrize("name", SLICES)
def test_loops_of_slices(name):
    """A loop with two dimensions takes rows that lie apart; one with one dimension is given a copy."""
    plan, whole, part, values, wanted = plan_of(name)
    sums, turned = plan.like(part), plan.like(part)
    plan.call(running_sum, x=part, y=sums)
    assert len(plan.launches) == 1 or name not in EVEN
    before = len(plan.launches)
    plan.call(reverse, x=part, y=turned)
    assert (len(plan.launches) > before + 1) == (name != "all")
    np.testing.assert_allclose(run(plan, sums, x=(whole, values)), wanted.cumsum(-1), rtol=1e-13)
    np.testing.assert_array_equal(run(plan, turned, x=(whole, values)).ravel(), wanted.ravel()[::-1])


@pytest.mark.parametrize("name", ["a step", "channels", "a channel", "channels of a step"])
def test_loops_write_slices(name):
    plan, whole, part, values, _ = plan_of(name)
    x = plan.like(part)
    plan.call(running_sum, x=x, y=part)
    inputs = np.random.default_rng(2).standard_normal((ROWS, *x.shape))
    changed = values.copy()
    changed[SLICES[name][1]] = inputs.cumsum(-1)
    np.testing.assert_allclose(run(plan, whole, x=(x, inputs), whole=(whole, values)), changed, rtol=1e-13)
    with pytest.raises(ValueError, match="The template 'reverse': y .*: its rows lie apart"):
        plan.call(reverse, x=x, y=part)


def test_rules_over_rows_of_a_slice():
    """The template that losses are made of, with a row distance of its own for each operand."""
    plan, whole, part, values, wanted = plan_of("channels")
    other, losses = plan.buffer((STEPS, 8)), plan.buffer((STEPS,))

    def distance(y_true, y_pred):
        return (y_true - y_pred) ** 2

    plan.call(rows.mean_of_row, f=distance, y_true=other.slice(-1, 5, 8), y_pred=part, loss=losses)
    targets = np.random.default_rng(3).standard_normal((ROWS, STEPS, 8))
    got = run(plan, losses, x=(whole, values), t=(other, targets))
    np.testing.assert_allclose(got, ((targets[..., 5:] - wanted) ** 2).mean(-1), rtol=1e-13)


# ---- overlap


def elements(view):
    """The elements of an entry that a view touches, one after the other."""
    return {
        view.offset + sum(i * stride for i, stride in zip(index, view.strides, strict=True))
        for index in np.ndindex(view.shape)
    }


@pytest.mark.parametrize("seed", range(20))
def test_views_overlap_where_they_share_an_element(seed):
    """Of two slices of a buffer of (steps, channels), steps and channels cut anywhere."""
    rng, plan = np.random.default_rng(seed), Plan(True, "float64", ROWS)
    whole = plan.buffer((STEPS, CHANNELS))
    for _ in range(40):
        a, b = (cut(cut(whole, rng, 0), rng, -1) for _ in range(2))
        shared = bool(elements(a) & elements(b))
        if overlap(a, b) != shared:  # intervals may take rows for overlapping that only interleave
            assert not shared and a.span()[0] < b.span()[1] and b.span()[0] < a.span()[1]
            assert a.shape[0] != b.shape[0] or a.offset % CHANNELS != b.offset % CHANNELS
    assert overlap(whole, whole)


def cut(view, rng, axis):
    start, stop = sorted(rng.choice(view.shape[axis] + 1, 2, replace=False))
    return view.slice(axis, int(start), int(stop))


def test_neighbours_in_one_buffer_may_be_read_and_written():
    plan, whole, part, values, wanted = plan_of("channels")
    right = whole.slice(-1, 4, 6)
    plan.call(elementwise.copy, x=whole.slice(-1, 0, 2), y=right)
    with pytest.raises(ValueError, match="The template 'copy': x .* and y .* overlap, and one of them is written"):
        plan.call(elementwise.copy, x=whole.slice(-1, 3, 5), y=right)
    plan.call(elementwise.copy, x=whole.slice(0, 0, 1), y=whole.slice(0, 1, 2))
    with pytest.raises(ValueError, match="The template 'product': a .* and c .* overlap"):
        plan.product(whole, Variable(np.ones((6, 6)), "w"), whole)
    wanted = values.copy()
    wanted[..., 4:] = wanted[..., :2]
    wanted[:, 1] = wanted[:, 0]
    np.testing.assert_array_equal(run(plan, whole, x=(whole, values)), wanted)


def test_a_view_knows_no_shape_that_cuts_across_its_rows():
    plan = Plan(True, "float64", ROWS)
    part = plan.buffer((STEPS, CHANNELS)).slice(-1, 1, 4)
    with pytest.raises(ValueError, match="whose rows lie apart cannot have the shape"):
        part.view((2, 6))
    assert part.view((2, 2, 3)).strides == (12, 6, 1)
    numbers = part.view((STEPS, 3, 1))  # an axis of size 1 at the end cuts across nothing
    assert numbers.strides[:2] == part.strides and numbers.offset == 1
    assert plan.buffer((STEPS, CHANNELS)).slice(0, 1, 3).flat.span() == (6, 18)


# ---- concatenation


@pytest.mark.parametrize("join", [False, True])
def test_concatenated_products_write_in_place(join):
    from fastnet.engine.fuse import fuse

    plan = Plan(True, "float64", ROWS)
    x = plan.buffer((STEPS, 3))
    weights = [Variable(np.random.default_rng(k).standard_normal((3, k + 2)), f"w{k}") for k in range(3)]
    parts = []
    for w in weights:
        parts.append(plan.buffer((STEPS, w.shape[1])))
        plan.product(x, w, parts[-1])
    y = plan.combine(Concatenate(), *parts)
    plan.results.append(y)
    if join:
        fuse(plan)
        assert [launch.name for launch in plan.launches] == ["product"] * 3  # the copies are gone
        assert all(launch.operands["c"].buffer is y.buffer for launch in plan.launches)
        assert len(bind(plan).offsets) == 2  # x and y: the parts take no memory
    values = np.random.default_rng(5).standard_normal((ROWS, STEPS, 3))
    wanted = np.concatenate([values @ w.array for w in weights], -1)
    np.testing.assert_allclose(run(plan, y, x=(x, values)), wanted, rtol=1e-13)


# ---- layers behind a slice


class Sliced(layers.Layer):
    """All but the first and the last channel: a view of them, or a copy."""

    def __init__(self, copied, **more):
        super().__init__(**more)
        self.copied = copied

    def sample_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] - 2)

    def forward(self, plan, x):
        part = x.slice(-1, 1, x.shape[-1] - 1)
        if self.copied:
            plan.call(elementwise.copy, x=part, y=(part := plan.like(part)))
        return part

    def backward(self, plan, dy, x, y):
        dx = plan.like(x)
        plan.call(elementwise.fill, y=dx, number=0.0)
        plan.call(elementwise.copy, x=dy, y=dx.slice(-1, 1, x.shape[-1] - 1))
        return dx


def adapted(layer):
    layer.adapt(np.random.default_rng(0).standard_normal((20, STEPS, CHANNELS - 2)))
    return layer


BEHIND = {
    "nothing": lambda: None,
    "Flatten": layers.Flatten,
    "Reshape": lambda: layers.Reshape((2, STEPS, 2)),
    "Permute": lambda: layers.Permute((2, 1)),
    "RepeatVector": lambda: fastnet.Sequential([layers.Flatten(), layers.RepeatVector(2)]),
    "PReLU": layers.PReLU,
    "PReLU of shared axes": lambda: layers.PReLU(shared_axes=[1]),
    "Normalization": lambda: adapted(layers.Normalization(axis=-1)),
    "Normalization of all": lambda: adapted(layers.Normalization(axis=None)),
    "LayerNormalization": layers.LayerNormalization,
    "LayerNormalization of both axes": lambda: layers.LayerNormalization(axis=[1, 2]),
    "GroupNormalization": lambda: layers.GroupNormalization(2),
    "BatchNormalization": layers.BatchNormalization,
    "UnitNormalization": layers.UnitNormalization,
    "Softmax": layers.Softmax,
    "Dropout": lambda: layers.Dropout(0.5),
    "Dense": lambda: layers.Dense(3),
}


@pytest.mark.parametrize("name", BEHIND)
def test_layers_take_a_slice_as_they_take_its_copy(name):
    rng, results = np.random.default_rng(1), []
    x = rng.standard_normal((ROWS, STEPS, 3))
    for copied in (False, True):
        fastnet.utils.set_random_seed(7)
        behind = BEHIND[name]()
        model = fastnet.Sequential([layers.Input((STEPS, 3)), layers.Dense(CHANNELS), Sliced(copied)])
        if behind is not None:
            model.add(behind)
        model.compile("sgd", "mse")
        predicted = model.predict(x, verbose=0)
        loss = model.train_on_batch(x, np.ones_like(predicted))
        results.append([predicted, np.array(loss), *model.get_weights()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)  # float32, whose sums may be in another order


def test_whole_numbers_are_taken_from_a_slice():
    x = np.random.default_rng(0).integers(0, 4, (ROWS, STEPS, CHANNELS))
    encoding = layers.CategoryEncoding(4, "one_hot")
    model = fastnet.Sequential([layers.Input((STEPS, CHANNELS)), Sliced(False), encoding])
    np.testing.assert_array_equal(model.predict(x, verbose=0), np.eye(4)[x[..., 1:-1]])


@pytest.mark.parametrize("copied", [False, True])
def test_a_penalty_of_a_slice(copied):
    """The loss has the penalty of what the layer gives, and no more."""
    layer = Sliced(copied, activity_regularizer="l2")
    model = fastnet.Sequential([layers.Input((STEPS, CHANNELS)), layer, layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((ROWS, STEPS, CHANNELS)).astype("float32")
    got = model.evaluate(x, np.zeros((ROWS, STEPS, 1)), batch_size=ROWS, verbose=0)
    assert got == pytest.approx(0.01 * (x[..., 1:-1].astype(float) ** 2).sum() / ROWS, rel=1e-6)
