"""Every loss, reduction and kind of weight trains as in Keras: one row of `CASES` is one model.

Three epochs of 8, 8 and 5 rows; the same lines train it with either library.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest

import fastnet

from .test_keras import TOLERANCE, random_weights

keras = pytest.importorskip("keras")
# JAX says so where Keras asks for the float64 of y in a float32 model.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")

ROWS, BATCH, EPOCHS, FEATURES, CLASSES = 21, 8, 3, 6, 4


@dataclass(frozen=True)
class Case:
    """A loss, the last layer's activation, the targets, and arguments of compile and fit.

    Attributes:
        loss: a name, or (class, arguments).
        weights: arguments of fit that weigh rows: functions of the generator.
        steps: whether samples have a second axis of three steps.
    """

    loss: object
    target: str = "real"
    activation: str | None = None
    units: int = CLASSES
    compiled: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    steps: bool = False

    def __str__(self):
        given = self.loss if isinstance(self.loss, str) else f"{self.loss[0]} {self.loss[1]}"
        return " ".join(map(str, (given, self.target, *self.compiled.items(), *self.weights)))


def each_row(rng, shape):
    return rng.uniform(0, 2, ROWS)


def each_place(rng, shape):
    return rng.uniform(0, 2, (ROWS, 3))


WEIGHTED, PLACES = {"sample_weight": each_row}, {"sample_weight": each_place}
SCCE, LOGITS = "SparseCategoricalCrossentropy", {"from_logits": True}

CASES = [
    *[Case(n) for n in ("mean_absolute_percentage_error", "mape", "MAE", "MSE", "log_cosh", "cosine_similarity")],
    *[Case(n, "positive", "softplus") for n in ("mean_squared_logarithmic_error", "msle", "poisson", "Poisson")],
    *[Case(n, "distribution", "softmax") for n in ("kl_divergence", "kld", "KLDivergence")],
    *[Case(n, t) for n in ("hinge", "squared_hinge") for t in ("signs", "bits", "real")],
    Case("categorical_hinge", "onehot"),
    Case("huber"),
    Case(("Huber", {"delta": 0.3})),
    Case("CosineSimilarity"),
    Case("binary_focal_crossentropy", "bits", "sigmoid"),
    Case(("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, **LOGITS}), "bits"),
    Case(("BinaryFocalCrossentropy", {"gamma": 0.5, "label_smoothing": 0.1}), "bits", "sigmoid"),
    Case("categorical_focal_crossentropy", "onehot", "softmax"),
    Case(("CategoricalFocalCrossentropy", {"alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1, **LOGITS}), "onehot"),
    Case(("BinaryCrossentropy", {"label_smoothing": 0.2}), "bits", "sigmoid"),
    Case(("BinaryCrossentropy", {"label_smoothing": 0.2, **LOGITS}), "bits"),
    Case(("CategoricalCrossentropy", {"label_smoothing": 0.2}), "onehot", "softmax"),
    Case(("CategoricalCrossentropy", {"label_smoothing": 0.2, **LOGITS}), "onehot"),
    Case(("CategoricalGeneralizedCrossEntropy", {}), "label", "softmax"),
    Case(("CategoricalGeneralizedCrossEntropy", {"q": 0.8}), "label", "softmax", weights=WEIGHTED),
    *[Case(n, "bits", "sigmoid") for n in ("dice", "tversky")],
    Case(("Dice", {"reduction": "sum"}), "bits", "sigmoid", weights=WEIGHTED),
    Case(("Dice", {"reduction": "sum"}), "bits", "sigmoid", compiled={"loss_weights": 0.25}),
    Case("dice", "bits", "sigmoid", weights=WEIGHTED, steps=True),
    Case(("Dice", {"axis": -1}), "bits", "sigmoid", weights=PLACES, steps=True),
    Case(("Tversky", {"alpha": 0.3, "beta": 0.9}), "bits", "sigmoid", weights=WEIGHTED),
    Case(("Tversky", {"alpha": 0.3, "beta": 0.9, "axis": 1, "reduction": "sum"}), "bits", "sigmoid"),
    # the label 3 of 8 rows is often alone: its row does not count
    *[
        Case(("Circle", {"gamma": 6.0, "remove_diagonal": r}), "label", "unit", weights=w)
        for r, w in ((True, {}), (False, WEIGHTED))
    ],
    Case(("Circle", {"gamma": 3.0, "reduction": "mean_with_sample_weight"}), "label", "unit", weights=WEIGHTED),
    # reductions, with and without weights
    *[
        Case(("MeanSquaredError", {"reduction": r}), weights=w)
        for r in ("sum", "mean", "mean_with_sample_weight", "sum_over_batch_size")
        for w in ({}, WEIGHTED)
    ],
    *[
        Case((SCCE, {"ignore_class": i, "reduction": r, **LOGITS}), "ignored" if i < 0 else "label", weights=w)
        for i, r, w in [
            (-1, "sum_over_batch_size", {}),
            (-1, "sum_over_batch_size", WEIGHTED),
            (1, "sum_over_batch_size", {}),
            (1, "sum", WEIGHTED),
            (1, "mean_with_sample_weight", WEIGHTED),
            (1, "mean_with_sample_weight", {}),
        ]
    ],
    Case((SCCE, {"ignore_class": 1}), "label", "softmax", weights=PLACES, steps=True),
    # weights
    Case("mse", weights={"sample_weight": lambda rng, shape: rng.uniform(0, 2, (ROWS, 1))}),
    Case("mse", weights={"sample_weight": lambda rng, shape: rng.integers(0, 2, ROWS)}),
    Case("mse", weights=PLACES, steps=True),
    Case("mse", weights={"sample_weight": lambda rng, shape: rng.uniform(0, 2, (ROWS, 1))}, steps=True),
    Case("mse", weights={"class_weight": lambda rng, shape: {0: 0.5, 2: 3.0}}),
    Case((SCCE, LOGITS), "label", weights={"class_weight": lambda rng, shape: {0: 0.5, 2: 3.0}}),
    Case("categorical_crossentropy", "onehot", "softmax", weights={"class_weight": lambda rng, shape: {1: 2, 2: 0.1}}),
    Case("binary_crossentropy", "bit", "sigmoid", 1, weights={"class_weight": lambda rng, shape: {0: 0.3, 1: 1.7}}),
    Case("mse", weights=WEIGHTED, compiled={"weighted_metrics": ["mae", "mse"], "metrics": ["mae"]}),
    Case((SCCE, LOGITS), "label", weights=PLACES, compiled={"weighted_metrics": ["accuracy"]}, steps=True),
    Case("mse", compiled={"loss_weights": 0.25}),
    Case("mse", compiled={"loss_weights": [2.0]}, weights=WEIGHTED),
]


def target(kind, shape, rng):
    """Targets of a kind for predictions of ``shape``."""
    label = rng.integers(0, CLASSES, shape[:-1])
    return {
        "real": lambda: rng.standard_normal(shape),
        "positive": lambda: rng.uniform(0, 3, shape),
        "distribution": lambda: rng.dirichlet(np.ones(shape[-1]), shape[:-1]),
        "signs": lambda: rng.choice([-1.0, 1.0], shape),
        "bits": lambda: rng.integers(0, 2, shape).astype("float32"),
        "bit": lambda: rng.integers(0, 2, shape[:-1]).astype("float32"),
        "onehot": lambda: np.eye(CLASSES, dtype="float32")[label],
        "label": lambda: label,
        "ignored": lambda: np.where(rng.uniform(size=label.shape) < 0.3, -1, label),
    }[kind]()


def train(lib, case, initial, x, y, given):
    """Everything a person can see of a training: a dict of named arrays."""
    layers = lib.layers
    unit = [layers.UnitNormalization()] if case.activation == "unit" else []
    activation = None if unit else case.activation
    model = lib.Sequential(
        [layers.Input(x.shape[1:]), layers.Dense(5, "tanh"), layers.Dense(case.units, activation), *unit]
    )
    loss = case.loss if isinstance(case.loss, str) else getattr(lib.losses, case.loss[0])(**case.loss[1])
    model.compile(optimizer=lib.optimizers.SGD(0.05), loss=loss, **case.compiled)
    model.set_weights(initial)
    held_out = (x, y) if "sample_weight" not in given else (x, y, given["sample_weight"])
    fit = model.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, validation_data=held_out, **given
    ).history  # fmt: skip
    seen = {f"history {key}": np.array(values) for key, values in fit.items()}
    seen |= {f"weights {k}": np.asarray(w) for k, w in enumerate(model.get_weights())}
    # as a dictionary: Keras's list has a metric twice whose name another one took
    batch = model.train_on_batch(x, y, return_dict=True, **given)
    return seen | {f"batch {key}": np.array(value) for key, value in batch.items()}


@pytest.mark.parametrize("floatx", ["float64", "float32"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_as_keras(case, floatx):
    rng = np.random.default_rng(len(str(case)))
    shape = (ROWS, 3) if case.steps else (ROWS,)
    x = rng.standard_normal((*shape, FEATURES)).astype(floatx)
    y = target(case.target, (*shape, case.units), rng)
    given = {name: make(rng, shape) for name, make in case.weights.items()}
    initial = random_weights([(FEATURES, 5), (5,), (5, case.units), (case.units,)], rng, floatx)
    expected = train(keras, case, initial, x, y, given)
    got = train(fastnet, case, initial, x, y, given)
    assert sorted(got) == sorted(expected)
    for name, want in expected.items():
        np.testing.assert_allclose(
            got[name], want, rtol=0, atol=TOLERANCE[floatx] * max(np.abs(want).max(), 1e-3), err_msg=name
        )


ARRAYS = np.random.default_rng(5)
A, B, W = ARRAYS.uniform(0.05, 0.95, (3, 4)), ARRAYS.uniform(0.05, 0.95, (3, 4)), ARRAYS.uniform(0, 2, 3)
NAMES = [
    name for name, item in vars(keras.losses).items()
    if isinstance(item, type) and hasattr(fastnet.losses, name)
    if name not in ("Loss", SCCE, "CategoricalGeneralizedCrossEntropy", "Circle")
]  # fmt: skip


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", None, "none"])
@pytest.mark.parametrize("name", NAMES)
def test_on_arrays(name, reduction, floatx):
    ours, theirs = (getattr(lib.losses, name)(reduction=reduction) for lib in (fastnet, keras))
    for weights in (None, W, W[:, None]):
        np.testing.assert_allclose(
            np.ravel(ours(A, B, weights)), np.ravel(theirs(A, B, weights)), rtol=1e-9, atol=1e-12
        )
    np.testing.assert_allclose(ours(A[0], B[0]), np.asarray(theirs(A[0], B[0])), rtol=1e-9)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (7, 3), (70, 5)])
def test_circles_on_arrays(rows, width, diagonal, floatx):
    rng = np.random.default_rng(rows)
    x, labels, weights = rng.standard_normal((rows, width)), rng.integers(0, 4, rows) - 2, rng.uniform(0, 2, rows)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    more = {"gamma": 20.0, "margin": 0.3, "remove_diagonal": not diagonal}
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight", "none"):
        ours, theirs = (lib.losses.Circle(reduction=reduction, **more) for lib in (fastnet, keras))
        for w in (None, weights):
            np.testing.assert_allclose(ours(labels, x, w), theirs(labels, x, w), rtol=1e-9)
    others, other_labels = rng.standard_normal((9, width)), rng.integers(0, 4, 9) - 2
    given = (labels, x, other_labels, others)
    np.testing.assert_allclose(fastnet.losses.circle(*given, **more), keras.losses.circle(*given, **more), rtol=1e-9)


def test_all_losses_of_keras_for_dense_networks_are_here():
    assert len(NAMES) >= 16
