"""Layers called on arrays, descriptions, clones, weights in expressions and metrics' variables: as Keras has them."""

import operator

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")
BOTH = (fastnet, keras)
X = np.sin(np.arange(120.0)).reshape(5, 3, 2, 4).astype("float32")


def both(call):
    ours, theirs = (np.asarray(call(library)) for library in BOTH)
    assert ours.shape == theirs.shape
    return ours, theirs


@pytest.mark.parametrize("axis", [-1, 1, 2, (-1,), (2, 3), (1, 3), (3, 1), (1, 2, 3)])
def test_softmax_over_axes(axis):
    np.testing.assert_allclose(*both(lambda k: k.layers.Softmax(axis=axis)(X)), atol=1e-6)


@pytest.mark.parametrize("axis", [-1, (1, 2)])
@pytest.mark.parametrize("shape", [X.shape, (3, 2, 4), (5, 1, 1, 4)])
def test_softmax_with_a_mask(axis, shape):
    mask = np.cos(np.arange(np.prod(shape))).reshape(shape) > -0.3
    mask.reshape(-1, shape[-1])[0] = False
    for given in (mask, mask.astype("float32")):
        np.testing.assert_allclose(*both(lambda k, given=given: k.layers.Softmax(axis)(X, given)), atol=1e-6)


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("x", [2, [2], [0, 2], [[0, 2]], [[0], [2]], [[1, 1]]])
def test_samples_of_categories(mode, x):
    np.testing.assert_array_equal(*both(lambda k: k.layers.CategoryEncoding(3, output_mode=mode)(np.array(x))))


@pytest.mark.parametrize("mask", [None, [[1, 0], [1, 1], [0, 0], [1, 1]]])
def test_batch_normalization_in_a_training_call(mask):
    x = X.reshape(-1, 2, 4)[:4]
    mask = None if mask is None else np.array(mask, bool)
    made = [library.layers.BatchNormalization(momentum=0.9) for library in BOTH]
    for _ in range(2):
        ours, theirs = (np.asarray(layer(x, training=True, mask=mask)) for layer in made)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for ours, theirs in zip(*(layer.weights for layer in made)):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def network(library, **compiled):
    layers = library.layers
    model = library.Sequential([
        layers.Input((4,)), layers.Dense(3, activation=library.activations.tanh),
        layers.Dense(3, activation=layers.LeakyReLU(0.5), kernel_regularizer="l2"), layers.Dense(1, "sigmoid"),
    ])  # fmt: skip
    loss, metric = library.losses.binary_crossentropy, library.metrics.binary_accuracy
    model.compile(library.optimizers.Adam(0.01), loss, metrics=[metric, "mae", library.metrics.AUC()])
    return model


def test_a_compiled_model_of_keras_described():
    theirs = network(keras)
    ours = fastnet.models.model_from_json(theirs.to_json())
    assert ours.compiled and type(ours.optimizer).__name__ == "Adam"
    ours.set_weights(theirs.get_weights())
    x, y = X.reshape(-1, 4), (X.sum(-1).reshape(-1, 1) > 0).astype("float32")
    expected = theirs.evaluate(x, y, verbose=0, return_dict=True)
    found = ours.evaluate(x, y, verbose=0, return_dict=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["relu", "softmax", "mean_squared_error", "binary_accuracy", "categorical_hinge"])
def test_functions_that_keras_describes(name):
    modules = ("activations", "losses", "metrics")
    theirs = next(getattr(getattr(keras, m), name) for m in modules if hasattr(getattr(keras, m), name))
    ours = fastnet.saving.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
    rows = X.reshape(-1, 4)
    given = (rows,) if name in ("relu", "softmax") else ((rows > 0).astype("float32"), rows)
    np.testing.assert_allclose(ours(*given), np.asarray(theirs(*given)), atol=1e-5)


def test_clones():
    for library in BOTH:
        model = network(library)
        clone = library.models.clone_model(model)
        assert clone.compiled and clone.optimizer is not model.optimizer and clone.name == model.name
        frozen = library.models.clone_model(
            model, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"trainable": False})
        )
        assert frozen.compiled and not frozen.trainable_weights and len(frozen.weights) == 6
        assert frozen.layers[0].kernel is not model.layers[0].kernel


OPERATORS = [
    *(getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")),
    *(getattr(operator, name) for name in ("lt", "le", "gt", "ge", "eq", "ne")),
]


@pytest.mark.parametrize("apply", OPERATORS)
def test_weights_in_expressions(apply):
    value = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    found = []
    for library in BOTH:
        layer = library.layers.Dense(2, kernel_initializer=library.initializers.Constant(value))
        layer.build((None, 2))
        kernel = layer.kernel
        assert kernel.assign_add(value).shape == kernel.assign_sub(value).shape == (2, 2)
        found.append([np.asarray(r) for r in (apply(kernel, value), apply(2 * value, kernel), -kernel, kernel[1:])])
    for ours, theirs in zip(*found):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("make", [
    lambda m: m.TruePositives(), lambda m: m.Precision([0.3, 0.5]), lambda m: m.Recall(),
    lambda m: m.AUC(num_thresholds=5), lambda m: m.BinaryAccuracy(), lambda m: m.FalseNegatives([0.1, 0.7]),
])  # fmt: skip
def test_variables_of_metrics(make):
    ours, theirs = (make(library.metrics) for library in BOTH)
    for metric in (ours, theirs):
        metric.update_state(np.array([[0], [1], [1], [0]]), np.array([[0.2], [0.6], [0.4], [0.8]]))
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    for mine, other in zip(ours.variables, theirs.variables):
        np.testing.assert_allclose(mine, other.numpy())
    if hasattr(theirs, "thresholds"):
        np.testing.assert_allclose(ours.thresholds, theirs.thresholds)


def test_a_range_of_layers_in_the_summary():
    for layer_range in (["b", "c"], ["c", "b"], ["b|d", "c|a"]):
        lines = []
        for library in BOTH:
            layers = library.layers
            model = library.Sequential([layers.Input((2,)), *(layers.Dense(2, name=name * 3) for name in "abcd")])
            texts = []
            model.summary(layer_range=layer_range, print_fn=lambda text, texts=texts, **_: texts.append(str(text)))
            lines.append([name * 3 for name in "abcd" if f"{name * 3} (Dense)" in " ".join(texts)])
        assert lines[0] == lines[1]


def test_models_that_are_not_built():
    for library in BOTH:
        model = library.Sequential([library.layers.Dense(1)])
        assert not hasattr(model, "input_shape") and model.metrics == []
        assert not hasattr(model, "output_shape") or library is keras
