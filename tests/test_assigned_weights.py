"""Layers whose call assigns weights. The oracle is NumPy; `parity/test_parity_assigned_weights.py` has Keras."""

import functools

import numpy as np
import pytest

import fastnet
from fastnet import layers, ops, testing
from fastnet._kernels.errors import RuleError
from tests import test_cuda_training as gpu
from tests.assigning_layers import SHAPES, classes_of

CLASSES = classes_of(layers, ops)
Before, Guarded, Tracker, Warm = (CLASSES[name] for name in ("Before", "Guarded", "Tracker", "Warm"))
RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(19, 3)), RNG.normal(size=(19, 1))


def layer_of(call, trainable=False):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(3,), initializer="zeros", trainable=trainable, name="w")

    return type("Mine", (layers.Layer,), {"call": call, "build": build, "__module__": __name__})()


def compiled(*stack, dtype="float64"):
    model = fastnet.Sequential([layers.Input((3,), dtype=dtype), *stack, layers.Dense(1, dtype=dtype)], seed=3)
    model.compile(fastnet.optimizers.SGD(0.1), "mse")
    return model


class ComputeSum(layers.Layer):
    """From the guide "Making new layers and models via subclassing"."""

    def __init__(self, input_dim):
        super().__init__()
        self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

    def call(self, inputs):
        self.total.assign_add(ops.sum(inputs, axis=0))
        return self.total


def test_the_sum_of_the_guide():
    layer = ComputeSum(2)
    x = np.ones((2, 2))
    assert layer(x).tolist() == [2.0, 2.0] and layer(x).tolist() == [4.0, 4.0]
    assert layer(3 * x[:1]).tolist() == [7.0, 7.0] == layer.total.numpy().tolist()
    assert len(layer.weights) == len(layer.non_trainable_weights) == 1 and layer.trainable_weights == []
    with pytest.raises(RuleError, match=r"\(ComputeSum\): call must return an array of the batch"):
        fastnet.Sequential([layers.Input((2,)), layer]).predict(x, verbose=0)
    assert layer.total.numpy().tolist() == [7.0, 7.0]


def test_a_moving_mean_by_numpy():
    layer = Before(dtype="float64")
    model, mean = compiled(layer), np.zeros((1, 3))
    model.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    for _ in range(2):
        for first in (0, 8, 16):  # the last batch has 3 rows
            mean = 0.9 * mean + 0.1 * X[first : first + 8].mean(axis=0, keepdims=True)
    np.testing.assert_allclose(layer.mean.numpy(), mean, rtol=1e-14)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), (X - mean) @ model.layers[-1].kernel.numpy() + model.layers[-1].bias.numpy()
    )
    state = layer.mean.numpy()
    model.gradients(X, Y)
    layer(X)
    layer(X[:0], training=True)  # no rows: nothing is assigned
    np.testing.assert_array_equal(layer.mean.numpy(), state)
    model.train_on_batch(X[:1], Y[:1])
    np.testing.assert_allclose(layer.mean.numpy(), 0.9 * mean + 0.1 * X[:1], rtol=1e-14)


def test_a_counter_of_two_models():
    warm, guarded = Warm(), Guarded()
    models = [compiled(warm, guarded, dtype="float32"), compiled(guarded, dtype="float32")]
    for model in models:
        model.fit(X, Y, batch_size=8, verbose=0)
    assert (float(warm.steps), float(guarded.steps)) == (3, 6)
    models[0].evaluate(X, Y, batch_size=8, verbose=0)
    y = models[0].predict(X, batch_size=5, verbose=0)
    assert (float(warm.steps), float(guarded.steps)) == (10, 6)
    dense = models[0].layers[-1]
    factors = np.minimum(np.repeat([7, 8, 9, 10], 5)[:19, None] / 10, 1) * (1 + 6 / 7)
    np.testing.assert_allclose(y, factors * (X @ dense.kernel.numpy()) + dense.bias.numpy(), rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_not_finite_assigns_nothing():
    layer = Tracker()
    model = compiled(layer, dtype="float32")
    model.fit(X, Y, verbose=0)
    before = layer.get_weights()
    with pytest.raises(fastnet.NonFiniteError):
        model.train_on_batch(X, np.full(Y.shape, np.nan))
    for value, wanted in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_files_and_copies(tmp_path):
    model = compiled(Guarded(), Before(), dtype="float32")
    model.fit(X, Y, batch_size=8, verbose=0)
    model.save(tmp_path / "m.fastnet")
    again = fastnet.models.load_model(tmp_path / "m.fastnet", custom_objects={"Guarded": Guarded, "Before": Before})
    copy = fastnet.models.clone_model(model)
    copy.compile(fastnet.optimizers.SGD(0.1), "mse")
    copy.set_weights(model.get_weights())
    for each in (model, again, copy):
        each.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
        assert float(each.layers[0].steps) == 6
        for value, wanted in zip(each.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(value, wanted)


def test_what_an_assignment_gives():
    layer = layer_of(lambda self, x: x + self.w.assign(self.w + 1) + self.w.assign_sub([0.5, 0.0, 0.0]))
    assert layer([[0.0, 0.0, 0.0]]).tolist() == [[1.5, 2.0, 2.0]] and layer.w.numpy().tolist() == [0.5, 1.0, 1.0]


class Remembering(layers.Layer):
    """Has a weight that an optimizer changes, and only an assignment reads."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(3,), initializer="ones", name="w")
        self.last = self.add_weight(shape=(3,), initializer="zeros", trainable=False, name="last")

    def call(self, x):
        self.last.assign(2.0 * self.w)
        return x


def test_a_weight_that_only_an_assignment_reads():
    layer = Remembering()
    with pytest.warns(UserWarning, match="no gradient reaches 'w'"):
        compiled(layer, dtype="float32").fit(X, Y, verbose=0)
    assert layer.get_weights()[0].tolist() == [1.0] * 3 and layer.last.numpy().tolist() == [2.0] * 3


class Inner(layers.Layer):
    def __init__(self, **more):
        super().__init__(**more)
        self.counting = Warm()

    def build(self, input_shape):
        self.counting.build(input_shape)

    def call(self, x):
        return self.counting(x) * self.counting.steps


OTHER = layer_of(lambda self, x: x)
OTHER.build((None, 3))


def assigns_the_parents(self, x):
    self.gamma.assign(2.0 * self.gamma)
    return layers.LayerNormalization.call(self, x)


class Frozen(layers.LayerNormalization):
    call = assigns_the_parents

    def build(self, input_shape):
        super().build(input_shape)
        self.gamma.trainable = False


class Averages(layers.BatchNormalization):
    def call(self, x, training=None):
        y = super().call(x)
        if training:
            self.moving_mean.assign(0.0 * self.moving_mean)
        return y


def test_a_weight_that_a_layer_changes_by_itself():
    model = compiled(Averages(), dtype="float32")
    with pytest.raises(RuleError, match=r"moving_mean' is assigned in call, and its layer changes it by itself"):
        model.fit(X, Y, verbose=0)


def test_the_rows_of_the_batch_as_a_number():
    layer = layer_of(lambda self, x: self.w.assign_add(0 * self.w + ops.cast(ops.shape(x)[0], "float32")) + x)
    assert layer(X).shape == X.shape and layer.w.numpy().tolist() == [19.0] * 3


REFUSED = [
    (
        lambda self, x: x + OTHER.w.assign(OTHER.w + 1),
        r"w' is assigned, and is no weight of this layer \(line \d+ of",
    ),
    (lambda self, x: self.w.assign(x) + x, r"of shape \(3,\) is assigned an array of the batch, \(n, 3\)"),
    (lambda self, x: x + self.w.assign(1.0), r"of shape \(3,\) is assigned an array of shape \(\)"),
    (lambda self, x: x - ops.mean(x, axis=0), "what is assigned to a weight, and"),
    (lambda self, x: x + self.w.assign(ops.max(x, axis=0)), r"max over the batch \(axis 0\) mixes samples"),
    (lambda self, x: x * RNG.normal() + self.w.assign([1, 2, 3]), "another formula when it is called"),
    (lambda self, x: [self.w.assign(self.w + RNG.normal()), x][1], "call assigns something else when it is called"),
]


@pytest.mark.parametrize("make, message", [
    *((functools.partial(layer_of, call), message) for call, message in REFUSED),
    (lambda: layer_of(lambda self, x: x * self.w.assign(self.w + 1), True), "w' is assigned, and belongs to the optim"),
    (Inner, r"call reads the weight 'warm.*/state', which a layer that it applies assigns"),
    (Frozen, r"assigns the weight 'gamma', which super\(\).call reads as it was"),
])  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises((RuleError, ValueError), match=message):
        fastnet.Sequential([layers.Input((3,)), make()]).predict(X, verbose=0)


#: those whose gradients are not stopped, which differences do not show
DIFFERENTIATED = [name for name in CLASSES if name not in ("Guarded", "Images", "Spectral")]


@pytest.mark.parametrize("name", ["Guarded", *(pytest.param(name, marks=pytest.mark.slow) for name in DIFFERENTIATED)])
def test_check_layer(name):
    testing.check_layer(CLASSES[name], SHAPES.get(name, (6,)))


@pytest.mark.slow
@pytest.mark.parametrize("names", [("Warm", "Before"), ("Several",), ("Spectral",)], ids=" and ".join)
def test_a_gpu_has_the_bits_of_the_cpu(names, tmp_path):
    def stack():
        return [layers.Input((6,)), *(CLASSES[name](name=name) for name in names), layers.Dense(3)]

    gpu.assert_same_training(stack, "sgd", "mse", *gpu.data(6, 0))
    model = gpu.compiled("cpu", stack, "sgd", "mse")
    folder = testing.dump(model, tmp_path / "step", "cuda:sm_90", batch_size=4)
    assert names[0] in (folder / "plan.txt").read_text() and list(folder.glob("*.ptx"))
