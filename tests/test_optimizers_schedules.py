"""Schedules against values worked out by hand, at their corners and far beyond their ends; bad arguments."""

import json

import numpy as np
import pytest

from fastnet import optimizers
from fastnet.optimizers import schedules as s

LR = {"initial_learning_rate": 8.0}

BY_HAND = [
    (s.ExponentialDecay(**LR, decay_steps=2, decay_rate=0.25), {0: 8, 1: 4, 2: 2, 4: 0.5}),
    (s.ExponentialDecay(**LR, decay_steps=2, decay_rate=0.25, staircase=True), {0: 8, 1: 8, 2: 2, 3: 2, 4: 0.5}),
    (s.InverseTimeDecay(**LR, decay_steps=2, decay_rate=1.0), {0: 8, 1: 8 / 1.5, 2: 4, 6: 2}),
    (s.InverseTimeDecay(**LR, decay_steps=2, decay_rate=1.0, staircase=True), {1: 8, 2: 4, 3: 4, 6: 2}),
    (s.PiecewiseConstantDecay([2, 4], [3.0, 2.0, 1.0]), {0: 3, 2: 3, 3: 2, 4: 2, 5: 1, 10**9: 1}),
    (s.PiecewiseConstantDecay([], [3.0]), {0: 3, 7: 3}),
    (s.PolynomialDecay(**LR, decay_steps=4, end_learning_rate=4.0, power=2.0), {0: 8, 2: 5, 4: 4, 10**9: 4}),
    (s.PolynomialDecay(**LR, decay_steps=4, end_learning_rate=0.0, cycle=True), {0: 8, 4: 0, 6: 2, 8: 0, 9: 2}),
    (s.CosineDecay(**LR, decay_steps=4), {0: 8, 2: 4, 4: 0, 10**9: 0}),
    (s.CosineDecay(**LR, decay_steps=4, alpha=0.5), {0: 8, 2: 6, 4: 4, 5: 4}),
    (s.CosineDecay(0.0, 4, warmup_target=8.0, warmup_steps=2), {0: 0, 1: 4, 2: 8, 4: 4, 6: 0, 99: 0}),
    (s.CosineDecay(1.0, 4, warmup_target=8.0), {0: 8, 4: 0}),
    (s.CosineDecay(**LR, decay_steps=4, warmup_steps=3), {0: 8, 2: 4, 4: 0, 7: 0}),  # without a target no warm-up
    (s.CosineDecayRestarts(**LR, first_decay_steps=2), {0: 8, 1: 4, 2: 8, 4: 4, 6: 8, 10: 4, 14: 8, 30: 8, 62: 8}),
    (s.CosineDecayRestarts(**LR, first_decay_steps=2, t_mul=1.0, m_mul=0.5), {0: 8, 1: 4, 2: 4, 3: 2, 4: 2}),
    (s.CosineDecayRestarts(**LR, first_decay_steps=1, t_mul=3.0), {0: 8, 1: 8, 4: 8, 13: 8, 40: 8, 121: 8, 364: 8}),
    (s.CosineDecayRestarts(**LR, first_decay_steps=10, t_mul=1.3), {0: 8, 5: 4, 10: 8, 16.5: 4, 23: 8, 31.45: 4}),
    (s.CosineDecayRestarts(**LR, first_decay_steps=100, t_mul=1.1, m_mul=0.5), {100: 4, 155: 2, 210: 2, 331: 1}),
    (s.OneCycle(8.0, 11, pct_start=0.5454545454545454, anneal_strategy="linear", div_factor=4.0, final_div_factor=2.0),
     {0: 2, 5: 8, 10: 1, 99: 1}),
    (s.OneCycle(8.0, 10, 0.4, "linear", div_factor=4.0, final_div_factor=2.0, three_phase=True),
     {0: 2, 1: 4, 3: 8, 4: 6, 6: 2, 9: 1, 99: 1}),
    (s.Cyclic(1.0, 5.0, step_size_up=2, step_size_down=4), {0: 1, 1: 3, 2: 5, 4: 3, 6: 1, 8: 5}),
    (s.Cyclic(1.0, 5.0, step_size_up=2, mode="triangular2"), {2: 5, 4: 1, 6: 3, 10: 2}),
    (s.Cyclic(1.0, 5.0, step_size_up=2, mode="exp_range", gamma=0.5), {2: 2, 6: 1 + 4 / 64}),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "values"), BY_HAND, ids=lambda v: type(v).__name__)
def test_by_hand(schedule, values):
    for step, value in values.items():
        assert schedule(step) == pytest.approx(value, rel=1e-12, abs=1e-14), step
    np.testing.assert_allclose(schedule.at(np.array(list(values))), list(values.values()), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("schedule", "values"), BY_HAND, ids=lambda v: type(v).__name__)
def test_as_plain_data(schedule, values):
    again = s.deserialize(json.loads(json.dumps(s.serialize(schedule))))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    assert [again(step) for step in values] == [schedule(step) for step in values]


def test_the_rates_of_an_epoch_are_one_call():
    optimizer = optimizers.SGD(s.CosineDecay(0.5, 100))
    optimizer.iterations = 7
    np.testing.assert_array_equal(optimizer.rates(50), [optimizer._schedule(step) for step in range(7, 57)])
    assert optimizer.learning_rate == optimizer.rates(1)[0]


def test_a_schedule_of_ones_own():
    class Halving(s.LearningRateSchedule):
        def __init__(self, start):
            self.start = start

        def __call__(self, step):
            assert type(step) is int
            return self.start * 0.5**step

    optimizer = optimizers.Adam(Halving(1.0))
    assert optimizer.rates(4).tolist() == [1.0, 0.5, 0.25, 0.125]
    described = optimizers.serialize(optimizer)
    again = optimizers.deserialize(described, custom_objects={"Halving": Halving})
    assert again.rates(4).tolist() == [1.0, 0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="Halving"):
        optimizers.deserialize(described)
    with pytest.raises(NotImplementedError, match="LearningRateSchedule must define __call__"):
        s.LearningRateSchedule()(0)


PAIR = np.array([0.1, 0.2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: s.ExponentialDecay(0.1, 0, 0.5),
            "ExponentialDecay: decay_steps must be a number that is positive.*received 0",
        ),
        (lambda: s.InverseTimeDecay("a", 1, 0.5), "InverseTimeDecay: initial_learning_rate.*'a'"),
        (lambda: s.PolynomialDecay(0.1, -1), "PolynomialDecay: decay_steps"),
        (lambda: s.CosineDecay(0.1, 4, warmup_target=1.0, warmup_steps=-2), "CosineDecay: warmup_steps"),
        (lambda: s.CosineDecayRestarts(0.1, 4, t_mul=0.5), "CosineDecayRestarts: t_mul must be at least 1.*0.5"),
        (lambda: s.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "one more than boundaries, received 2 values and 2"),
        (lambda: s.PiecewiseConstantDecay([2, 2], [1, 2, 3]), r"boundaries must rise, received \[2, 2\]"),
        (lambda: s.PiecewiseConstantDecay([2], [1, float("nan")]), r"values\[1\]"),
        (lambda: s.ExponentialDecay(0.1, 5, -1), "ExponentialDecay: decay_rate must be a number.*not negative.*-1"),
        (lambda: s.InverseTimeDecay(0.1, 5, -1), "InverseTimeDecay: decay_rate"),
        (lambda: s.ExponentialDecay(0.1, 5, 0.5, staircase="x"), "staircase must be True or False, received 'x'"),
        (lambda: s.PolynomialDecay(0.1, 5, cycle=1), "PolynomialDecay: cycle must be True or False"),
        (lambda: s.PolynomialDecay(0.1, 5, power=-1), "PolynomialDecay: power"),
        (lambda: s.PolynomialDecay(0.1, 5, end_learning_rate=-1), "end_learning_rate"),
        (lambda: s.CosineDecay(0.1, 5, alpha=-1), "CosineDecay: alpha must be.*at least 0 and at most 1"),
        (lambda: s.CosineDecay(0.1, 5, alpha=2), "CosineDecay: alpha"),
        (lambda: s.CosineDecay(0.1, 5, warmup_target=-1), "CosineDecay: warmup_target"),
        (lambda: s.CosineDecayRestarts(0.1, 5, m_mul=-1), "CosineDecayRestarts: m_mul"),
        (lambda: s.PiecewiseConstantDecay([float("nan")], [1, 2]), r"boundaries\[0\] must be a number"),
        (lambda: s.PiecewiseConstantDecay("ab", [1, 2, 3]), r"boundaries\[0\] must be a number.*'a'"),
        (lambda: s.PiecewiseConstantDecay([1], [1, -2]), r"values\[1\]"),
        (lambda: s.OneCycle(0.1, 10, pct_start=1.5), "OneCycle: pct_start"),
        (lambda: s.OneCycle(0.1, 10, anneal_strategy="cosine"), "OneCycle: anneal_strategy must be 'cos' or 'linear'"),
        (lambda: s.Cyclic(0.1, 0.2, step_size_up=0), "Cyclic: step_size_up"),
        (lambda: s.Cyclic(0.1, 0.2, step_size_up=float("inf")), "Cyclic: step_size_up must be.*it counts steps.*inf"),
        (lambda: s.Cyclic(0.1, 0.2, step_size_up=None), "Cyclic: step_size_up must be.*None"),
        (lambda: s.Cyclic(0.1, 0.2, step_size_down=float("inf")), "Cyclic: step_size_down must be.*inf"),
        (lambda: s.Cyclic(0.1, 0.2, mode=PAIR), "Cyclic: mode must be 'triangular', 'triangular2' or 'exp_range'"),
        (lambda: s.OneCycle(0.1, 10, anneal_strategy=PAIR), "OneCycle: anneal_strategy must be.*array"),
        (lambda: s.CosineDecay(0.1, 5, warmup_steps=PAIR), "CosineDecay: warmup_steps must be.*array"),
        (lambda: s.ExponentialDecay(0.1, 10**400, 0.5), "ExponentialDecay: decay_steps must be"),
        (lambda: s.Cyclic(0.1, 0.2, mode="saw"), "Cyclic: mode.*'saw'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_call_of_a_subclass_of_a_formula_is_asked():
    class Twice(s.ExponentialDecay):
        def __call__(self, step):
            return 2 * super().__call__(step)

    class AndOne(Twice):
        def __call__(self, step):
            return 1 + super().__call__(step)

    assert optimizers.SGD(Twice(0.1, 1, 0.5)).rates(3).tolist() == [0.2, 0.1, 0.05]
    assert optimizers.SGD(AndOne(0.1, 1, 0.5)).rates(2).tolist() == [1.2, 1.1]
