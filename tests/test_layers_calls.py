"""Layers and models called on arrays: as in training, with a mask, one sample, softmax over several axes."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

X = np.linspace(-1, 1, 24, dtype="float32").reshape(4, 3, 2)


def softmax(x, axes):
    e = np.exp(x.astype(float) - x.max(axes, keepdims=True))
    return e / e.sum(axes, keepdims=True)


def test_noise_of_a_training_call():
    ones = np.ones((50, 40), "float32")
    layer = layers.Dropout(0.25, seed=1)
    first, second = layer(ones, training=True), layer(ones, training=True)
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)} and 0.2 < (first == 0).mean() < 0.3
    assert (first != second).any()
    again = layers.Dropout(0.25, seed=1)
    np.testing.assert_array_equal(again(ones, training=True), first)
    np.testing.assert_array_equal(layer(ones), ones)

    def drawn():
        fastnet.random.set_seed(7)
        return layers.GaussianNoise(1.0)(ones, training=True)

    np.testing.assert_array_equal(drawn(), drawn())


def test_batch_normalization_of_a_training_call():
    layer = layers.BatchNormalization(momentum=0.5, epsilon=1e-9)
    y = layer(X, training=True)
    np.testing.assert_allclose(y.mean((0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((0, 1)), 1, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X.mean((0, 1)) / 2, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), (1 + X.var((0, 1))) / 2, rtol=1e-5)
    assert layer.moving_mean.assignments == 1
    before = layer.moving_mean.numpy()
    layer(X)
    layer.trainable = False
    layer(X, training=True)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), before)


def test_a_mask_of_a_call():
    layer, mask = layers.BatchNormalization(momentum=0.0), np.zeros((4, 3))
    mask[:2] = 1
    layer(X, training=True, mask=mask)
    np.testing.assert_allclose(layer.moving_mean.numpy(), X[:2].mean((0, 1)), rtol=1e-5)
    model = fastnet.Sequential([layers.Input((3, 2)), layers.BatchNormalization(momentum=0.0)])
    model(X, training=True, mask=mask.astype(bool))
    np.testing.assert_allclose(model.layers[0].moving_mean.numpy(), X[:2].mean((0, 1)), rtol=1e-5)
    np.testing.assert_array_equal(layer(X, mask=mask), layer(X))
    for call in (layer, model):
        with pytest.raises(
            ValueError, match=r"mask must say of each step of the inputs.*\(4, 3\), received \(4, 3, 2\)"
        ):
            call(X, mask=np.ones((4, 3, 2)))


def test_a_training_call_of_a_model():
    model = fastnet.Sequential([layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.5), layers.Flatten()])
    y = model(X, training=True)
    assert y.shape == (4, 15) and 0.2 < (y == 0).mean() < 0.8 and model.built
    assert (model(X, training=True) != y).any() and model.layers[1].moving_mean.numpy().any()
    np.testing.assert_array_equal(model(X), model.predict(X, verbose=0))
    assert model(X[:0], training=True).shape == (0, 15)
    for call in (model, model.layers[0]):
        with pytest.raises(TypeError, match="there are no graphs of layers"):
            call(model)
        with pytest.raises(ValueError, match="training must be True or False, received 'yes'"):
            call(X, training="yes")
    with pytest.raises(ValueError, match="takes rows, an array"):
        layers.ReLU()(3.0)


def test_what_has_no_weights_is_built():
    weightless = (layers.ReLU(), layers.Dropout(0.5), layers.Flatten(), layers.Masking(), layers.Activation("relu"))
    assert all(layer.built for layer in weightless)
    assert not any(layer.built for layer in (layers.Dense(1), layers.PReLU(), fastnet.Sequential([layers.Dense(1)])))
    assert repr(layers.ReLU(name="r")) == "<ReLU r>"


@pytest.mark.parametrize("mode, x, expected", [
    ("multi_hot", 2, [0, 0, 1]),
    ("multi_hot", [0, 2], [1, 0, 1]),
    ("count", [2, 2], [0, 0, 2]),
    ("count", [[2, 2]], [[0, 0, 2]]),
    ("one_hot", [0, 2], [[1, 0, 0], [0, 0, 1]]),
])  # fmt: skip
def test_one_sample_of_categories(mode, x, expected):
    assert layers.CategoryEncoding(3, output_mode=mode)(x).tolist() == expected


V = np.array([-1.0, 0.0, 2.0, 4.0], "float32")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Softmax(), softmax(V, 0)),
        (layers.Activation("softmax"), softmax(V, 0)),
        (layers.Activation("glu"), V[:2] / (1 + np.exp(-V[2:]))),
        (layers.LayerNormalization(epsilon=1e-9), (V - V.mean()) / V.std()),
        (layers.UnitNormalization(), V / np.sqrt(21)),
        (layers.Normalization(mean=1.0, variance=4.0), (V - 1) / 2),
        (layers.Normalization(mean=V, variance=V * V + 1), 0 * V),
        (layers.Activation("relu"), np.maximum(V, 0)),
        (layers.Rescaling(2.0), 2 * V),
    ],
    ids=str,
)
def test_a_vector(layer, expected):
    """One sample of a layer that works along the last axis, as in Keras; of others as many numbers."""
    for _ in range(2):
        np.testing.assert_allclose(layer(V), expected, atol=1e-6)


def test_a_vector_where_samples_are_numbers():
    model = fastnet.Sequential([layers.Input(()), layers.Softmax()])
    np.testing.assert_array_equal(model.layers[0](V), np.ones(4))
    np.testing.assert_array_equal(model.predict(V, verbose=0), np.ones(4))
    with pytest.raises(ValueError, match="glu halves an axis, whose size must be even; received samples of one number"):
        fastnet.Sequential([layers.Input(()), layers.Activation("glu")])


@pytest.mark.parametrize("axis", [-1, 2, 1, (-2, -1), (1, 3), [3, 1], (1, 2, 3)])
def test_softmax_over_axes(axis):
    x = np.sin(np.arange(120.0)).reshape(5, 3, 2, 4).astype("float32")
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    layer = layers.Softmax(axis=axis)
    np.testing.assert_allclose(layer(x), softmax(x, axes), atol=1e-6)
    again = layers.Softmax.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x), layer(x))


def test_a_mask_that_is_broadcast():
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    layer = layers.BatchNormalization(epsilon=1e-9, dtype="float64")
    y = layer(x, training=True, mask=np.array([[[True], [False]]]))
    first = x[0, 0]
    np.testing.assert_allclose(y[0, 0], (first - first.mean(0)) / first.std(0), atol=1e-6)


def test_softmax_with_a_mask():
    x, mask = X[:2], np.array([[1, 0], [1, 1], [0, 0]])
    y = layers.Softmax()(x, mask)
    np.testing.assert_allclose(y[:, 0], [[1, 0]] * 2)
    np.testing.assert_allclose(y[:, 1], softmax(x[:, 1], -1), atol=1e-6)
    assert not y[:, 2].any()
    np.testing.assert_array_equal(layers.Softmax()(x, mask=mask > 0), y)
    with pytest.raises(ValueError, match=r"shape that broadcasts to that of the inputs, \(2, 3, 2\); received \(3,\)"):
        layers.Softmax()(x, np.ones(3))


@pytest.mark.parametrize("axis", [0, 4, -5, (1, 1), ()])
def test_axes_that_softmax_refuses(axis):
    with pytest.raises(ValueError, match=r"Softmax.*: axis must name axes of the sample, from 1 to 2.*received"):
        layers.Softmax(axis=axis)(X)


def test_a_call_as_in_training_leaves_the_plans_of_a_model():
    class Noisy(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.noise = layers.Dropout(0.5)

        def forward(self, plan, x):
            return plan.apply(self.noise, x)

    layer = Noisy()
    before = layer.changes
    results = [layer(np.ones((4, 8)), training=True) for _ in range(2)]
    assert layer.changes == before and not np.array_equal(*results)


def test_a_layer_is_called_by_keras_names():
    for layer in (layers.Dense(2), layers.Softmax(), layers.RandomFlip(seed=1), fastnet.Sequential([layers.Dense(2)])):
        x = np.ones((3, 4, 4, 2), "float32") if isinstance(layer, layers.RandomFlip) else X
        np.testing.assert_array_equal(layer(inputs=x, training=False), layer(x, training=False))
    assert layers.CategoryEncoding(3)(inputs=[[1]]).tolist() == [[0, 1, 0]]


class Added(layers.Layer):
    def __init__(self, **more):
        super().__init__(**more)
        self.inner = layers.Dense(2, kernel_initializer="ones", activity_regularizer="l1", kernel_regularizer="l2")

    def call(self, x):
        self.add_loss(fastnet.ops.sum(x))
        self.add_loss(2.0 * fastnet.ops.mean(fastnet.ops.square(x)))
        return self.inner(x)


def test_losses_of_the_last_call():
    """They held the penalties of weights only, and left out in silence what the call added."""
    layer = Added(activity_regularizer=fastnet.regularizers.L2(0.5))
    for rows in (1, 5, 0):
        x = np.arange(rows * 3.0).reshape(rows, 3)
        y = x.sum(-1, keepdims=True) * np.ones(2)
        layer(x)
        mean = max(rows, 1)
        added = [np.abs(y).sum() / 100 / mean, x.sum(), 2 * (x**2).sum() / (3 * mean), (y**2).sum() / 2 / mean]
        np.testing.assert_allclose(sorted(layer.losses), sorted([0.06, *added]), rtol=1e-6)
    layer.inner(np.ones((2, 3)))
    np.testing.assert_allclose(sorted(layer.inner.losses), [0.06, 0.06], rtol=1e-6)
    layer(np.zeros((0, 3)))
    np.testing.assert_allclose(layer.inner.losses, [0.06], rtol=1e-6)
    model = fastnet.Sequential([layers.Input((3,)), layer])
    model(np.ones((2, 3)), training=True)
    np.testing.assert_allclose(sorted(model.losses), [0.06, 0.06, 2.0, 6.0, 9.0], rtol=1e-6)
