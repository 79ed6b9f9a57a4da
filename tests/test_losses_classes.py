"""Arguments of losses, and losses, regularizers and constraints of one's own: what their formulas take."""

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, constraints, extend, layers, losses, metrics, regularizers


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
    assert loss([1.0, 2.0, 3.0], np.zeros(3), [3.0, 2.0, 1.0]) == pytest.approx((3 + 8 + 9) / 3)  # of its elements
    with pytest.raises(ValueError, match=r"one row, which has one weight; received 3. For 3 rows .* shape \(3, 1\)"):
        losses.KLDivergence()([1.0, 2.0, 3.0], np.ones(3), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="sample_weight must be finite; it is nan"):
        loss([[1.0]], np.zeros((1, 1)), np.nan)


@pytest.mark.parametrize("weight", [1.0, np.ones(1), np.zeros(0), np.zeros((0, 2))], ids=np.shape)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum", None])
def test_arrays_without_rows_and_weights(reduction, weight):
    empty = np.zeros((0, 2))
    got = losses.MeanSquaredError(reduction)(empty, empty, weight)
    assert np.shape(got) == (0,) if reduction is None else got == 0.0


def test_arrays_may_be_integers_and_columns():
    """Integers beyond 2²⁴ are not rounded to float32, as in Keras's functions and metrics."""
    large = np.array([[2**24 + 1, 3]]), np.array([[2**24, 1]])
    assert losses.mean_squared_error(*large).tolist() == [2.5]
    assert losses.MeanSquaredError()(*large) == metrics.MeanSquaredError()(*large) == 2.5
    assert metrics.Accuracy()(*large) == 0.0
    small = np.array([[1, 3]], "uint8"), np.array([[True, False]])
    assert losses.mean_squared_error(*small).tolist() == [4.5]
    assert losses.mean_squared_error(*small).dtype == "float32"
    column = pytest.importorskip("pandas").Series([1, 2, None], dtype="Float32")
    assert np.isnan(losses.mean_squared_error(np.zeros(3), column))
    assert metrics.Mean()(column.dropna()) == metrics.binary_accuracy([1, 1], column.dropna()).mean() + 0.5 == 1.5
    for call in (losses.mean_squared_error, losses.Dice(), metrics.MeanSquaredError(), metrics.binary_accuracy):
        with pytest.raises(ValueError, match="y_pred must hold real numbers; received strings"):
            call([[0.0]], [["a"]])
        with pytest.raises(ValueError, match="y_true must hold real numbers; received complex numbers"):
            call([[1j]], [[0.0]])


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


X, Y = np.full((8, 3), 0.5), np.linspace(-1, 2, 8)


def compiled(loss, metrics=()):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1, kernel_initializer="ones", dtype="float64")])
    model.compile(fastnet.optimizers.SGD(0.0), loss, metrics=list(metrics))
    return model


def test_an_argument_of_a_loss_that_is_set_again_counts_from_the_next_step_on():
    model = compiled(losses.Huber(), [measured := losses.Huber()])
    rows = Y[:, None]

    def wanted(delta):
        return losses.Huber(delta)(rows, np.full((8, 1), 1.5))

    assert model.train_on_batch(X, Y) == pytest.approx([wanted(1.0)] * 2, rel=1e-12)
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(wanted(1.0), rel=1e-12)
    model.loss.delta = measured.delta = 0.25
    assert model.train_on_batch(X, Y) == pytest.approx([wanted(0.25)] * 2, rel=1e-12)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx([wanted(0.25)] * 2, rel=1e-12)
    model.loss.reduction = "sum"
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(8 * wanted(0.25), rel=1e-12)


def scaled_square(y_true, y_pred, factor=2.0):
    return factor * (y_true - y_pred) ** 2


@pytest.mark.parametrize("make", [Weighted, lambda: losses.FunctionLoss(scaled_square)], ids=["class", "function"])
def test_an_argument_of_a_users_loss_that_is_set_again_counts(make):
    model = compiled(make())
    before = model.train_on_batch(X, Y)
    model.loss.factor = 4.0
    assert model.train_on_batch(X, Y) == pytest.approx(2 * before, rel=1e-12)
    made = losses.deserialize(losses.serialize(model.loss), {f.__name__: f for f in (Weighted, scaled_square)})
    assert made.factor == 4.0


@pytest.mark.parametrize(
    "loss, argument, value, told",
    [
        (losses.Huber(), "delta", -1, "Huber: delta must be a number that is positive and finite, received -1"),
        (losses.Huber(), "reduction", "average", "Huber: reduction must be .* received 'average'"),
        (losses.BinaryCrossentropy(), "from_logits", 1, "BinaryCrossentropy: from_logits must be True or False"),
        (losses.CosineSimilarity(), "axis", 0, "CosineSimilarity: axis must be the last one, -1, received 0"),
        (
            losses.SparseCategoricalCrossentropy(),
            "ignore_class",
            0.5,
            "ignore_class, which may be None, must be an int",
        ),
        (losses.FunctionLoss(scaled_square), "factor", None, "scaled_square: factor must be a number"),
        (losses.FunctionLoss(scaled_square), "fn", len, "FunctionLoss: fn is .* and stays so"),
    ],
)
def test_an_argument_of_a_loss_that_is_set_again_is_checked(loss, argument, value, told):
    before = getattr(loss, argument)
    with pytest.raises(ValueError, match=told):
        setattr(loss, argument, value)
    assert getattr(loss, argument) is before


def test_what_a_callback_sets_counts_from_the_next_step_on():
    """An argument of the loss and one of a layer, in the middle of a fit."""
    model = compiled("mse")
    model.add(layers.Rescaling(1.0, dtype="float64"))
    model.compile(fastnet.optimizers.SGD(0.0), losses.Huber())
    wanted = {epoch: losses.Huber(delta)(Y[:, None], np.full((8, 1), 1.5 * scale)) for epoch, delta, scale in
              [(0, 1.0, 1.0), (1, 0.25, 1.0), (2, 0.25, 2.0)]}  # fmt: skip

    class Changing(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                model.loss.delta = 0.25
            else:
                model.layers[-1].scale = 2.0

    losses_seen = model.fit(X, Y, epochs=3, verbose=0, callbacks=[Changing()]).history["loss"]
    np.testing.assert_allclose(losses_seen, list(wanted.values()), rtol=1e-12)


@pytest.mark.parametrize(
    "reduction, launches", [("sum_over_batch_size", 1), ("sum", 1), ("mean_with_sample_weight", 3)]
)
def test_the_launches_of_the_weights_of_rows(reduction, launches):
    """The number of rows is known; only a mean by the weights needs their sum, its chunks and a factor."""
    plan = extend.Plan(training=True, dtype="float32")
    prediction, target, weight = plan.buffer((4, 3)), plan.buffer((4, 3)), plan.buffer((4,))
    losses.Huber(reduction=reduction).row_weight(plan, prediction, target, weight)
    assert len(plan.launches) == launches
