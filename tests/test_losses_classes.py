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
        with pytest.raises(
            ValueError, match=rf"{cls.__name__}: axis must name axes of the sample.*\(3, 4\).*received 3"
        ):
            cls(axis=3)(t[None], p[None])
        for axis in (0, True, 1.5):
            with pytest.raises(ValueError, match="axis must be an"):
                cls(axis=axis)


def array_with_class_axis(rng, axis, classes=4):
    """Predictions, targets and labels (5, ...), whose classes are those of an axis of 3."""
    p = np.moveaxis(rng.dirichlet(np.ones(classes), (5, 3, 2)), -1, axis)
    return p, np.moveaxis(rng.dirichlet(np.ones(classes), (5, 3, 2)), -1, axis), rng.integers(0, classes, (5, 3, 2))


@pytest.mark.parametrize("axis", [1, 2, -2, 3])
def test_any_axis_is_that_of_the_rows(axis):
    p, t, labels = array_with_class_axis(np.random.default_rng(1), axis)
    last_p, last_t = np.moveaxis(p, axis, -1), np.moveaxis(t, axis, -1)
    w = np.random.default_rng(2).uniform(0, 2, (5, 3, 2))
    for cls in (losses.CosineSimilarity, losses.CategoricalCrossentropy, losses.BinaryCrossentropy):
        for weights in (None, w, w[:, 0, 0]):
            assert cls(axis=axis)(t, p, weights) == pytest.approx(cls()(last_t, last_p, weights), rel=1e-12)
        np.testing.assert_allclose(cls(axis=axis).per_row(t, p), cls().per_row(last_t, last_p), rtol=1e-12)
    sparse = losses.SparseCategoricalCrossentropy(axis=axis)
    wanted = -np.log(np.take_along_axis(last_p, labels[..., None], -1)[..., 0])
    np.testing.assert_allclose(sparse.per_row(labels, p), wanted, rtol=1e-12)
    assert sparse(np.expand_dims(labels, axis), p) == pytest.approx(wanted.mean(), rel=1e-12)
    with pytest.raises(ValueError, match=r"targets of the predictions' shape, \(5, .*received \(5, \d\)"):
        losses.CosineSimilarity(axis=1)(t[:, :, 0, 0], p)
    if axis != 3:
        with pytest.raises(ValueError, match=r"sample_weight must have shape \(5,\) or"):
            losses.BinaryCrossentropy(axis=axis)(t, p, np.ones_like(p))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_model_trains_along_another_axis(sparse):
    """The same numbers as those of a model whose last layer puts the axis last."""
    rng = np.random.default_rng(3)
    x, labels = rng.standard_normal((11, 4, 3)).astype("f"), rng.integers(0, 4, (11, 3))
    onehot = np.eye(4, dtype="f")[labels]
    kind = losses.SparseCategoricalCrossentropy if sparse else losses.CategoricalCrossentropy
    metric = metrics.SparseCategoricalCrossentropy if sparse else metrics.CategoricalCrossentropy
    weights, found = rng.uniform(0, 2, (11, 3)), []
    for axis, last in ((1, []), (-1, [layers.Permute((2, 1))])):
        model = fastnet.Sequential([layers.Input((4, 3)), layers.Dense(3, name="d"), *last], seed=5)
        model.compile("sgd", kind(True, axis=axis), weighted_metrics=[metric("m", from_logits=True, axis=axis)])
        y = labels if sparse else onehot if last else onehot.transpose(0, 2, 1)
        history = model.fit(x, y, 4, 2, verbose=0, shuffle=False, sample_weight=weights)
        found.append([*history.history.values(), model.get_weights()[0].ravel()])
        found[-1].append(model.evaluate(x, y, verbose=0, sample_weight=weights[:, 0]))
    for ours, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=2e-6)


def test_what_an_axis_does_not_go_with_is_explained():
    x, labels = np.ones((2, 4, 3)), np.zeros((2, 3), int)
    model = fastnet.Sequential([layers.Input((4, 3)), layers.Dense(3)])
    loss = losses.SparseCategoricalCrossentropy(True, axis=1)
    model.compile("sgd", loss, metrics=["accuracy"])
    with pytest.raises(ValueError, match="The metric 'accuracy' has axis=-1, and the loss .* axis=1"):
        model.fit(x, labels, verbose=0)
    model.compile("sgd", losses.CosineSimilarity(axis=1), weighted_metrics=["mse"])
    with pytest.raises(ValueError, match="weighted metric 'mse' has axis=-1, and the loss .* axis=1"):
        model.fit(x, x, sample_weight=np.ones(2), verbose=0)
    model.compile("sgd", losses.CosineSimilarity(axis=3))
    with pytest.raises(ValueError, match=r"axis must name axes of the sample, from 1 to 2 .*layer 'dense"):
        model.fit(x, x, verbose=0)
    masked = fastnet.Sequential([layers.Input((4, 3)), layers.Masking(), layers.Dense(3)])
    masked.compile("sgd", losses.CosineSimilarity(axis=1))
    with pytest.raises(ValueError, match="CosineSimilarity: axis must be the last one, -1, of predictions with a mask"):
        masked.fit(x, x, verbose=0)


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
        (losses.CosineSimilarity(), "axis", 0, "CosineSimilarity: axis must be an axis of a sample"),
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


@pytest.mark.parametrize("loss", ["CosineSimilarity", "KLDivergence"])
def test_targets_that_say_that_predictions_are_rows(loss):
    t, p = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.2, 0.9, 0.6, 0.4])
    of_rows = getattr(losses, loss)()
    assert of_rows(t[:, None], p) == of_rows(t, p[:, None]) == of_rows(t[:, None], p[:, None])
