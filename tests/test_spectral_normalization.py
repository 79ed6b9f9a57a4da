"""Spectral normalization: steps of training against numpy in float64."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers
from fastnet.testing.running import threads

RNG = np.random.default_rng(0)
LAYERS = {
    "dense": (lambda: layers.Dense(3), (5,)),
    "one column": (lambda: layers.Dense(1), (7,)),
    "one weight": (lambda: layers.Dense(1, use_bias=False), (1,)),
    "einsum": (lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (2, 5)),
    "convolution": (lambda: layers.Conv2D(3, 2), (4, 5, 2)),
    "depthwise": (lambda: layers.DepthwiseConv2D(2, depth_multiplier=2), (4, 5, 3)),
}


def iterated(kernel, u, count):
    """Kernel and vector behind ``count`` power iterations; Miyato et al. 2018, algorithm 1."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    for _ in range(count):
        v = u @ matrix.T
        v = v / np.sqrt((v * v).sum())
        u = v @ matrix
        u = u / np.sqrt((u * u).sum())
    return kernel / (v @ matrix @ u.T).item(), u


def network(inner, shape, count=1):
    wrapped = layers.SpectralNormalization(inner(), count)
    model = fastnet.Sequential([layers.Input(shape), wrapped, layers.Flatten()])
    model.compile(optimizers.SGD(0.1), "mse")
    return model, wrapped


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_steps(name, count):
    """Each step is one of the layer alone, from the normalized kernel."""
    inner, shape = LAYERS[name]
    model, wrapped = network(inner, shape, count)
    plain = fastnet.Sequential([layers.Input(shape), inner(), layers.Flatten()])
    plain.compile(optimizers.SGD(0.1), "mse")
    x = RNG.standard_normal((6, *shape))
    y = RNG.standard_normal((6, *model.output_shape[1:]))
    kernel, u = (v.numpy().astype("float64") for v in (wrapped.layer.kernel, wrapped.vector_u))
    plain.layers[0].set_weights(wrapped.layer.get_weights())
    for _ in range(3):
        kernel, u = iterated(kernel, u, count)
        plain.layers[0].kernel.assign(kernel)
        assert model.train_on_batch(x, y) == pytest.approx(plain.train_on_batch(x, y), rel=1e-5)
        kernel = plain.layers[0].kernel.numpy().astype("float64")
        # float32: the sums of a few products, over three steps
        np.testing.assert_allclose(wrapped.layer.kernel, kernel, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(wrapped.vector_u, u, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=2e-5, atol=1e-5)


def test_the_largest_singular_value_becomes_one():
    layer = layers.SpectralNormalization(layers.Dense(6), 50)
    layer.build((None, 11))
    bias = layer.layer.bias.numpy()
    layer.layer.kernel.assign(RNG.standard_normal((11, 6)))
    x = np.eye(11)
    y = layer(x, training=True)
    assert np.linalg.norm(y - bias, 2) == pytest.approx(1, abs=1e-4)  # 50 iterations of values that lie apart
    np.testing.assert_array_equal(layer(x), y)  # inference reads the kernel that training assigned
    assert layer(x[:0], training=True).shape == (0, 6)


def test_zeros_stay():
    model, wrapped = network(lambda: layers.Dense(3, kernel_initializer="zeros", trainable=False), (4,))
    u = wrapped.vector_u.numpy()
    assert u.any()
    model.train_on_batch(np.ones((5, 4)), np.ones((5, 3)))
    np.testing.assert_array_equal(wrapped.vector_u, u)
    np.testing.assert_array_equal(wrapped.layer.kernel, np.zeros((4, 3)))


def test_frozen_layers_are_normalized():
    model, wrapped = network(lambda: layers.Dense(3), (4,))
    wrapped.trainable = False
    kernel, _ = iterated(wrapped.layer.kernel.numpy(), wrapped.vector_u.numpy(), 1)
    model.train_on_batch(np.ones((5, 4)), np.ones((5, 3)))
    np.testing.assert_allclose(wrapped.layer.kernel, kernel, rtol=1e-5)
    assert not model.trainable_weights


def test_a_layer_applied_twice_is_normalized_once_a_step():
    shared = layers.SpectralNormalization(layers.Dense(4, trainable=False))
    model = fastnet.Sequential([layers.Input((4,)), shared, shared])
    model.compile("sgd", "mse")
    kernel, u = iterated(shared.layer.kernel.numpy(), shared.vector_u.numpy(), 1)
    model.train_on_batch(np.ones((5, 4)), np.ones((5, 4)))
    np.testing.assert_allclose(shared.layer.kernel, kernel, rtol=1e-5)
    np.testing.assert_allclose(shared.vector_u, u, rtol=1e-5, atol=1e-6)


def test_the_same_bits_on_any_number_of_threads():
    def trained(count):
        fastnet.utils.set_random_seed(1)
        model, wrapped = network(lambda: layers.Dense(67), (131,))
        with threads(count):
            model.fit(np.ones((9, 131)), np.ones((9, 67)), batch_size=4, epochs=2, verbose=0)
        return b"".join(w.tobytes() for w in wrapped.get_weights())

    assert trained(1) == trained(2)


def test_files(tmp_path):
    model, wrapped = network(lambda: layers.Dense(3), (4,), 2)
    model.fit(np.ones((5, 4)), np.ones((5, 3)), verbose=0)
    model.save(tmp_path / "m.fastnet")
    again = fastnet.models.load_model(tmp_path / "m.fastnet")
    assert again.layers[0].power_iterations == 2
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
    for left, right in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    again.train_on_batch(np.ones((5, 4)), np.ones((5, 3)))
    model.train_on_batch(np.ones((5, 4)), np.ones((5, 3)))
    np.testing.assert_array_equal(again.layers[0].vector_u, wrapped.vector_u)


def test_gradients_are_those_of_the_next_step_and_change_nothing():
    model, wrapped = network(lambda: layers.Dense(3), (4,))
    x, y, before = RNG.standard_normal((5, 4)), RNG.standard_normal((5, 3)), model.get_weights()
    kernel, _ = iterated(wrapped.layer.kernel.numpy(), wrapped.vector_u.numpy(), 1)
    dy = 2 * (x @ kernel + wrapped.layer.bias.numpy() - y) / y.size
    found = model.gradients(x, y)
    np.testing.assert_allclose(found[wrapped.name][wrapped.layer.name]["kernel"], x.T @ dy, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["input"], dy @ kernel.T, rtol=1e-5, atol=1e-6)
    for left, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_errors():
    with pytest.raises(ValueError, match="power_iterations must be"):
        layers.SpectralNormalization(layers.Dense(2), 0)
    with pytest.raises(ValueError, match="layer must be a layer, received 3"):
        layers.SpectralNormalization(3)
    for inner in (
        layers.ReLU(name="r"),
        layers.SeparableConv1D(2, 1, name="r"),
        fastnet.Sequential([layers.Dense(2)], name="r"),
    ):
        layer = layers.SpectralNormalization(inner, name="s")
        with pytest.raises(ValueError, match="'s' .* divides the kernel of a layer, and .* 'r'.* has none; give"):
            layer.build((None, 4, 3))
