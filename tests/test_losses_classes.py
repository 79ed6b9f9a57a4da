"""Arguments of losses, and losses, regularizers and constraints of one's own: what their formulas take."""

import numpy as np
import pytest

from fastnet import constraints, losses, regularizers


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum", None])
@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 2), (2,)], ids=str)
def test_a_weight_that_is_a_number_counts_for_every_row(shape, reduction):
    rng = np.random.default_rng(0)
    y, p = rng.standard_normal((2, *shape))
    rows = ((y - p) ** 2).mean(-1)
    wanted = {"sum_over_batch_size": 2.5 * rows.mean(), "sum": 2.5 * rows.sum(), None: 2.5 * rows}
    for weight in (2.5, np.float32(2.5), np.array(2.5)):
        got = losses.MeanSquaredError(reduction)(y, p, sample_weight=weight)
        np.testing.assert_allclose(got, wanted.get(reduction, rows.mean()), rtol=1e-12)


def test_weights_of_a_single_row_are_explained():
    loss = losses.MeanSquaredError()
    assert loss([1.0, 2.0, 3.0], np.zeros(3), [3.0]) == pytest.approx(14.0)
    with pytest.raises(ValueError, match=r"one row, which has one weight; received 3. For 3 rows .* shape \(3, 1\)"):
        loss([1.0, 2.0, 3.0], np.zeros(3), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="sample_weight must be finite; it is nan"):
        loss([[1.0]], np.zeros((1, 1)), np.nan)


class Weighted(losses.Loss):
    def __init__(self, factor=2.0, **more):
        super().__init__(**more)
        self.factor = factor

    @staticmethod
    def call(y_true, y_pred, factor):
        return factor * (y_true - y_pred) ** 2


class Misnamed(Weighted):
    def __init__(self):
        losses.Loss.__init__(self)
        self.factr = 2.0


class Textual(Weighted):
    def __init__(self):
        losses.Loss.__init__(self)
        self.factor = "2"


class AsInKeras(losses.Loss):
    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** 2


class Defaulting(regularizers.Regularizer):
    @staticmethod
    def penalty(w, strength=1.0):
        return strength * w * w


class AtMost(constraints.Constraint):
    def __init__(self, limits):
        self.limits = limits

    @staticmethod
    def project(w, limit=1.0):
        return limit if w > limit else w


class Shifted(constraints.Constraint):
    def __init__(self, epsilon):
        self.epsilon = epsilon

    @staticmethod
    def project(w, epsilon):
        return w + epsilon


def test_further_arguments_are_attributes_and_need_no_default():
    assert Weighted(3.0)([[1.0, 2.0]], [[1.0, 4.0]]) == 6.0
    loss = Weighted()
    loss.factor = np.float32(0.5)
    assert loss([[1.0, 2.0]], [[1.0, 4.0]]) == 1.0
    np.testing.assert_array_equal(Shifted(3.0)(np.array([1.0, 2.0])), [4.0, 5.0])


@pytest.mark.parametrize(
    "make, problem",
    [
        (Misnamed, "Misnamed.call takes 'factor'.*does not set it. There is self.factr"),
        (Textual, "self.factor; it must be a number, received '2'"),
        (Defaulting, "Defaulting.penalty takes 'strength'.*does not set it"),
        (lambda: AtMost(1.0), "AtMost.project takes 'limit'.*There is self.limits"),
        (AsInKeras, "AsInKeras needs a static method.*without self.*docs/extending.md"),
    ],
)
def test_what_a_formula_takes_must_be_there_when_one_is_made(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_the_last_axis_has_two_names():
    rng = np.random.default_rng(0)
    t, p = rng.uniform(0.1, 1, (3, 4)), rng.uniform(0.1, 1, (3, 4))
    for cls in (losses.CosineSimilarity, losses.CategoricalCrossentropy, losses.BinaryCrossentropy):
        assert cls(axis=1)(t, p) == cls()(t, p)
        assert cls(axis=2)(t[None], p[None]) == cls()(t[None], p[None])
        with pytest.raises(ValueError, match=rf"{cls.__name__}: axis must be the last one.*\(n, 3, 4\), received 1"):
            cls(axis=1)(t[None], p[None])
        for axis in (0, -2, True, 1.5):
            with pytest.raises(ValueError, match="axis must be the last one"):
                cls(axis=axis)


def test_numbers_and_truths():
    assert losses.Huber(np.float32(0.5)).delta == losses.Huber(0.5).delta
    for make in (losses.BinaryCrossentropy, losses.SparseCategoricalCrossentropy):
        assert make(from_logits=np.bool_(True)).from_logits is True
        for value in ("x", None, 1):
            with pytest.raises(ValueError, match=f"{make.__name__}: from_logits must be True or False"):
                make(from_logits=value)
