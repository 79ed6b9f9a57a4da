"""Layers in Keras's form: `build`, `add_weight`, `call` in array code."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import layers, ops, testing
from fastnet._kernels.errors import RuleError
from fastnet.testing.plans import LayerRun
from tests import layer_cases as cases
from tests.sampling import every_second

OURS = cases.layers_of(fastnet.layers, ops)
#: those that take seconds; CI runs them
SLOW = ("Antirectifier", "Steps", "TwiceTheSame", "WeightNormalized", "SelfAttention", "Heads", "Experts", "Prototypes",
        "Penalizing", "ImageBlock", "StandardizedConvolution", "Codebook", "Highway", "Chosen")  # fmt: skip
LONG = [pytest.param(name, marks=pytest.mark.slow) for name in SLOW]
QUICK = [name for name in OURS if name not in SLOW]
NAMES = [*QUICK, *LONG]


@pytest.mark.parametrize("name", [*every_second(QUICK), *LONG])
def test_check_layer(name):
    make, shape = OURS[name]
    testing.check_layer(make, shape)


def trained(layer, shape, epochs=3):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, *shape)).astype("f")
    y = rng.normal(size=(40, 2)).astype("f")
    model = fastnet.Sequential([layers.Input(shape), layer, layers.Flatten(), layers.Dense(2)], seed=4)
    model.compile("adam", "mse")
    history = model.fit(x, y, epochs=epochs, batch_size=16, shuffle=False, verbose=0).history["loss"]
    return model, history, x


def test_a_dense_layer_has_the_bits_of_the_built_in():
    cls = cases.classes_of(fastnet.layers, ops)["Linear"]
    ours, _, x = trained(cls(8, True), (6,))
    built_in, _, _ = trained(layers.Dense(8, "relu"), (6,))
    y = np.ones((40, 2), "f")
    built_in.set_weights(ours.get_weights())
    for model in (ours, built_in):
        model.compile("adam", "mse")
    first, second = (m.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"] for m in (ours, built_in))
    assert first == second
    for weight, other in zip(ours.get_weights(), built_in.get_weights(), strict=True):
        assert np.array_equal(weight, other)
    assert np.array_equal(ours.predict(x, verbose=0), built_in.predict(x, verbose=0))


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_files(name, tmp_path):
    make, shape = OURS[name]
    model, history, x = trained(make(), shape)
    assert history[-1] < history[0]
    expected = model.predict(x, verbose=0)
    classes = {cls.__name__: cls for cls in cases.classes_of(fastnet.layers, ops).values()}
    for again in (copy.deepcopy(model), fastnet.models.clone_model(model)):
        again.set_weights(model.get_weights())
        np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    model.save(tmp_path / "m.fastnet")
    again = fastnet.models.load_model(tmp_path / "m.fastnet", custom_objects=classes)
    np.testing.assert_array_equal(again.predict(x, verbose=0), expected)


class Scale(layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
        self.built = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x, training=None, mask=None):
        return x * self.factor + (0.5 if training else 0.0)


def test_training_pickles_and_calls():
    layer = Scale()
    assert layer(np.ones((2, 3))).tolist() == [[1.0] * 3] * 2
    assert layer(np.ones((2, 3)), training=True).tolist() == [[1.5] * 3] * 2
    assert [w.shape for w in layer.weights] == [(3,)] and layer.compute_output_shape((None, 3)) == (None, 3)
    model, _, x = trained(Scale(), (5,))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_layer_that_is_used_twice_and_a_frozen_one():
    shared = Scale()
    model = fastnet.Sequential([layers.Input((3,)), shared, shared, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 3))
    found = model.gradients(x, np.ones((8, 1)))
    assert found[shared.name]["factor"].shape == (3,)
    shared.trainable = False
    before = shared.factor.numpy()
    model.compile("sgd", "mse")
    model.fit(x, np.ones((8, 1)), verbose=0)
    assert np.array_equal(shared.factor.numpy(), before)


@pytest.mark.parametrize("call, message", [
    (lambda self, x: x if x[:, 0] > 0 else -x, "Layer 'wrong' .*call cannot be compiled: `if`"),
    (lambda self, x: ops.matmul(x, x), r"matmul of arrays of shape \(n, 3\) and \(n, 3\)"),
    (lambda self, x: ops.matmul(x, np.ones((2, 2))), "differ in the size that is summed"),
    (lambda self, x: x * np.random.default_rng().normal(), "another formula when it is called again"),
    (lambda self, x: x * fastnet.Variable(np.ones(x.shape[-1], "f")), "makes a variable of shape"),
    (lambda self, x: 3.0, "must return an array of the batch"),
    (lambda self, x: x + np.ones(4), "do not broadcast"),
    (lambda self, x: ops.sum(x, axis=0), "mixes samples"),
    (lambda self, x: ops.reshape(x, (-1, 2)), "reshape from"),
])  # fmt: skip
def test_what_is_refused(call, message):
    cls = type("Wrong", (layers.Layer,), {"call": call, "__module__": __name__})
    with pytest.raises((RuleError, ValueError), match=message):
        fastnet.Sequential([layers.Input((3,)), cls(name="wrong")]).predict(np.ones((2, 3)), verbose=0)


def test_a_class_with_two_forwards():
    with pytest.raises(TypeError, match="defines call and forward"):
        type("Both", (layers.Layer,), {"call": lambda self, x: x, "forward": lambda self, plan, x: x})


def test_a_weight_within_a_loss():
    weight = fastnet.Variable(np.ones(3), "scale")
    with pytest.raises(RuleError, match="outside a layer's call"):
        fastnet.losses.get(lambda t, p: ops.sum(p * weight, axis=-1))


def product_count(cls, name="product"):
    """The products of a step of a layer by itself, on samples of six numbers."""
    return sum(launch.name == name for launch in LayerRun(cls, "float32", (6,), 8).run.plan.launches)


def test_a_layer_within_is_applied_once_where_its_result_is_also_added_to_the_loss():
    class Penalizing(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.inner = layers.Dense(3)

        def call(self, x):
            y = self.inner(x)
            self.add_loss(ops.mean(ops.square(y)))
            return y

    assert product_count(Penalizing) == 3  # forward, and two gradients


def test_parts_of_formulas_of_weights_are_computed_once():
    class Squared(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1],) * 2, name="w")

        def call(self, x):
            squared = ops.matmul(self.w, self.w)
            return ops.matmul(x, squared) + ops.matmul(ops.tanh(x), squared / ops.norm(squared))

    assert product_count(Squared, "products") == 3  # forward, and two gradients
