"""The same weights and batches give Keras's losses, metrics, weights and predictions.

One row of `CASES` is one model; the same lines build it from either library. Three epochs of 8, 8 and 5 rows, so the
short last batch and its weight in the mean are always part of the comparison.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")
# JAX says so where Keras asks for the float64 of y in a float32 model.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")

ROWS, VALIDATION, BATCH, EPOCHS = 21, 11, 8, 3
FEATURES, CLASSES = 6, 4
# Relative to the largest entry of a tensor; sums in another order, nine steps. Measured on the largest case: 2e-15 in
# float64, 1e-6 in float32.
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}


def sgd(lib):
    return lib.optimizers.SGD(0.1)


@dataclass(frozen=True)
class Case:
    """A model: `layers(layers module)` after Input(shape), a loss, an optimizer, the kind of target and metrics."""

    name: str
    layers: object
    loss: object = "mse"
    optimizer: object = sgd
    target: str = "real"
    metrics: tuple = ()
    shape: tuple = (FEATURES,)
    x_dtype: str = "float32"
    float64: float = TOLERANCE["float64"]


def net(activation=None, units=3, hidden="tanh"):
    return lambda L: [L.Dense(5, activation=hidden), L.Dense(units, activation=activation)]


def optimizer(name, *arguments, **options):
    return lambda lib: getattr(lib.optimizers, name)(*arguments, **options)


def loss(name, **options):
    return lambda lib: getattr(lib.losses, name)(**options)


ACTIVATIONS = ["linear", "relu", "leaky_relu", "sigmoid", "tanh", "softmax", "gelu", "silu"]

CASES = [
    *[Case(f"activation {a}", net(hidden=a)) for a in ACTIVATIONS],
    *[Case(f"Activation layer {a}", lambda L, a=a: [L.Dense(5), L.Activation(a), L.Dense(3)]) for a in ACTIVATIONS],
    # losses
    Case("mse", net(), "mse", metrics=("mae",)),
    Case("mean_squared_error", net(), "mean_squared_error"),
    Case("mae", net(), "mae", metrics=("mse",)),
    Case("MeanSquaredError", net(), loss("MeanSquaredError")),
    Case("MeanAbsoluteError", net(), loss("MeanAbsoluteError")),
    Case("mse of one unit, y of rank 1", net(units=1), "mse", target="real column"),
    Case("bce", net("sigmoid", 1), "binary_crossentropy", target="binary", metrics=("accuracy",)),
    Case("bce, several units", net("sigmoid", 3), "binary_crossentropy", target="many binary", metrics=("accuracy",)),
    Case("bce, logits", net(None, 1), loss("BinaryCrossentropy", from_logits=True), target="binary"),
    Case("cce", net("softmax", CLASSES), "categorical_crossentropy", target="onehot", metrics=("accuracy",)),
    Case("cce, logits", net(None, CLASSES), loss("CategoricalCrossentropy", from_logits=True), target="onehot"),
    Case("scce", net("softmax", CLASSES), "sparse_categorical_crossentropy", target="label", metrics=("accuracy",)),
    Case(
        "scce, logits", net(None, CLASSES), loss("SparseCategoricalCrossentropy", from_logits=True),
        target="label", metrics=("accuracy",),
    ),
    Case(
        "scce, logits, y of rank 2", net(None, CLASSES), loss("SparseCategoricalCrossentropy", from_logits=True),
        target="label column", metrics=("accuracy",),
    ),
    Case(
        "scce of a Softmax layer", lambda L: [L.Dense(CLASSES), L.Softmax()], "sparse_categorical_crossentropy",
        target="label",
    ),
    Case(
        "scce on every position", lambda L: [L.Dense(CLASSES)],
        loss("SparseCategoricalCrossentropy", from_logits=True), target="label of each row", shape=(3, FEATURES),
        metrics=("accuracy",),
    ),
    Case("accuracy by name", net("softmax", CLASSES), "sparse_categorical_crossentropy", target="label",
         metrics=("sparse_categorical_accuracy",)),
    Case("acc", net("softmax", CLASSES), "categorical_crossentropy", target="onehot", metrics=("acc", "mse")),
    # optimizers
    *[
        Case(f"optimizer {name} {arguments} {options}", net(), optimizer=optimizer(name, *arguments, **options))
        for name, arguments, options in [
            ("SGD", (), {}),
            ("SGD", (0.1,), {"momentum": 0.9}),
            ("SGD", (0.1,), {"momentum": 0.9, "nesterov": True}),
            ("RMSprop", (), {}),
            ("RMSprop", (0.01,), {"rho": 0.8, "epsilon": 1e-5}),
            ("RMSprop", (0.01,), {"momentum": 0.9}),
            ("RMSprop", (0.01,), {"centered": True}),
            ("RMSprop", (0.01,), {"centered": True, "momentum": 0.5}),
            ("Adam", (), {}),
            ("Adam", (0.01,), {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
            ("Adam", (0.01,), {"amsgrad": True}),
        ]
    ],
    *[Case(f"optimizer by name {name}", net(), optimizer=lambda lib, n=name: n) for name in ("sgd", "rmsprop", "adam")],
    # layers
    Case("Dense without bias", lambda L: [L.Dense(5, use_bias=False, activation="relu"), L.Dense(3)]),
    Case("Dense of rank 3", lambda L: [L.Dense(5, activation="relu"), L.Flatten(), L.Dense(3)], shape=(2, FEATURES)),
    Case("Dense of rank 4", lambda L: [L.Dense(5, activation="gelu"), L.Flatten(), L.Dense(3)], shape=(2, 3, FEATURES)),
    Case("Dense of one unit", lambda L: [L.Dense(1, activation="tanh"), L.Dense(3)]),
    Case("Dense, prime sizes", lambda L: [L.Dense(37, activation="relu"), L.Dense(53, activation="tanh"), L.Dense(3)]),
    Case("ReLU", lambda L: [L.Dense(5), L.ReLU(), L.Dense(3)]),
    Case(
        "ReLU with arguments",
        lambda L: [L.Dense(9), L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2), L.Dense(3)],
    ),
    Case("Softmax inside", lambda L: [L.Dense(5), L.Softmax(), L.Dense(3)]),
    Case("Flatten", lambda L: [L.Flatten(), L.Dense(3)], shape=(2, 3)),
    Case("Reshape", lambda L: [L.Dense(6), L.Reshape((3, 2)), L.Dense(4), L.Reshape((-1,)), L.Dense(3)]),
    Case("Rescaling of bytes", lambda L: [L.Rescaling(1 / 255), *net()(L)], x_dtype="uint8"),
    Case("Rescaling with offset", lambda L: [L.Rescaling(1 / 127.5, offset=-1), *net()(L)], x_dtype="uint8"),
    Case("images", lambda L: [L.Rescaling(1 / 255), L.Flatten(), *net()(L)], x_dtype="uint8", shape=(3, 4)),
    Case("Dropout(0)", lambda L: [L.Dense(5, activation="relu"), L.Dropout(0.0), L.Dense(3)]),
    Case("BatchNormalization", lambda L: [L.Dense(5), L.BatchNormalization(), L.Activation("relu"), L.Dense(3)]),
    Case("BatchNormalization first", lambda L: [L.BatchNormalization(), L.Dense(3)]),
    Case("BatchNormalization of rank 3", lambda L: [L.BatchNormalization(), L.Flatten(), L.Dense(3)], shape=(4, 3)),
    Case(
        "BatchNormalization with arguments",
        lambda L: [L.Dense(5), L.BatchNormalization(momentum=0.7, epsilon=0.01, center=False, scale=False), L.Dense(3)],
    ),
]  # fmt: skip


def inputs(case, rows, rng):
    """x (rows, *shape): bytes, or normal numbers."""
    if case.x_dtype == "uint8":
        return rng.integers(0, 256, (rows, *case.shape), dtype=np.uint8)
    return rng.standard_normal((rows, *case.shape)).astype(case.x_dtype)


def targets(case, rows, rng):
    """y of the case's kind."""
    label = rng.integers(0, CLASSES, rows)
    return {
        "real": lambda: rng.standard_normal((rows, 3)),
        "real column": lambda: rng.standard_normal(rows),
        "binary": lambda: rng.integers(0, 2, (rows, 1)).astype("float32"),
        "many binary": lambda: rng.integers(0, 2, (rows, 3)).astype("float32"),
        "onehot": lambda: np.eye(CLASSES, dtype="float32")[label],
        "label": lambda: label.astype("int32"),
        "label column": lambda: label[:, None].astype("int64"),
        "label of each row": lambda: rng.integers(0, CLASSES, (rows, case.shape[0])).astype("int32"),
    }[case.target]()


def build(lib, case):
    model = lib.Sequential([lib.layers.Input(case.shape), *case.layers(lib.layers)])
    loss = case.loss(lib) if callable(case.loss) else case.loss
    model.compile(optimizer=case.optimizer(lib), loss=loss, metrics=list(case.metrics) or None)
    return model


def train(lib, case, weights, data):
    """Everything a person can see of a training: a dict of named arrays."""
    (x, y), validation = data
    model = build(lib, case)
    model.set_weights(weights)
    fit = model.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, validation_data=validation
    ).history  # fmt: skip
    seen = {f"history {key}": np.array(values) for key, values in fit.items()}
    seen |= {f"weights {k}": np.asarray(w) for k, w in enumerate(model.get_weights())}
    seen["predict"] = np.asarray(model.predict(validation[0], batch_size=BATCH, verbose=0))
    seen["evaluate"] = np.array(model.evaluate(*validation, batch_size=BATCH, verbose=0))
    return seen


def random_weights(shapes, rng, dtype):
    """Kernels of the size Glorot gives, and vectors that are all positive, since they may be variances.

    Larger kernels make the loss grow, and then Keras's own float32 is 4e-4 from its float64 after nine steps.
    """
    kernel = [rng.uniform(-1.5, 1.5, shape) / np.sqrt(shape[0]) for shape in shapes]
    vector = [rng.uniform(0.5, 1.5, shape) for shape in shapes]
    return [(v if len(v.shape) == 1 else k).astype(dtype) for k, v in zip(kernel, vector)]


def compare(case, floatx):
    """Train one model in both libraries, from the same weights."""
    rng = np.random.default_rng(len(case.name))
    data = [(inputs(case, rows, rng), targets(case, rows, rng)) for rows in (ROWS, VALIDATION)]
    weights = random_weights([w.shape for w in build(keras, case).get_weights()], rng, floatx)
    expected = train(keras, case, weights, data)
    got = train(fastnet, case, weights, data)
    assert sorted(got) == sorted(expected)
    tolerance = case.float64 if floatx == "float64" else TOLERANCE["float32"]
    for name, want in expected.items():
        assert got[name].shape == want.shape, name
        if name.startswith(("weights", "predict")):
            assert got[name].dtype == want.dtype == floatx, name
        np.testing.assert_allclose(got[name], want, rtol=0, atol=tolerance * np.abs(want).max(), err_msg=name)


@pytest.mark.parametrize("floatx", ["float64", "float32"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_as_keras(case, floatx):
    compare(case, floatx)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_statistics(rate):
    """Training: a share `rate` of zeros, the rest scaled by 1/(1-rate). Inference: nothing.

    With a Dense(identity) behind the dropout and no learning, mse against 0 of ones is E[mask²]/(1-rate)² = 1/(1-rate).
    """
    n, width = 2000, 50
    for lib in (keras, fastnet):
        model = lib.Sequential([lib.layers.Input((width,)), lib.layers.Dropout(rate), lib.layers.Dense(width)])
        model.compile(optimizer=lib.optimizers.SGD(0.0), loss="mse")
        model.set_weights([np.eye(width, dtype="float32"), np.zeros(width, "float32")])
        x, y = np.ones((n, width), "float32"), np.zeros((n, width), "float32")
        history = model.fit(x, y, batch_size=100, epochs=1, verbose=0).history
        # standard deviation of the mean of n·width Bernoulli masks, times five
        deviation = np.sqrt(rate / (1 - rate) / (n * width)) / (1 - rate)
        assert history["loss"][0] == pytest.approx(1 / (1 - rate), abs=5 * deviation)
        assert model.evaluate(x, y, verbose=0) == pytest.approx(1.0, rel=1e-6)
