"""Arguments of layers, networks and initializers: numpy's numbers are numbers, and each mistake is told in words."""

import math
from fractions import Fraction

import numpy as np
import pytest

import fastnet
from fastnet import activations, checks, initializers, layers


def halve(x, k=0.5):
    return k * x


F, D, H, L, U = np.float32, np.float64, np.float16, np.int64, np.uint8


@pytest.mark.parametrize(("numpys", "pythons", "shape"), [
    (lambda: layers.Rescaling(F(0.5), L(2)), lambda: layers.Rescaling(0.5, 2), (3,)),
    (lambda: layers.Dropout(F(0.25), noise_shape=(None, L(1)), seed=L(3)),
     lambda: layers.Dropout(0.25, noise_shape=(None, 1), seed=3), (3,)),
    (lambda: layers.GaussianDropout(H(0.5), seed=U(3)), lambda: layers.GaussianDropout(0.5, seed=3), (3,)),
    (lambda: layers.GaussianNoise(D(0.5)), lambda: layers.GaussianNoise(0.5), (3,)),
    (lambda: layers.AlphaDropout(F(0.5)), lambda: layers.AlphaDropout(0.5), (3,)),
    (lambda: layers.ActivityRegularization(F(0.5), L(1)), lambda: layers.ActivityRegularization(0.5, 1), (3,)),
    (lambda: layers.Reshape((L(4), U(3))), lambda: layers.Reshape((4, 3)), (12,)),
    (lambda: layers.Reshape(L(-1)), lambda: layers.Reshape(-1), (4, 3)),
    (lambda: layers.Reshape(np.array([4, -1])), lambda: layers.Reshape((4, -1)), (12,)),
    (lambda: layers.Permute(np.array([2, 1])), lambda: layers.Permute((2, 1)), (4, 3)),
    (lambda: layers.RepeatVector(L(2)), lambda: layers.RepeatVector(2), (3,)),
    (lambda: layers.Dense(L(8)), lambda: layers.Dense(8), (3,)),
    (lambda: layers.Dense(2, input_dim=L(3)), lambda: layers.Dense(2, input_dim=3), (3,)),
    (lambda: layers.Softmax(L(-1)), lambda: layers.Softmax(-1), (3,)),
    (lambda: layers.ReLU(F(6), F(0.5), F(1)), lambda: layers.ReLU(6, 0.5, 1), (3,)),
    (lambda: layers.LeakyReLU(F(0.5)), lambda: layers.LeakyReLU(0.5), (3,)),
    (lambda: layers.ELU(F(0.5)), lambda: layers.ELU(0.5), (3,)),
    (lambda: layers.PReLU(shared_axes=L(1)), lambda: layers.PReLU(shared_axes=1), (3, 4)),
    (lambda: layers.PReLU(shared_axes=np.array([1, 2])), lambda: layers.PReLU(shared_axes=[1, 2]), (3, 4)),
    (lambda: layers.Lambda(halve, arguments={"k": F(0.25)}), lambda: layers.Lambda(halve, arguments={"k": 0.25}), (3,)),
    (lambda: layers.BatchNormalization(L(-1), F(0.5), F(0.25)), lambda: layers.BatchNormalization(-1, 0.5, 0.25), (3,)),
    (lambda: layers.LayerNormalization(L(-1), F(0.5)), lambda: layers.LayerNormalization(-1, 0.5), (3,)),
    (lambda: layers.LayerNormalization([L(-1)]), lambda: layers.LayerNormalization([-1]), (3,)),
    (lambda: layers.GroupNormalization(L(2), L(-1), F(0.5)), lambda: layers.GroupNormalization(2, -1, 0.5), (4,)),
    (lambda: layers.Masking(L(0)), lambda: layers.Masking(0.0), (3,)),
    (lambda: layers.Normalization(L(-1), F(1), F(4)), lambda: layers.Normalization(-1, 1.0, 4.0), (3,)),
    (lambda: layers.Input((L(3),), batch_size=L(2)), lambda: layers.Input((3,), batch_size=2), (3,)),
])  # fmt: skip
def test_numbers_of_numpy_are_numbers(numpys, pythons, shape):
    ours, theirs = numpys(), pythons()
    for layer in (ours, theirs):
        layer.dtype = "float64"
        layer.connect(shape)
    a, b = ours.get_config(), theirs.get_config()
    a.pop("name"), b.pop("name")
    assert a == b and ours.output_shape == theirs.output_shape
    with fastnet.saving.custom_object_scope({"halve": halve}):
        again = type(ours).from_config(ours.get_config())  # what it says of itself is plain data
    assert again.connect(shape) == ours.output_shape
    assert not any(isinstance(v, np.generic) for v in a.values())
    ours.set_weights(theirs.get_weights())
    x = np.linspace(-3, 3, 2 * math.prod(shape)).reshape(2, *shape)
    np.testing.assert_array_equal(ours(x), theirs(x))


def test_numbers_of_numpy_in_fit():
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(
        np.ones((8, 2)), np.ones(8), verbose=0, validation_split=F(0.25), batch_size=L(2), epochs=U(2),
        validation_freq=L(2), class_weight={L(1): F(2)},
    )  # fmt: skip
    assert len(history.history["loss"]) == 2 and len(history.history["val_loss"]) == 1


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [1], np.ones(1), np.array("1")])
def test_what_is_no_number(value):
    assert not checks.is_number(value) and not checks.is_integer(value)
    with pytest.raises(ValueError, match="this must be a number that is finite, received"):
        checks.number("this", value)
    with pytest.raises(ValueError, match="this must be an integer of at least 1, received"):
        checks.integer("this", value)


def test_what_is_a_number():
    for value in (1, 0.5, F(0.5), H(2), L(3), U(3), Fraction(1, 2), 2**70):
        assert checks.number("this", value) == float(value)
        assert type(checks.number("this", value)) is float
    for value in (1, L(7), U(7), np.int8(7)):
        assert type(checks.integer("this", value)) is int
    assert not checks.is_integer(2.0) and not checks.is_integer(F(2))
    for value in (math.nan, math.inf, -math.inf, F("nan")):
        with pytest.raises(ValueError, match="finite"):
            checks.number("this", value)
    with pytest.raises(ValueError, match="an integer from 0 to 9, received 10"):
        checks.integer("this", 10, 0, 9)


def refuses(make, *parts):
    """The error has every part, and none of what Python says of its own."""
    with pytest.raises(ValueError) as caught:
        make()
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    raw = ("not iterable", "not supported between", "has no attribute", "subscriptable", "unhashable")
    assert not any(word in message for word in raw), message


@pytest.mark.parametrize(("make", "parts"), [
    (lambda: layers.Reshape(None, name="r"), ["'r' (Reshape)", "target_shape", "None", "(4, 3)"]),
    (lambda: layers.Reshape("43", name="r"), ["'r' (Reshape)", "target_shape", "'43'"]),
    (lambda: layers.Reshape((2.5,), name="r"), ["'r' (Reshape)", "target_shape", "2.5"]),
    (lambda: layers.Reshape((-2,), name="r"), ["'r' (Reshape)", "target_shape", "-2"]),
    (lambda: layers.Reshape((True,), name="r"), ["'r' (Reshape)", "target_shape", "True"]),
    (lambda: layers.BatchNormalization(momentum="a", name="b"), ["'b' (BatchNormalization)", "momentum", "'a'"]),
    (lambda: layers.BatchNormalization(momentum=math.nan, name="b"), ["momentum", "nan"]),
    (lambda: layers.BatchNormalization(epsilon=None, name="b"), ["'b' (BatchNormalization)", "epsilon", "None"]),
    (lambda: layers.BatchNormalization(epsilon=math.inf, name="b"), ["'b' (BatchNormalization)", "epsilon", "inf"]),
    (lambda: layers.BatchNormalization("last", name="b"), ["'b' (BatchNormalization)", "axis", "'last'"]),
    (lambda: layers.BatchNormalization([1, 2], name="b"), ["'b' (BatchNormalization)", "axis", "[1, 2]"]),
    (lambda: layers.LayerNormalization(epsilon="a", name="b"), ["'b' (LayerNormalization)", "epsilon", "'a'"]),
    (lambda: layers.LayerNormalization(None, name="b"), ["'b' (LayerNormalization)", "axis", "None"]),
    (lambda: layers.RMSNormalization(epsilon=-1, name="b"), ["'b' (RMSNormalization)", "epsilon", "-1"]),
    (lambda: layers.Normalization("last", name="b"), ["'b' (Normalization)", "axis", "'last'"]),
    (lambda: layers.Normalization(mean="a", variance="b", name="b"), ["'b' (Normalization)", "mean", "strings"]),
    (lambda: layers.Normalization(mean=[[1], [1, 2]], variance=1, name="b"), ["'b' (Normalization)", "mean"]),
    (lambda: layers.Normalization(mean=math.nan, variance=1, name="b"), ["'b' (Normalization)", "mean", "nan"]),
    (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0], name="b").connect((3,)),
     ["'b' (Normalization)", "mean", "(2,)", "(3,)"]),
    (lambda: layers.Normalization(name="b").adapt(None), ["'b' (Normalization)", "adapt", "None"]),
    (lambda: layers.Normalization(name="b").adapt("text"), ["'b' (Normalization)", "adapt"]),
    (lambda: layers.Normalization(name="b").adapt(3.0), ["'b' (Normalization)", "adapt", "3.0"]),
    (lambda: layers.ReLU("x", name="r"), ["'r' (ReLU)", "max_value", "'x'"]),
    (lambda: layers.ReLU(negative_slope=None, name="r"), ["'r' (ReLU)", "negative_slope", "None"]),
    (lambda: layers.ReLU(threshold=math.nan, name="r"), ["'r' (ReLU)", "threshold", "nan"]),
    (lambda: layers.LeakyReLU("x", name="r"), ["'r' (LeakyReLU)", "negative_slope", "'x'"]),
    (lambda: layers.ELU("x", name="r"), ["'r' (ELU)", "alpha", "'x'"]),
    (lambda: layers.ELU(math.nan, name="r"), ["'r' (ELU)", "alpha", "nan"]),
    (lambda: layers.Softmax("last", name="r"), ["'r' (Softmax)", "axis", "'last'"]),
    (lambda: layers.Softmax(None, name="r"), ["'r' (Softmax)", "axis", "None"]),
    (lambda: layers.PReLU(shared_axes="all", name="r"), ["'r' (PReLU)", "shared_axes", "'all'"]),
    (lambda: layers.PReLU(shared_axes=1.5, name="r"), ["'r' (PReLU)", "shared_axes", "1.5"]),
    (lambda: layers.Permute(None, name="p"), ["'p' (Permute)", "dims", "None"]),
    (lambda: layers.Permute("21", name="p"), ["'p' (Permute)", "dims", "'21'"]),
    (lambda: layers.Permute((1.0, 2), name="p"), ["'p' (Permute)", "dims", "(1.0, 2)"]),
    (lambda: layers.RepeatVector(None, name="v"), ["'v' (RepeatVector)", "n ", "None"]),
    (lambda: layers.RepeatVector(-1, name="v"), ["'v' (RepeatVector)", "n ", "-1"]),
    (lambda: layers.Flatten(3, name="f"), ["'f' (Flatten)", "data_format", "3"]),
    (lambda: layers.Flatten("channels_first", name="f"), ["'f' (Flatten)", "data_format", "channels_first"]),
    (lambda: layers.Rescaling("a", name="s"), ["'s' (Rescaling)", "scale", "'a'"]),
    (lambda: layers.Rescaling(1, None, name="s"), ["'s' (Rescaling)", "offset", "None"]),
    (lambda: layers.Rescaling(True, name="s"), ["'s' (Rescaling)", "scale", "True"]),
    (lambda: layers.Lambda(None, name="l"), ["'l' (Lambda)", "function", "None"]),
    (lambda: layers.Lambda("relu", name="l"), ["'l' (Lambda)", "function", "'relu'"]),
    (lambda: layers.Lambda(halve, arguments=3, name="l"), ["'l' (Lambda)", "arguments", "3"]),
    (lambda: layers.Lambda(halve, arguments={"k": "a"}, name="l"), ["'l' (Lambda)", "'k'", "'a'"]),
    (lambda: layers.Lambda(halve, gradient=3, name="l"), ["'l' (Lambda)", "gradient", "3"]),
    (lambda: layers.Lambda(halve, keeps="z", name="l"), ["'l' (Lambda)", "keeps", "'z'"]),
    (lambda: layers.Dropout("a", name="d"), ["'d' (Dropout)", "rate", "'a'"]),
    (lambda: layers.Dropout(0.5, seed="a", name="d"), ["'d' (Dropout)", "seed", "'a'"]),
    (lambda: layers.Dropout(0.5, seed=2**31, name="d"), ["'d' (Dropout)", "seed", str(2**31)]),
    (lambda: layers.Dropout(0.5, seed=True, name="d"), ["'d' (Dropout)", "seed", "True"]),
    (lambda: layers.ActivityRegularization("a", name="d"), ["'d' (ActivityRegularization)", "l1", "'a'"]),
    (lambda: layers.Dense(None, name="d"), ["'d' (Dense)", "units", "None"]),
    (lambda: layers.Dense(True, name="d"), ["'d' (Dense)", "units", "True"]),
    (lambda: layers.Dense(2, input_dim=0, name="d"), ["'d' (Dense)", "input_dim", "0"]),
    (lambda: layers.Dense(2, input_dim="3", name="d"), ["'d' (Dense)", "input_dim", "'3'"]),
    (lambda: layers.Dense(2, input_shape=3, name="d"), ["'d' (Dense)", "input_shape", "3"]),
    (lambda: layers.Dense(2, input_shape="3", name="d"), ["'d' (Dense)", "input_shape", "'3'"]),
    (lambda: layers.Dense(2, name=7), ["Dense", "name", "7"]),
    (lambda: layers.Dense(2, dtype=3, name="d"), ["'d' (Dense)", "dtype", "3"]),
    (lambda: layers.Input(None, name="i"), ["'i' (InputLayer)", "shape=(784,)"]),
    (lambda: layers.Input(784, name="i"), ["'i' (InputLayer)", "shape", "784", "(784,)"]),
    (lambda: layers.Input("784", name="i"), ["'i' (InputLayer)", "shape", "'784'"]),
    (lambda: layers.Input((None, 0), name="i"), ["'i' (InputLayer)", "shape", "(None, 0)", "None for any"]),
    (lambda: layers.Input((-3,), name="i"), ["'i' (InputLayer)", "shape", "-3"]),
    (lambda: layers.Input((3.0,), name="i"), ["'i' (InputLayer)", "shape", "3.0"]),
    (lambda: layers.Input(batch_shape=7, name="i"), ["'i' (InputLayer)", "batch_shape", "7", "(None, 784)"]),
    (lambda: layers.Input(batch_shape=(), name="i"), ["'i' (InputLayer)", "batch_shape", "()"]),
    (lambda: layers.Input(batch_shape=(None, 0), name="i"), ["'i' (InputLayer)", "batch_shape", "(None, 0)"]),
    (lambda: layers.Input((3,), batch_size=0, name="i"), ["'i' (InputLayer)", "batch_size", "0"]),
    (lambda: fastnet.Sequential(layers.Dense(3)), ["Sequential", "layers", "list", "Sequential([layer])"]),
    (lambda: fastnet.Sequential(fastnet.Sequential()), ["Sequential", "layers", "list"]),
    (lambda: fastnet.Sequential(7), ["Sequential", "layers", "7"]),
    (lambda: fastnet.Sequential("dense"), ["Sequential", "layers", "'dense'"]),
    (lambda: fastnet.Sequential([layers.Dense]), ["Dense", "parentheses"]),
    (lambda: fastnet.Sequential(name=7), ["Sequential", "name", "7"]),
])  # fmt: skip
def test_arguments(make, parts):
    refuses(make, *parts)


def net(*, built=True):
    return fastnet.Sequential([*[layers.Input((3,))] * built, layers.Dense(2, name="top")], name="net")


@pytest.mark.parametrize(("call", "parts"), [
    (lambda model: model.build(4), ["'net'", "input_shape", "4", "(None, 784)"]),
    (lambda model: model.build(()), ["'net'", "input_shape", "()", "(None, 784)"]),
    (lambda model: model.build("ab"), ["'net'", "input_shape", "'ab'"]),
    (lambda model: model.build((None, 0)), ["'net'", "input_shape", "(None, 0)"]),
    (lambda model: model.compute_output_shape(4), ["'net'", "input_shape", "4"]),
    (lambda model: model.set_weights(None), ["'net'", "weights", "None"]),
    (lambda model: model.set_weights(3.0), ["'net'", "weights", "3.0"]),
    (lambda model: model.set_weights("ab"), ["'net'", "weights", "'ab'"]),
    (lambda model: model.set_weights([[[1], [1, 2]], [0, 0]]), ["'net'", "weight 0", "'kernel'"]),
    (lambda model: model.set_weights([None, None]), ["'net'", "weight 0", "'kernel'"]),
    (lambda model: model.layers[0].set_weights(None), ["'top'", "weights", "None"]),
    (lambda model: model.layers[0].kernel.assign(None), ["'kernel'", "real numbers"]),
    (lambda model: model.layers[0].kernel.assign("a"), ["'kernel'", "real numbers"]),
    (lambda model: model.layers[0].kernel.assign(np.ones((3, 2)) * 1j), ["'kernel'", "real numbers"]),
    (lambda model: model.layers[0].kernel.assign([[1], [1, 2]]), ["'kernel'"]),
    (lambda model: model.get_layer(index="a"), ["'net'", "index", "'a'"]),
    (lambda model: model.get_layer(index=3), ["'net'", "1 layer", "3"]),
    (lambda model: model.get_layer(3), ["layer 3", "top", "index=3"]),
])  # fmt: skip
def test_calls_of_a_model(call, parts):
    model = net()
    before = model.get_weights()
    refuses(lambda: call(model), *parts)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(("make", "parts"), [
    (lambda: initializers.RandomNormal(stddev=-1), ["RandomNormal", "stddev", "not negative", "-1"]),
    (lambda: initializers.RandomNormal(stddev=math.nan), ["RandomNormal", "stddev", "nan"]),
    (lambda: initializers.RandomNormal(mean=math.inf), ["RandomNormal", "mean", "inf"]),
    (lambda: initializers.TruncatedNormal(stddev="a"), ["TruncatedNormal", "stddev", "'a'"]),
    (lambda: initializers.TruncatedNormal(seed=-1), ["TruncatedNormal", "seed", "-1"]),
    (lambda: initializers.RandomUniform(1.0, -1.0), ["RandomUniform", "minval", "maxval", "1.0", "-1.0"]),
    (lambda: initializers.RandomUniform(None), ["RandomUniform", "minval", "None"]),
    (lambda: initializers.RandomUniform(seed=1.5), ["RandomUniform", "seed", "1.5"]),
    (lambda: initializers.VarianceScaling("a"), ["VarianceScaling", "scale", "'a'"]),
    (lambda: initializers.VarianceScaling(math.inf), ["VarianceScaling", "scale", "inf"]),
    (lambda: initializers.VarianceScaling(input_axes=(0,)), ["VarianceScaling", "input_axes", "output_axes"]),
    (lambda: initializers.VarianceScaling(input_axes="0", output_axes=1), ["VarianceScaling", "input_axes", "'0'"]),
    (lambda: initializers.VarianceScaling(input_axes=(5,), output_axes=(1,))((3, 2)), ["(3, 2)", "[5]"]),
    (lambda: initializers.HeNormal("a"), ["HeNormal", "seed", "'a'"]),
    (lambda: initializers.Orthogonal(math.nan), ["Orthogonal", "gain", "nan"]),
    (lambda: initializers.Identity("a"), ["Identity", "gain", "'a'"]),
    (lambda: initializers.Constant("a"), ["Constant", "value", "'a'"]),
    (lambda: initializers.Constant(None), ["Constant", "value", "None"]),
    (lambda: activations.get(np.ones(3)), ["activation", "array"]),
    (lambda: activations.relu([1.0], negative_slope="a"), ["negative_slope", "'a'"]),
    (lambda: activations.leaky_relu([1.0], negative_slope="a"), ["negative_slope", "'a'"]),
    (lambda: activations.softmax([1.0], axis=4), ["softmax", "axis", "4"]),
])  # fmt: skip
def test_initializers_and_activations(make, parts):
    refuses(make, *parts)


def test_initializers_take_numpys_numbers():
    values = initializers.RandomNormal(F(0.5), D(0.0), L(3))((2,))
    np.testing.assert_array_equal(values, [0.5, 0.5])
    assert initializers.RandomUniform(F(0.25), 0.25, seed=L(1)).get_config() == {
        "minval": 0.25, "maxval": 0.25, "seed": 1,
    }  # fmt: skip
    np.testing.assert_array_equal(initializers.Constant(F(0.5))((2,)), [0.5, 0.5])
    np.testing.assert_array_equal(initializers.Constant([1, 2])((3, 2)), [[1, 2]] * 3)  # broadcast, as in Keras
    assert initializers.VarianceScaling(F(2)).scale == 2.0


@pytest.mark.parametrize(("make", "parts"), [
    (lambda: layers.Dense(2, activation="rellu", name="d"), ["'d' (Dense)", "activation", "'rellu'", "'relu'"]),
    (lambda: layers.Dense(2, activation=3, name="d"), ["'d' (Dense)", "activation", "3"]),
    (lambda: layers.Activation("sigmoyd", name="a"), ["'a' (Activation)", "activation", "'sigmoid'"]),
    (lambda: layers.Dense(2, kernel_initializer="glorot_unifrom", name="d"),
     ["'d' (Dense)", "kernel_initializer", "'glorot_uniform'"]),
    (lambda: layers.Dense(2, bias_initializer="zeroes", name="d"), ["'d' (Dense)", "bias_initializer", "'zeros'"]),
    (lambda: layers.Dense(2, kernel_regularizer="l3", name="d"), ["'d' (Dense)", "kernel_regularizer", "'l3'"]),
    (lambda: layers.Dense(2, bias_regularizer=3, name="d"), ["'d' (Dense)", "bias_regularizer", "3"]),
    (lambda: layers.Dense(2, activity_regularizer="L3", name="d"), ["'d' (Dense)", "activity_regularizer", "'L2'"]),
    (lambda: layers.Dense(2, kernel_constraint="max_nrm", name="d"), ["'d' (Dense)", "kernel_constraint", "max_norm"]),
    (lambda: layers.Dense(2, bias_constraint="non_negativ", name="d"), ["'d' (Dense)", "bias_constraint", "non_neg"]),
    (lambda: layers.BatchNormalization(gamma_initializer="onse", name="b"),
     ["'b' (BatchNormalization)", "gamma_initializer", "'ones'"]),
    (lambda: layers.BatchNormalization(moving_variance_initializer="onse", name="b"),
     ["'b' (BatchNormalization)", "moving_variance_initializer", "'ones'"]),
    (lambda: layers.BatchNormalization(beta_constraint="none", name="b"), ["'b' (BatchNorm", "beta_constraint"]),
    (lambda: layers.LayerNormalization(beta_initializer="zeroes", name="n"),
     ["'n' (LayerNormalization)", "beta_initializer", "'zeros'"]),
    (lambda: layers.LayerNormalization(gamma_regularizer="l3", name="n"), ["'n' (LayerN", "gamma_regularizer"]),
    (lambda: layers.PReLU("zeroes", name="p"), ["'p' (PReLU)", "alpha_initializer", "'zeros'"]),
    (lambda: layers.PReLU(alpha_constraint="non_negativ", name="p"), ["'p' (PReLU)", "alpha_constraint"]),
])  # fmt: skip
def test_a_wrong_name_names_the_layer(make, parts):
    refuses(make, *parts)


@pytest.mark.parametrize(("make", "parts"), [
    (lambda: layers.Dense(2, kernel_initializer="identity", bias_initializer="identity", name="d"), ["bias"]),
    (lambda: layers.Dense(2, kernel_initializer=np.ones((2, 2)), name="d"), ["'kernel'", "(2, 2)", "(3, 2)"]),
    (lambda: layers.Dense(2, kernel_initializer=lambda shape, dtype: None, name="d"), ["'kernel'"]),
    (lambda: layers.Dense(2, kernel_initializer=lambda shape, dtype: "a", name="d"), ["'kernel'"]),
    (lambda: layers.Dense(2, kernel_initializer=initializers.Constant([1, 2, 3]), name="d"), ["'kernel'", "(3, 2)"]),
])  # fmt: skip
def test_an_initializer_that_gives_no_weight_names_the_layer(make, parts):
    layer = make()
    refuses(lambda: layer.connect((3,)), "'d' (Dense)", *parts)
    assert not layer.built and layer.variables == [] and layer.kernel is None and layer.bias is None


def test_a_weight_as_an_array():
    layer = layers.Dense(2)
    layer.connect((3,))
    kernel = layer.kernel
    array = np.asarray(kernel)
    assert array.dtype == np.float32 and array.shape == (3, 2) and len(kernel) == 3 and kernel.ndim == 2
    np.testing.assert_array_equal(array, kernel.numpy())
    array[:] = 7.0  # a copy
    assert not (kernel.numpy() == 7.0).any()
    assert np.asarray(kernel, np.float64).dtype == np.float64 and np.array(kernel).dtype == np.float32
    assert np.linalg.norm(kernel) == pytest.approx(np.linalg.norm(kernel.numpy()))
    assert np.stack([kernel, kernel]).shape == (2, 3, 2)
    view = kernel.__array__(copy=False)
    assert not view.flags.writeable
    kernel.assign(np.full((3, 2), 3.0))
    assert (view == 3.0).all() and not (array == 3.0).any()
    with pytest.raises(ValueError, match="'kernel'.*float64.*copy"):
        kernel.__array__(np.float64, copy=False)
    with pytest.raises(TypeError, match="no axis"):
        len(fastnet.optimizers.Nadam().memory[0])
    assert bool(kernel) and all(fastnet.optimizers.Nadam().memory)  # an object, and no container: never false
