"""Numbers where programs written for Keras and scikit-learn met others: thresholds, zeros, weights, vectors, names."""

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")
sklearn_metrics = pytest.importorskip("sklearn.metrics")

RNG = np.random.default_rng(0)
Y, P, W = RNG.uniform(0.1, 0.9, (3, 9, 4)).astype("float32")
LABELS = (Y > 0.5).astype("float32")
ODD = np.array([[-0.0, 0.0, -1, -5, 4, 5, 6, 7, -np.inf, np.inf]], "float32")

RELUS = [
    {"negative_slope": slope, "max_value": top, "threshold": threshold}
    for slope in (0.0, 0.5)
    for top in (None, 5.0, 6.0)
    for threshold in (0.0, 5.0, 0.1)
]


@pytest.mark.parametrize("arguments", RELUS, ids=str)
def test_relu(arguments):
    wanted = np.asarray(keras.activations.relu(ODD, **arguments))
    got = fastnet.activations.relu(ODD, **arguments)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert (np.signbit(got) == np.signbit(wanted)).all()
    np.testing.assert_array_equal(fastnet.layers.ReLU(**arguments)(ODD), got)


@pytest.mark.parametrize(
    "name", ["relu", "relu6", "leaky_relu", "elu", "celu", "selu", "tanh", "softsign", "hard_tanh", "hard_silu", "silu"]
)
def test_zeros_keep_their_sign(name):
    zeros = np.array([[-0.0, 0.0]], "float32")
    wanted, got = (np.signbit(np.asarray(getattr(lib.activations, name)(zeros))) for lib in (keras, fastnet))
    assert (got == wanted).all()


METRICS = [
    ("BinaryAccuracy", {}, LABELS),
    ("RootMeanSquaredError", {}, Y),
    ("R2Score", {"class_aggregation": None}, Y),
    ("TruePositives", {}, LABELS),
    ("FalseNegatives", {"thresholds": [0.3, 0.6]}, LABELS),
    ("Precision", {"thresholds": 0.4}, LABELS),
    ("AUC", {"num_thresholds": 5}, LABELS),
]


@pytest.mark.parametrize(
    "weights", [W, W[:, :1] + np.zeros_like(W), W[:1] + np.zeros_like(W)], ids=["all", "rows", "1"]
)
@pytest.mark.parametrize(("name", "arguments", "y"), METRICS, ids=[row[0] for row in METRICS])
def test_weights_of_elements(name, arguments, y, weights):
    mine, theirs = (getattr(lib.metrics, name)(**arguments) for lib in (fastnet, keras))
    for part in (slice(4), slice(4, None)):
        mine.update_state(y[part], P[part], weights[part])
        theirs.update_state(y[part], P[part], weights[part])
    np.testing.assert_allclose(mine.result(), np.asarray(theirs.result()), rtol=1e-5)


@pytest.mark.parametrize("name", ["Precision", "Recall"])
@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_the_largest_of_one_row(name, k):
    y, p = LABELS[:, 0], P[:, 0]
    mine, theirs = (getattr(lib.metrics, name)(top_k=k) for lib in (fastnet, keras))
    mine.update_state(y, p)
    theirs.update_state(y, p)
    np.testing.assert_allclose(mine.result(), float(theirs.result()), rtol=1e-6)


def test_scikit_learn_on_vectors():
    y, p, w = Y[:, 0], P[:, 0], W[:, 0]
    labels, guess = LABELS[:, 0], p > 0.5
    scores = fastnet.metrics
    for got, wanted in (
        (scores.R2Score()(y, p), sklearn_metrics.r2_score(y, p)),
        (scores.R2Score()(y, p, w), sklearn_metrics.r2_score(y, p, sample_weight=w)),
        (scores.MeanSquaredError()(y, p, w), sklearn_metrics.mean_squared_error(y, p, sample_weight=w)),
        (scores.MeanAbsoluteError()(y, p, w), sklearn_metrics.mean_absolute_error(y, p, sample_weight=w)),
        (scores.RootMeanSquaredError()(y, p), sklearn_metrics.root_mean_squared_error(y, p)),
        (scores.F1Score(threshold=0.5)(labels, p), sklearn_metrics.f1_score(labels, guess)),
        (scores.Precision()(labels, p, w), sklearn_metrics.precision_score(labels, guess, sample_weight=w)),
        (scores.BinaryAccuracy()(labels, p, w), sklearn_metrics.accuracy_score(labels, guess, sample_weight=w)),
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("from_logits", [False, True])
def test_focal_losses_with_any_gamma(gamma, from_logits):
    """The values are Keras's; the gradients are finite, where its are NaN for a probability of 1."""
    from fastnet.testing.plans import loss_run, loss_values

    y, p = LABELS, np.where(W > 0.8, 40.0, P).astype("float32") if from_logits else P
    for name in ("BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"):
        mine, theirs = (getattr(lib.losses, name)(gamma=gamma, from_logits=from_logits) for lib in (fastnet, keras))
        np.testing.assert_allclose(mine(y, p), float(theirs(y, p)), rtol=1e-5)
        run, buffers = loss_run(mine, "float32", *p.shape)
        assert np.isfinite(loss_values(run, buffers, p, y)[1]).all()


def test_names_of_optimizers():
    for lib in (keras, fastnet):
        lib.utils.clear_session()
        names = [getattr(lib.optimizers, name)().name for name in ("AdamW", "AdamW", "RMSprop", "SGD", "Adam")]
        assert names == ["adam_w", "adam_w_1", "rm_sprop", "sgd", "adam"]


def test_history_and_monitors():
    """Floats in the history, and an error for a log that does not exist."""
    x, y = RNG.uniform(0, 1, (2, 8, 3)).astype("float32")
    for lib in (keras, fastnet):
        model = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(3)])
        model.compile("sgd", "mse", metrics=["mae", lib.metrics.R2Score()])
        reduce = lib.callbacks.ReduceLROnPlateau("loss")
        history = model.fit(x, y, epochs=2, verbose=0, callbacks=[reduce]).history
        assert {type(value) for values in history.values() for value in values} <= {float, int}, lib
        with pytest.raises(ValueError, match="val_nothing"):
            model.fit(x, y, epochs=1, verbose=0, callbacks=[lib.callbacks.EarlyStopping("val_nothing")])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "float32"])
def test_dtypes_of_arrays(dtype):
    """Those of JAX, whose 64 bits are off."""
    x = np.array([1, 1, 1], dtype)
    names = "sqrt exp log2 sin tanh reciprocal floor ceil mean std var logsumexp abs square max".split()
    calls = {name: lambda ops, name=name: getattr(ops, name)(x) for name in names}
    calls["square"] = lambda ops: ops.square(np.array([1], "int32" if dtype == "bool" else dtype))  # NumPy's is int8
    calls |= {
        "divide": lambda ops: ops.divide(x, x),
        "add": lambda ops: ops.add(x, 0.5),
        "add a row": lambda ops: ops.add(x, np.ones(3, "float32")),
        "matmul": lambda ops: ops.matmul(x, np.ones(3, "float32")),
        "where": lambda ops: ops.where(x > 0, x, 0.5),
        "moments": lambda ops: ops.moments(x, axes=0)[1],
        "count": lambda ops: ops.count_nonzero(x),
    }
    found, wanted = ({name: str(call(lib.ops).dtype) for name, call in calls.items()} for lib in (fastnet, keras))
    assert found == wanted
