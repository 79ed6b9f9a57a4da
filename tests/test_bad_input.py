"""Bad input: an error that says the rule, what was received and the remedy; nothing is computed, nothing changes."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import layers

X, Y = np.ones((8, 3), np.float32), np.zeros(8, np.int64)
SPARSE = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(*, deferred=False, loss=SPARSE):
    given = [] if deferred else [layers.Input((3,))]
    model = fastnet.Sequential([*given, layers.Dense(4, name="hidden"), layers.Dense(2, name="top")], name="net")
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def refuses(call, *parts, error=ValueError):
    """The call raises, and its message has every part."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert not any(word in message for word in ("Traceback", "NoneType", "subscriptable"))


def unchanged(model, call, *parts, error=ValueError):
    """The call raises as in `refuses`, and leaves the model as it was: weights, state, and fit for use."""
    before = model.get_weights(), model.built, model.optimizer.iterations, [w.shape for w in model.get_weights()]
    refuses(call, *parts, error=error)
    weights, *rest = (
        model.get_weights(),
        model.built,
        model.optimizer.iterations,
        [w.shape for w in model.get_weights()],
    )
    assert rest == list(before[1:])
    assert all(np.array_equal(a, b) for a, b in zip(weights, before[0], strict=True))
    y = Y if model.loss.sparse else np.zeros((8, 2))
    model.fit(X, y, verbose=0)
    assert np.isfinite(model.predict(X)).all()


CALLS = {
    "fit": lambda model, x, y: model.fit(x, y, verbose=0),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
    "test_on_batch": lambda model, x, y: model.test_on_batch(x, y),
    "validation_data": lambda model, x, y: model.fit(X, Y, validation_data=(x, y), verbose=0),
}
DATA = {
    "columns": (np.ones((8, 5)), Y, ["'net'", "'hidden'", "(3,)", "(8, 5)"]),
    "rank": (np.ones((8, 3, 1)), Y, ["'hidden'", "(n, 3)", "(8, 3, 1)"]),
    "one sample": (np.ones(3), Y[:3], ["(3,)", "x[None]"]),
    "a number": (1.0, Y, ["one row for each sample", "a number"]),
    "rows": (X, Y[:7], ["same number of samples", "8 and 7"]),
    "no rows": (X[:0], Y[:0], ["at least one sample", "(0, 3)"]),
    "label too large": (X, np.array([0, 1, 1, 2, 0, 0, 0, 5]), ["0 to 1", "2 units", "received 5", "row 3"]),
    "label negative": (X, np.array([0, 1, -1, 0, 0, 0, 0, 0]), ["0 to 1", "received -1", "row 2"]),
    "label fraction": (X, np.full(8, 0.5), ["whole numbers", "0.5", "row 0"]),
    "label NaN": (X, np.full(8, np.nan), ["labels from 0 to 1", "received nan", "row 0"]),
    "one-hot": (X, np.zeros((8, 2)), ["(n, 2)", "categorical_crossentropy"]),
    "targets' shape": (X, np.zeros((8, 5, 2)), ["targets of shape", "(n, 5, 2)"]),
    "objects": (np.full((8, 3), None), Y, ["x must hold real numbers", "objects"]),
    "complex": (X * 1j, Y, ["x must hold real numbers", "complex", "x.real and x.imag"]),
    "strings": (X.astype(str), Y, ["x must hold real numbers", "strings"]),
    "complex targets": (X, Y * 1j, ["y must hold real numbers", "complex"]),
    "dates": (np.zeros((8, 3), "M8[s]"), Y, ["x must hold real numbers", "datetime64", "Days as numbers"]),
    "ragged": ([[1, 2, 3]] * 7 + [[1]], Y, ["x cannot become an array", "equal length"]),
    "objects of different sizes": (
        np.array([X[:2], *[X[:3]] * 7], object),
        Y,
        ["x[0] has the shape (2, 3), and x[1] (3, 3)"],
    ),
    "no y": (X, None, ["needs x and y", "no y"]),
    "no x": (None, Y, ["needs x and y", "no x"]),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("call", CALLS)
def test_data(call, data):
    x, y, parts = DATA[data]
    model = classifier()
    unchanged(model, lambda: CALLS[call](model, x, y), *parts)


@pytest.mark.parametrize(
    "data", ["rows", "label too large", "label NaN", "targets' shape", "objects", "no rows", "no y"]
)
@pytest.mark.parametrize("call", CALLS)
def test_data_leave_a_deferred_model_unbuilt(call, data):
    x, y, parts = DATA[data]
    model = classifier(deferred=True)
    unchanged(model, lambda: CALLS[call](model, x, y), *parts)


@pytest.mark.parametrize("built", [False, True], ids=["first step", "later step"])
@pytest.mark.parametrize("y", [[[0, 1]] * 7 + [[2, 0]], [[0.5, 0.5]] * 7 + [[-0.1, 1.1]]], ids=["above", "below"])
@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_crossentropy", "binary_focal_crossentropy"])
def test_targets_that_are_no_probabilities(loss, y, built):
    model = classifier(loss=loss)
    if built:
        model.train_on_batch(X, np.eye(2)[[0, 1] * 4])
    unchanged(model, lambda: model.fit(X, np.array(y), verbose=0), repr(loss), "from 0 to 1", "row 7")
    model.fit(X, np.full((8, 2), 1 + 1e-7), verbose=0)  # as float32 rounds a softmax


@pytest.mark.parametrize("given", [[X], {"input_layer": X}], ids=["list", "dictionary"])
def test_the_one_input_in_a_list_or_a_dictionary(given):
    model, other = classifier(), classifier()
    other.set_weights(model.get_weights())
    assert model.train_on_batch(given, Y) == other.train_on_batch(X, Y)
    one = classifier()
    one.train_on_batch([X[0]], Y[:1])  # a list of one row
    unchanged(one, lambda: one.fit({"a": X, "b": X}, Y), "one input", "['a', 'b']")


def test_class_indices_for_a_dense_loss():
    model = classifier(loss=fastnet.losses.CategoricalCrossentropy(from_logits=True))
    parts = ["(n, 2)", "(n,)", "sparse_categorical_crossentropy", "to_categorical"]
    unchanged(model, lambda: model.fit(X, Y, verbose=0), *parts)


@pytest.mark.parametrize(
    "data", ["columns", "rank", "one sample", "a number", "objects", "complex", "strings", "ragged"]
)
def test_predict(data):
    x, _, parts = DATA[data]
    model = classifier()
    for method in (model.predict, model.predict_on_batch, model):
        unchanged(model, functools.partial(method, x), *parts)


def test_a_layer_that_does_not_fit_leaves_none_built():
    model = fastnet.Sequential([layers.Dense(4), layers.Reshape((3, 3), name="square"), layers.Dense(2)])
    refuses(lambda: model.predict(X), "'square'", "(4,)", "(3, 3)")
    refuses(lambda: model.build((None, 7)), "'square'")
    assert not model.built and model.weights == []
    model.pop(), model.pop()
    assert model.predict(X[:, :2]).shape == (8, 4)  # the first layer was not built for 3 inputs


def test_add_of_a_layer_that_does_not_fit():
    model = classifier()
    unchanged(model, lambda: model.add(layers.Reshape((5,), name="five")), "'five'", "(2,)", "(5,)")
    unchanged(model, lambda: model.add("dense"), "layers", "'dense'")
    unchanged(model, lambda: model.add(layers.Dense(2, name="top")), "'top'", "another")
    again = model.layers[0]  # it may stand there twice, where it fits
    unchanged(model, lambda: model.add(again), "'hidden'", "3 inputs", "(2,)")
    assert len(model.layers) == 2


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: layers.Dense(0, name="d"), ["'d' (Dense)", "units", "at least 1", "0"]),
        (lambda: layers.Dense(-4, name="d"), ["'d'", "units", "-4"]),
        (lambda: layers.Dense(2.5, name="d"), ["'d'", "units", "2.5"]),
        (lambda: layers.Dense("ten", name="d"), ["'d'", "units", "'ten'"]),
        (lambda: layers.Input((0,), name="i"), ["'i'", "positive", "(0,)"]),
        (lambda: layers.Input((3, -1), name="i"), ["'i'", "positive", "(3, -1)"]),
        (lambda: layers.Input(7, name="i"), ["'i'", "tuple", "7"]),
        (lambda: layers.Dropout(1.0, name="o"), ["'o'", "rate", "below 1", "1.0"]),
        (lambda: layers.Dropout(-0.1, name="o"), ["'o'", "rate", "-0.1"]),
        (lambda: layers.BatchNormalization(momentum=2, name="b"), ["'b'", "momentum", "2"]),
        (lambda: layers.BatchNormalization(epsilon=0, name="b"), ["'b'", "epsilon", "0"]),
        (lambda: layers.Reshape((-1, -1), name="r"), ["'r'", "-1"]),
        (lambda: layers.Reshape((0,), name="r"), ["'r'", "positive", "0"]),
        (lambda: layers.Rescaling(float("nan"), name="s"), ["'s'", "scale", "nan"]),
        (lambda: layers.Dense(2, dtype="float16", name="d"), ["'d'", "float32", "float16"]),
        (lambda: layers.Dense(2, name="a/b"), ["'/'", "a/b"]),
        (lambda: fastnet.optimizers.Adam(-1.0), ["Adam", "learning_rate", "-1.0"]),
        (lambda: fastnet.optimizers.Adam("fast"), ["Adam", "learning_rate", "'fast'"]),
        (lambda: fastnet.optimizers.Adam(beta_1=1.5), ["Adam", "beta_1", "1.5"]),
        (lambda: fastnet.optimizers.SGD(momentum=-1), ["SGD", "momentum", "-1"]),
        (lambda: fastnet.Sequential([layers.Dense(2), 3]), ["layers", "3"]),
        (lambda: fastnet.Sequential().predict(X), ["no layers", "add"]),
        (lambda: fastnet.Sequential().pop(), ["no layer"]),
        (lambda: fastnet.Sequential([layers.Dense(2)]).count_params(), ["not built", "Input"]),
        (lambda: fastnet.Sequential([layers.Dense(2)]).build(), ["Input"]),
        (lambda: fastnet.config.set_floatx("int8"), ["float32", "int8"]),
        (lambda: fastnet.set_num_threads(0), ["at least 1", "0"]),
        (lambda: fastnet.utils.set_random_seed(-1), ["seed", "-1"]),
    ],
)
def test_arguments(make, parts):
    refuses(make, *parts)


@pytest.mark.parametrize(
    ("make", "given", "near"),
    [
        (lambda name: layers.Dense(2, activation=name), "rellu", "relu"),
        (lambda name: layers.Activation(name), "sigmoyd", "sigmoid"),
        (lambda name: layers.Dense(2, kernel_initializer=name), "glorot_unifrom", "glorot_uniform"),
        (lambda name: classifier().compile(name, "mse"), "adm", "adam"),
        (lambda name: classifier().compile("sgd", name), "categorical_crossentrop", "categorical_crossentropy"),
        (lambda name: classifier().compile("sgd", "mse", metrics=[name]), "acuracy", "accuracy"),
        (lambda name: classifier().get_layer(name), "hiden", "hidden"),
    ],
)
def test_unknown_names_offer_the_nearest(make, given, near):
    refuses(lambda: make(given), f"'{given}'", f"Did you mean '{near}'" if near != "categorical_crossentropy" else near)


def test_a_compile_that_fails_keeps_the_old_one():
    model = classifier()
    optimizer, loss = model.optimizer, model.loss
    unchanged(model, lambda: model.compile("sgd", "mse", metrics=["none such"]), "'none such'")
    assert model.optimizer is optimizer and model.loss is loss


def test_compile_forgotten():
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    for call in (*CALLS.values(), lambda model, x, y: model.profile(x, y)):
        refuses(functools.partial(call, model, X, Y), "compile was not called", "model.compile(", error=RuntimeError)
    model.compile("adam")
    refuses(lambda: model.fit(X, Y), "no loss", "model.compile(", error=RuntimeError)
    assert model.predict(X).shape == (8, 2)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"batch_size": 0}, ["batch_size", "at least 1", "0"]),
        ({"batch_size": -3}, ["batch_size", "-3"]),
        ({"batch_size": 2.5}, ["batch_size", "integer", "2.5"]),
        ({"epochs": -1}, ["epochs", "-1"]),
        ({"epochs": "all"}, ["epochs", "'all'"]),
        ({"initial_epoch": -1}, ["initial_epoch", "-1"]),
        ({"validation_freq": 0}, ["validation_freq", "0"]),
        ({"validation_split": 1.0}, ["validation_split", "below 1", "1.0"]),
        ({"validation_split": -0.5}, ["validation_split", "-0.5"]),
        ({"validation_split": 0.999}, ["validation_split", "8 samples", "0 to train"]),
        ({"validation_data": X}, ["validation_data", "pair"]),
        ({"validation_data": (X, Y[:3])}, ["8 and 3"]),
        ({"validation_data": (X[:, :2], Y)}, ["'hidden'", "(8, 2)"]),
        ({"verbose": 7}, ["verbose", "7"]),
    ],
)
def test_arguments_of_fit(arguments, parts):
    model = classifier()
    unchanged(model, lambda: model.fit(X, Y, **{"verbose": 0, **arguments}), *parts)


def test_callbacks_that_are_none():
    model = classifier()
    given = [fastnet.callbacks.History]
    unchanged(model, lambda: model.fit(X, Y, callbacks=given, verbose=0), "Callback", "parentheses", error=TypeError)


def test_set_weights():
    model = classifier()
    weights = model.get_weights()
    unchanged(model, lambda: model.set_weights(weights[:3]), "'net'", "4 weights", "3 arrays")
    odd = [weights[0], weights[1], weights[2].T[:, :3], weights[3]]
    unchanged(model, lambda: model.set_weights(odd), "weight 2", "'kernel'", "(4, 2)", "(2, 3)")
    odd = [np.zeros_like(weights[0]), *weights[1:3], weights[3].astype(str)]
    unchanged(model, lambda: model.set_weights(odd), "weight 3", "'bias'", "real numbers")
    layer = model.get_layer("top")
    unchanged(model, lambda: layer.set_weights(weights[:2]), "'top'", "(4, 2)", "(3, 4)")


def test_metrics_that_read_other_targets():
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("adam", SPARSE, metrics=["mse"])
    refuses(lambda: model.fit(X, Y, verbose=0), "metric", "class indices", "accuracy")


# ---- what others break


def calls_unknown(x):
    return no_such_function(x)  # noqa: F821


def returns_text(x):
    return "text" if x > 0 else x


def one(x):
    return 1.0


@pytest.mark.parametrize("rule", [calls_unknown, returns_text])
def test_a_rule_that_does_not_compile(rule):
    with pytest.raises((fastnet.KernelError, fastnet.RuleError)) as caught:
        fastnet.register_activation(rule.__name__, rule, one)
        model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, activation=rule.__name__)])
        model.predict(X)
    message = str(caught.value)
    assert rule.__name__ in message and "docs/extending.md" in message
    if isinstance(caught.value, fastnet.KernelError):  # fastnet's words first
        assert message.index("docs/extending.md") < message.index("numba says")


def test_a_rule_whose_source_cannot_be_read():
    namespace = {}
    exec("def unreadable(x):\n    return x", namespace)
    with pytest.raises((ValueError, fastnet.RuleError), match=r"(?s)unreadable.*source"):
        fastnet.register_activation("unreadable", namespace["unreadable"], one)
        fastnet.Sequential([layers.Input((3,)), layers.Activation("unreadable")]).predict(X)


PROGRAM = """
import numpy as np, fastnet
from fastnet import layers
from fastnet._kernels import cache
model = fastnet.Sequential([layers.Input((3,)), layers.ReLU()])
assert model.predict(-np.ones((2, 3))).max() == 0
print(cache.folder().path)
"""


TANH = "print(fastnet.Sequential([layers.Activation('tanh')]).predict(np.ones((1, 1))))\n"


def run_with_cache(folder, tmp_path, program=PROGRAM):
    environment = {**os.environ, "FASTNET_CACHE_DIR": str(folder), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    return done


def test_without_a_folder_for_the_cache_kernels_stay_in_memory(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run_with_cache(tmp_path / "file" / "cache", tmp_path)
    assert "FASTNET_CACHE_DIR" in done.stderr and done.stderr.count("RuntimeWarning") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_cache_that_others_may_write_is_not_trusted(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    done = run_with_cache(tmp_path, tmp_path)
    assert "may write to it" in done.stderr
    assert not list((tmp_path / "kernels").iterdir())


def test_a_cache_removed_while_the_process_runs(tmp_path):
    again = "import shutil; shutil.rmtree(cache.folder().path)\n" + TANH
    done = run_with_cache(tmp_path / "cache", tmp_path, PROGRAM + again)
    assert "0.76" in done.stdout and done.stderr == ""


def test_a_relative_cache_stays_where_it_is_when_the_process_moves(tmp_path):
    again = "import os; os.chdir(os.path.sep)\n" + TANH
    done = run_with_cache("cache", tmp_path, PROGRAM + again)
    assert "0.76" in done.stdout and done.stderr == ""
    assert len(list((tmp_path / "cache" / "kernels").glob("*tanh*.o"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_full_disk_stores_nothing_and_stops_nobody(tmp_path):
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    done = run_with_cache(tmp_path / "cache", tmp_path, limit + PROGRAM)
    assert done.stderr == ""
    assert [(path.name, path.stat().st_size) for path in (tmp_path / "cache" / "kernels").iterdir()] == [("lock", 0)]
