"""Joined launches compute, bit for bit, what the same launches compute one after the other: random plans."""

import numpy as np
import pytest

from fastnet.engine.bind import bind
from fastnet.engine.fuse import fuse
from fastnet.engine.variable import Variable

from . import plan_oracle
from .plan_oracle import ROWS, Interpreter, RandomPlan, copied


def values_for(one):
    """Values of what is given, the same for each plan made from one seed."""
    rng = np.random.default_rng(7)
    return {v: rng.standard_normal(v.shape if isinstance(v, Variable) else _shape(v)) for v in one.given}


def _shape(view):
    return (view.buffer.entries.at(ROWS), *view.shape)


def interpreted(plan, one, finite):
    """What two steps leave in the weights and, where they ended, in the results."""
    run, out = Interpreter(plan, 0.5), []  # in the first step something may read what is written every two steps
    run.slots[one.slot.index] = 0.75
    for number in (1, 2):
        for operand, value in values_for(one).items():
            if number == 1 or not isinstance(operand, Variable):
                run.set(operand, value)
        run.step(number, finite)
        out += [run.get(v) for v in one.given if isinstance(v, Variable)]
        # In a step that ended, and of a launch that did not run in it, nobody reads the results.
        out += [run.get(v) for v in one.plan.results if finite and number == 2]
    return out


@pytest.mark.parametrize("of_batch", [False, True])
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_random_plans_mean_the_same_when_they_are_joined(first, of_batch):
    joined = 0
    for seed in range(first, first + 20):
        one = RandomPlan(seed, of_batch)
        fused = copied(one.plan)
        fuse(fused)
        joined += len(one.plan.launches) - len(fused.launches)
        for finite in (True, False):
            wanted = interpreted(one.plan, one, finite)
            got = interpreted(fused, one, finite)
            for mine, right in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(mine, right, err_msg=f"seed {seed}\n{one.plan}\n\n{fused}")
    assert joined > 20


@pytest.mark.parametrize("of_batch", [False, True])
@pytest.mark.parametrize("seed", range(300, 305))
def test_compiled_plans_give_the_same_bits_when_they_are_joined(seed, of_batch):
    one = RandomPlan(seed, of_batch, period=False, checks=False)
    fused = copied(one.plan)
    fuse(fused)
    results = []
    values = values_for(one)
    for plan in (one.plan, fused):
        weights = {v: Variable(value, v.name) for v, value in values.items() if isinstance(v, Variable)}
        views = {v: value for v, value in values.items() if not isinstance(v, Variable)}
        bound = bind(plan, ROWS, pinned=list(views), reuse=plan is fused, weights=weights)
        for view, value in views.items():
            bound.read(view, ROWS)[...] = value.reshape(bound.read(view, ROWS).shape)
        bound.scalars[one.slot.index] = 0.75
        bound.execution.run(0, ROWS, ROWS, 1, 0.0)
        results.append([*(v.numpy() for v in weights.values()), *(bound.read(v, ROWS).copy() for v in plan.results)])
    interpreter = interpreted_once(fused, one, values)
    for mine, right, slow in zip(*results, interpreter, strict=True):
        np.testing.assert_array_equal(mine, right, err_msg=f"{one.plan}\n\n{fused}")
        # A product adds in another order than numpy's, and what follows it may cancel.
        np.testing.assert_allclose(np.ravel(mine), slow, rtol=1e-9, atol=1e-12)


def interpreted_once(plan, one, values):
    run = Interpreter(plan, np.nan)
    run.slots[one.slot.index] = 0.75
    for operand, value in values.items():
        run.set(operand, value)
    run.step(1)
    return [run.get(v) for v in [v for v in one.given if isinstance(v, Variable)] + plan.results]


def test_the_interpreter_would_see_a_wrong_join(monkeypatch):
    """Where `fuse` takes any two launches for neighbours, some plan comes out different."""
    monkeypatch.setattr("fastnet.engine.fuse.Uses.may_move", lambda self, *launches: True)
    with pytest.raises(AssertionError):
        for first in range(0, 200, 20):
            test_random_plans_mean_the_same_when_they_are_joined(first, True)


def test_random_plans_hold_what_they_should():
    seen, forms = set(), set()
    for seed in range(60):
        one = RandomPlan(seed, seed % 2 == 0)
        fuse(one.plan)
        for launch in one.plan.launches:
            chains = [launch.kernel, *([launch.epilogue.kernel] if launch.epilogue else [])]
            for kernel in (k for k in chains if hasattr(k, "template")):
                seen |= {step.template.name for step in kernel.template.steps if len(kernel.template.steps) > 1}
                forms |= {kernel.template.form}
    assert {"apply", "chain_rule", "add", "multiply", "clip_gradient", "zero_masked", "i", "start", "pair"} <= seen
    assert {"flat", "grid", "tile", "fold"} <= forms
    assert plan_oracle.i.name == "i"
