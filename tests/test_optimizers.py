"""Every update rule of the table, step by step against float64 oracles."""

import numpy as np
import pytest

from fastnet import optimizers, testing
from fastnet._kernels import registry
from fastnet.testing.plans import update

from . import oracles

ROWS = registry.updates.unique()
NAMES = [row.name for row in ROWS]
STARTS = {"accumulator": 0.1, "step_size": 0.01}  # the states that do not begin with 0, at a learning rate of 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_follow_the_paper(name, dtype):
    row = registry.updates[name]
    rng = np.random.default_rng(5)
    start, gradients = rng.standard_normal(37).astype(dtype), rng.standard_normal((10, 37)).astype(dtype)
    gradients[:, 0] = 0  # a weight nothing depends on
    optimizer = optimizers.Optimizer(row, 0.01)
    got = update(optimizer, dtype, start, gradients)
    w, states = start.astype(float), [np.full(37, STARTS.get(state, 0.0)) for state in row.states]
    if name == "schedule_free":
        states[0] = w
    for t, g in enumerate(gradients.astype(float), 1):
        w = oracles.UPDATES[name](t, w, g, states, 0.01, **row.parameters)
    # Ten roundings; a state near 0 keeps the absolute error of the numbers that cancelled in it. FTRL's is a sum of
    # numbers of the size of w / lr.
    tolerance = (2e-6 if dtype == "float32" else 2e-14) * (100 if "ftrl" in name else 1)
    for mine, right in zip(got, [w, *states], strict=True):
        np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("power", [0.0, -0.3, -1.0])
def test_ftrl_with_all_its_numbers(power):
    rng = np.random.default_rng(6)
    start, gradients = rng.standard_normal(29), rng.standard_normal((12, 29))
    numbers = {
        "learning_rate_power": power, "initial_accumulator_value": 0.3, "l1_regularization_strength": 3.0,
        "l2_regularization_strength": 0.2, "l2_shrinkage_regularization_strength": 0.05, "beta": 0.4,
    }  # fmt: skip
    got = update(optimizers.Ftrl(0.1, **numbers), "float64", start, gradients)
    w, states = start, [np.full(29, 0.3), np.zeros(29)]
    for t, g in enumerate(gradients, 1):
        w = oracles.ftrl_by_keyword(t, w, g, states, 0.1, **numbers)
    assert (w == 0).any()
    for mine, right in zip(got, [w, *states], strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("power", [0.3, 0.0])
def test_powers_of_ftrl_from_nothing_to_huge(power, dtype, tolerance):
    """b^p of accumulators from 0 to 1e30, against numpy's long doubles; the weight stays at 0 where no gradient was."""
    gradients = np.array([0.0, 1e-12, 1e-3, 0.5, 1.0, 40.0, 1e15]).astype(dtype)[None].repeat(5, axis=0)
    start = np.linspace(-2, 2, 7).astype(dtype)
    optimizer = optimizers.Ftrl(0.1, learning_rate_power=-power, initial_accumulator_value=0.0, beta=1.0)
    w, a, z = update(optimizer, dtype, start, gradients)
    right, total, linear = start.astype(np.longdouble), np.zeros(7, np.longdouble), np.zeros(7, np.longdouble)
    for g in gradients.astype(np.longdouble):
        before, total = total, total + g * g
        linear += g - (total ** np.longdouble(power) - before ** np.longdouble(power)) / 0.1 * right
        right = -linear / (total ** np.longdouble(power) / 0.1 + 1 / np.longdouble(0.1))
    np.testing.assert_allclose(w, right.astype(float), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a, total.astype(float), rtol=tolerance)
    assert w[0] == 0


def test_radam_is_rectified_from_the_sixth_step_on():
    """With beta_2 = 0.999 the variance of 1/√v is finite from t = 6: a step of a constant gradient then shrinks."""
    rows = update(optimizers.RAdam(1.0, beta_1=0.0), "float64", np.zeros(1), np.full((5, 1), 2.0))
    np.testing.assert_allclose(rows[0], -5 * 2.0)
    rows = update(optimizers.RAdam(1.0, beta_1=0.0), "float64", np.zeros(1), np.full((6, 1), 2.0))
    assert -10.1 < rows[0][0] < -10.0


def test_the_weight_is_between_a_step_and_the_mean_of_all():
    """A constant gradient: z = -1, -2, -3, whose mean is -2; in four steps of warming up -¼, -¾, -3/2."""
    options = {"beta_1": 0.75, "epsilon": 1e-300}
    for warmup, last, mean in ((0, -3.0, -2.0), (4, -1.5, -2.5 / 3)):
        optimizer = optimizers.ScheduleFreeAdamW(1.0, **options, warmup_steps=warmup)
        w, z, _ = update(optimizer, "float64", np.zeros(1), np.full((3, 1), 2.0))
        np.testing.assert_allclose([z[0], w[0]], [last, 0.25 * last + 0.75 * mean])
    with pytest.raises(ValueError, match="ScheduleFreeAdamW: beta_1"):
        optimizers.ScheduleFreeAdamW(beta_1=0)
    with pytest.raises(ValueError, match="ScheduleFreeAdamW: warmup_steps"):
        optimizers.ScheduleFreeAdamW(warmup_steps=-1)


def test_rprop_by_hand():
    """Steps 0.1, 0.12 (same sign), none and half of it (other sign), 0.06 again."""
    gradients = np.array([[1.0], [3.0], [-2.0], [-2.0]])
    w, before, step = update(optimizers.Rprop(0.1), "float64", np.zeros(1), gradients)
    np.testing.assert_allclose([w[0], before[0], step[0]], [-0.1 - 0.12 + 0.06, -2.0, 0.06])


def test_the_steps_of_rprop_have_limits():
    """0.1, 0.12, 0.144, at most 0.15; none where the sign changes, then at least 0.08, twice."""
    gradients = np.array([[1.0], [1.0], [1.0], [1.0], [-1.0], [-1.0], [1.0], [1.0]])
    optimizer = optimizers.Rprop(0.1, step_sizes=(0.08, 0.15))
    w, _, step = update(optimizer, "float64", np.zeros(1), gradients)
    np.testing.assert_allclose([w[0], step[0]], [-0.1 - 0.12 - 0.144 - 0.15 + 0.08 - 0.08, 0.08])


@pytest.mark.parametrize("name", NAMES)
def test_check_optimizer_proves_every_row(name):
    report = str(testing.check_optimizer(registry.updates[name]))
    assert "the same bits on 1 and 2" in report
    assert "no double instruction" in report


def test_an_update_in_the_wrong_direction_is_found():
    def uphill(w, g, rate):
        return w + rate * g

    def scalars(rate, t):
        return rate

    with pytest.raises(AssertionError, match="raise ½"):
        testing.check_optimizer(registry.Update("uphill", uphill, scalars))
