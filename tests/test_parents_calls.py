"""`super().call(...)` in the array code of users' classes: what the parent does, as a part of a formula."""

import numpy as np
import pytest

import fastnet
from fastnet import constraints, layers, losses, models, ops, regularizers

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3)).astype("float32")
Y = RNG.standard_normal((6, 2)).astype("float32")


class Doubled(layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


class Scaled(Doubled):
    """A class between it and fastnet's, and a weight of its own."""

    def build(self, input_shape):
        super().build(input_shape)
        self.extra = self.add_weight("extra", (2,), "ones")

    def call(self, x):
        return super().call(x) * self.extra + super().call(-x)


class Shifted(layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        return super().call(x, training=training, mask=mask) + 1


class Noisy(layers.Dropout):
    def call(self, x, training=None):
        return super().call(x, training=training)


def trained(layer):
    model = fastnet.Sequential([layers.Input((3,)), layer], seed=0)
    model.compile(fastnet.optimizers.SGD(0.1), "mse")
    model.fit(X, Y[:, : model.output_shape[-1]] if model.output_shape[-1] < 3 else X, epochs=2, verbose=0)
    return model


def test_a_layers_parent_is_a_part_of_its_call():
    layer = Doubled(2, activation="tanh")
    x = layer(X)
    np.testing.assert_allclose(x, 2 * np.tanh(X @ layer.kernel.numpy()), rtol=1e-5)
    normalized = Shifted(epsilon=1e-6)(X, training=True)
    np.testing.assert_allclose(normalized, (X - X.mean(0)) / X.std(0) + 1, rtol=1e-3, atol=1e-4)
    assert layers.Dense(2, kernel_initializer="ones").call(X).shape == (6, 2)


@pytest.mark.parametrize("make", [Doubled, Scaled])
def test_its_gradients_are_those_of_central_differences(make):
    model = fastnet.Sequential([layers.Input((3,)), make(2, activation="tanh", dtype="float64")], seed=1)
    model.compile("sgd", "mse")
    found = model.gradients(X.astype(float), Y)[model.layers[0].name]
    for weight in model.trainable_weights:
        value = weight.numpy()
        for index in np.ndindex(value.shape):
            both = []
            for step in (1e-6, -1e-6):
                weight[index] = value[index] + step
                both.append(np.mean((model.predict(X.astype(float), verbose=0) - Y) ** 2))
            weight[index] = value[index]
            assert found[weight.name][index] == pytest.approx((both[0] - both[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("make", [lambda: Doubled(2), lambda: Scaled(2), Shifted, lambda: Noisy(0.5)])
def test_it_is_trained_and_saved(make, tmp_path):
    layer = make()
    model = trained(layer)
    assert not layer.weights or not np.array_equal(model.get_weights()[0], trained_zero(make))
    model.save(tmp_path / "model.fastnet")
    loaded = models.load_model(tmp_path / "model.fastnet", custom_objects={type(layer).__name__: type(layer)})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def trained_zero(make):
    return fastnet.Sequential([layers.Input((3,)), make()], seed=0).get_weights()[0]


def test_averages_move_and_noise_is_drawn_in_training_alone():
    layer = trained(Shifted(momentum=0.5)).layers[0]
    np.testing.assert_allclose(layer.moving_mean, X.mean(0) * 0.75, rtol=1e-5)
    noisy = Noisy(0.5)
    assert np.array_equal(noisy(X), X) and not np.array_equal(noisy(X, training=True), X)


def test_a_weight_that_neither_call_reads_is_told():
    class Forgetful(Doubled):
        def build(self, input_shape):
            super().build(input_shape)
            self.extra = self.add_weight("extra", (2,), "ones")

    with pytest.warns(UserWarning, match="no gradient reaches 'extra'"):
        model = trained(Forgetful(2))
    np.testing.assert_array_equal(model.layers[0].extra, [1, 1])


def test_parents_that_have_no_call():
    class Bare(layers.Layer):
        def call(self, x):
            return super().call(x)

    class Branch(layers.Residual):
        def call(self, x):
            return super().call(x)

    with pytest.raises(NotImplementedError, match="super\\(\\).call is that of Layer, which does nothing itself"):
        Bare()(X)
    with pytest.raises(NotImplementedError, match="that of Residual, which applies other layers: apply them in call"):
        Branch([layers.Dense(3)])(X)
    with pytest.raises(TypeError, match="super\\(\\).call takes an array that call is given"):
        Doubled(2).call(X)
    with pytest.raises(NotImplementedError, match="needs a method call\\(self, y_true, y_pred\\)"):
        losses.Loss("own").call(Y, Y)


@pytest.mark.parametrize("base", [
    losses.MeanSquaredError, losses.Huber, losses.BinaryCrossentropy, losses.CategoricalCrossentropy,
    losses.CosineSimilarity, losses.LogCosh, losses.Poisson, losses.KLDivergence, losses.CategoricalHinge,
    losses.CategoricalFocalCrossentropy, losses.Hinge, losses.Dice,
])  # fmt: skip
def test_a_losss_parent_is_a_part_of_its_formula(base):
    class Twice(base):
        def call(self, y_true, y_pred):
            return 2 * super().call(y_true, y_pred)

    p = RNG.uniform(0.1, 0.9, (5, 3)).astype("float32")
    t = np.eye(3, dtype="float32")[[0, 1, 2, 1, 0]]
    assert Twice()(t, p) == pytest.approx(2 * base()(t, p), rel=1e-6)
    np.testing.assert_allclose(base().call(t, p), base(reduction=None)(t, p), rtol=1e-6)


@pytest.mark.parametrize("base, more", [
    (losses.SparseCategoricalCrossentropy, {}), (losses.SparseCategoricalCrossentropy, {"from_logits": True}),
    (losses.CategoricalGeneralizedCrossEntropy, {"q": 0.3}),
])  # fmt: skip
def test_a_loss_of_labels_is_a_part_of_a_formula(base, more):
    p, labels = RNG.uniform(0.1, 0.9, (5, 3)), np.array([0, 2, 1, 1, 0])
    twice = losses.get(lambda y_true, y_pred: 2 * base(**more)(y_true, y_pred))
    expected = 2 * base(reduction=None, **more)(labels, p)
    for target in (labels, labels[:, None]):
        assert twice(target, p) == pytest.approx(expected.mean(), rel=1e-6)


def test_a_loss_that_ignores_labels_or_has_another_axis_is_not_there_in_formulas():
    for more in ({"ignore_class": 1}, {"axis": 1}):
        with pytest.raises(ValueError, match="is not there in formulas"):
            losses.get(lambda y, p, m=more: losses.SparseCategoricalCrossentropy(**m)(y, p))


def kernel(**given):
    layer = layers.Dense(2, kernel_initializer=fastnet.initializers.GlorotUniform(seed=1), **given)
    return trained(layer).get_weights()[0]


def test_a_regularizers_and_a_constraints_parent():
    class Twice(regularizers.L1L2):
        def __call__(self, w):
            return 2 * super().__call__(w)

    np.testing.assert_allclose(
        kernel(kernel_regularizer=Twice(0.1, 0.2)), kernel(kernel_regularizer=regularizers.L1L2(0.2, 0.4)), rtol=1e-6
    )
    assert Twice(0.5, 0.25)(np.array([2.0, -4.0])) == pytest.approx(16.0)

    class Angles(regularizers.OrthogonalRegularizer):
        def __call__(self, w):
            return super().__call__(w)

    angles = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert Angles(0.5)(angles) == pytest.approx(regularizers.OrthogonalRegularizer(0.5)(angles)) != 0
    with pytest.raises(ValueError, match="its parent's penalty has no formula.*write it with fastnet.ops"):
        kernel(kernel_regularizer=Angles())


@pytest.mark.parametrize("base, arguments", [
    (constraints.NonNeg, ()), (constraints.UnitNorm, ()), (constraints.MaxNorm, (0.3, 1)),
    (constraints.MaxNorm, (0.3, [0, 1])), (constraints.MinMaxNorm, (0.1, 0.2, 0.5)),
])  # fmt: skip
def test_a_constraints_parent(base, arguments):
    class Halved(base):
        def __call__(self, w):
            return ops.multiply(super().__call__(w), 0.5)

    w = RNG.standard_normal((3, 2))
    np.testing.assert_allclose(Halved(*arguments)(w), base(*arguments)(w) / 2, rtol=1e-12)
    halved = kernel(kernel_constraint=Halved(*arguments))
    assert not np.array_equal(halved, kernel(kernel_constraint=base(*arguments)))


@pytest.mark.peers
def test_programs_of_keras():
    import keras

    def weights(k):
        class Layer(k.layers.Dense):
            def call(self, x):
                return 2 * super().call(x)

        class Loss(k.losses.MeanSquaredError):
            def call(self, y_true, y_pred):
                return 3 * super().call(y_true, y_pred)

        class Penalty(k.regularizers.L2):
            def __call__(self, w):
                return 2 * super().__call__(w)

        class Bound(k.constraints.MaxNorm):
            def __call__(self, w):
                return 0.9 * super().__call__(w)

        model = k.Sequential(
            [
                k.layers.Input((3,)),
                Layer(4, kernel_initializer="ones", kernel_regularizer=Penalty(0.1), activation="tanh"),
                k.layers.Dense(2, kernel_initializer="ones", kernel_constraint=Bound(0.8)),
            ]
        )
        model.compile(k.optimizers.SGD(0.1), Loss())
        model.fit(X, Y, epochs=3, verbose=0)
        return model.get_weights()

    for found, wanted in zip(weights(fastnet), weights(keras), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
