"""Launches joined to the launches in front of them: the conditions, and the results beside NumPy's."""

import types

import numpy as np
import pytest

from fastnet._kernels import abi, registry
from fastnet._kernels.templates import elementwise, step_masks, update
from fastnet.engine.bind import bind
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.testing.running import threads


def half(x):
    return 0.5 * x + 1.0


def slope(x):
    return 2.0 * x


N, UNITS, INPUTS = 5, 7, 3


def network():
    """A plan with a product x w → y, and its buffers."""
    plan = Plan(True, "float64", N)
    w = Variable(np.random.default_rng(1).normal(size=(INPUTS, UNITS)), "w")
    x, y, z, v = (plan.buffer((n,)) for n in (INPUTS, UNITS, UNITS, UNITS))
    plan.product(x, w, y)
    return plan, types.SimpleNamespace(w=w, x=x, y=y, z=z, v=v)


def run(plan, buffers, *results, **values):
    bound = bind(plan, N, pinned=list(vars(buffers).values())[1:], reuse=False)
    for name, value in values.items():
        bound.read(getattr(buffers, name), N)[...] = value
    bound.execution.run(0, N, N, 1, 0.0)
    return [bound.read(getattr(buffers, name), N).copy() for name in results]


def follow(plan, b):
    plan.call(elementwise.apply, f=half, x=b.y, y=b.z, p=())


def follow_twice(plan, b):
    follow(plan, b)
    plan.call(elementwise.apply, f=half, x=b.y, y=b.v, p=())


def follow_both(plan, b):
    follow(plan, b)
    plan.call(elementwise.chain_rule, df=slope, saved=b.y, dy=b.z, dx=b.v, p=())


def follow_a_view(plan, b):
    plan.call(elementwise.apply, f=half, x=b.y.view((UNITS, 1)), y=b.z, p=())


def change_before(plan, b):
    """What the second launch reads beside the product is written between the two."""
    plan.call(elementwise.apply, f=half, x=b.v, y=b.z, p=())
    plan.call(elementwise.chain_rule, df=slope, saved=b.z, dy=b.y, dx=b.u, p=())


def read_before(plan, b):
    """What the second launch writes is read between the two."""
    plan.call(elementwise.apply, f=half, x=b.v, y=b.z, p=())
    plan.call(elementwise.apply, f=half, x=b.y, y=b.v, p=())


def as_operand(plan, b):
    """The product's result is a rule's argument."""
    plan.call(elementwise.chain_rule, df=slope, saved=b.y, dy=b.z, dx=b.v, p=())


def clip_in_place(plan, b):
    """What is read later is no product's result."""
    plan.call(update.clip_gradient, g=b.y, limit=0.5)
    follow(plan, b)


def clip_what_is_read_before(plan, b):
    follow(plan, b)
    plan.call(update.clip_gradient, g=b.y, limit=0.5)


def mask_other_rows(plan, b):
    """Rows of another length than the product's."""
    plan.call(step_masks.zero_masked, x=b.y.view((UNITS, 1)), mask=b.z, y=b.v)


def clipped(xw):
    return np.clip(xw, -0.5, 0.5)


EXPECTED = {  # what follows: (launches, products with something behind them, what comes out of xw, z and v)
    follow: (1, 1, lambda xw, z, v: {"z": xw / 2 + 1}),
    follow_twice: (1, 1, lambda xw, z, v: {"z": xw / 2 + 1, "v": xw / 2 + 1, "y": xw}),
    follow_both: (1, 1, lambda xw, z, v: {"z": xw / 2 + 1, "v": 2 * xw * (xw / 2 + 1)}),
    follow_a_view: (1, 1, lambda xw, z, v: {"z": xw / 2 + 1}),
    change_before: (1, 1, lambda xw, z, v: {"z": v / 2 + 1, "u": xw * (v + 2)}),
    read_before: (2, 1, lambda xw, z, v: {"z": v / 2 + 1, "v": xw / 2 + 1}),
    as_operand: (1, 1, lambda xw, z, v: {"v": 2 * xw * z}),
    clip_in_place: (1, 1, lambda xw, z, v: {"z": clipped(xw) / 2 + 1}),
    clip_what_is_read_before: (2, 1, lambda xw, z, v: {"z": xw / 2 + 1, "y": clipped(xw)}),
    mask_other_rows: (2, 0, lambda xw, z, v: {"v": xw * (z > 0)}),
}


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("after", EXPECTED, ids=lambda after: after.__name__)
def test_what_is_joined_computes_the_same(after, n):
    count, joined, oracle = EXPECTED[after]
    plan, b = network()
    b.u = plan.buffer((UNITS,))
    after(plan, b)
    plan.results += [getattr(b, name) for name in oracle(*np.zeros(3))]
    fuse(plan)
    assert len(plan.launches) == count
    assert sum(one.epilogue is not None for one in plan.launches) == joined
    rng = np.random.default_rng(2)
    x, z, v = (rng.normal(size=(N, k)) for k in (INPUTS, UNITS, UNITS))
    expected = oracle(x @ b.w.array, z, v)
    with threads(n):
        got = run(plan, b, *expected, x=x, z=z, v=v)
    for value, name in zip(got, expected, strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=1e-13, err_msg=name)


def test_a_joined_launch_stands_where_nothing_it_needs_is_late():
    """Beside the product where it can, for the tile is warm; behind what writes its operands where it must."""
    plan, b = network()
    plan.call(elementwise.apply, f=half, x=b.v, y=plan.buffer((UNITS,)), p=())
    plan.call(elementwise.apply, f=half, x=b.y, y=b.z, p=())
    fuse(plan)
    assert [one.epilogue is not None for one in plan.launches] == [True, False]
    plan, b = network()
    read_before(plan, b)
    fuse(plan)
    assert [one.epilogue is not None for one in plan.launches] == [False, True]


def test_what_is_joined_reads_what_the_product_would_have_read():
    """One launch between makes the joined one late, another overwrites the product's operand: they stay apart."""

    def result(join):
        plan = Plan(False, "float32", 4)
        a, b, c, y, z = plan.buffer((8,)), plan.buffer((8, 8), per_row=False), *(plan.buffer((8,)) for _ in range(3))
        tanh = registry.activations["tanh"].f
        plan.product(a, b, c)
        for source, target in [(z, a), (a, y), (c, y)]:
            plan.call(elementwise.apply, f=tanh, x=source, y=target, p=())
        if join:
            fuse(plan)
        bound, random = bind(plan, 4, pinned=[a, b, y, z, c]), np.random.default_rng(0)
        for buffer in (a, b, z):
            values = bound.read(buffer, 4)
            values[...] = random.standard_normal(values.shape)
        bound.execution.run(0, 4, 4, 1, 0.0)
        return bound.read(y, 4).copy()

    np.testing.assert_array_equal(result(True), result(False))


def test_flags_of_what_is_joined_stay():
    """The first launch behind the loss stops the step; it may be one that is joined."""
    plan, b = network()
    follow(plan, b)
    plan.launches[1].flags |= abi.CHECK
    fuse(plan)
    (one,) = plan.launches
    assert one.flags & abi.CHECK


def test_a_product_takes_all_that_follows_and_others_keep_their_dtype():
    plan, b = network()
    follow(plan, b)
    plan.call(elementwise.apply, f=half, x=b.z, y=b.v, p=())
    fuse(plan)
    (one,) = plan.launches
    assert [step.template.name for step in one.epilogue.kernel.template.steps] == ["apply", "apply"]
    plan, b = network()
    other = plan.buffer((UNITS,), "float32")
    plan.call(elementwise.cast_float64, x=b.y, y=other)
    fuse(plan)
    assert len(plan.launches) == 2
