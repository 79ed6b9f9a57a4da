"""Every metric counts what Keras counts: in a model, weighted and not, and on arrays."""

from dataclasses import dataclass

import numpy as np
import pytest

import fastnet

from .test_keras import TOLERANCE

keras = pytest.importorskip("keras")
# JAX says so where Keras asks for the float64 of y in a float32 model.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")

ROWS, VALIDATION, BATCH, FEATURES, CLASSES = 21, 11, 8, 6, 4


@dataclass(frozen=True)
class Case:
    """Metrics that fit one kind of target: (class, arguments) or a name."""

    target: str
    loss: str
    activation: str | None
    metrics: tuple
    units: int = CLASSES


THRESHOLDS = {"thresholds": [0.2, 0.6, 0.35]}
CASES = [
    Case("bits", "binary_crossentropy", "sigmoid", (
        "accuracy", "acc", "AUC", "auc", "Precision", "recall", "binary_accuracy", "BinaryCrossentropy", "bce",
        ("BinaryAccuracy", {"threshold": 0.3}), ("BinaryCrossentropy", {"label_smoothing": 0.1}),
        ("Precision", THRESHOLDS), ("Precision", {"top_k": 2}), ("Precision", {"top_k": 2, "class_id": 1}),
        ("Recall", {"thresholds": 0.4, "class_id": 2}), ("Recall", {"top_k": 1}),
        *[(name, THRESHOLDS) for name in ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")],
        "TruePositives", "false_negatives",
        *[
            ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": 11})
            for curve in ("ROC", "PR", "PRGAIN") for method in ("interpolation", "minoring", "majoring")
        ],
        ("AUC", {"thresholds": [0.1, 0.5, 0.55]}), ("AUC", {"multi_label": True, "num_labels": 4}),
        ("AUC", {"multi_label": True, "num_labels": 4, "label_weights": [1.0, 2.0, 0.5, 0.0], "curve": "PR"}),
        ("AUC", {"label_weights": [1.0, 2.0, 0.5, 0.25]}),
    )),
    Case("bits", "binary_crossentropy", "sigmoid", ("accuracy", "AUC", "Precision", "Recall"), 1),
    Case("bits", "mse", None, (("AUC", {"from_logits": True}), ("BinaryCrossentropy", {"from_logits": True}))),
    Case("onehot", "categorical_crossentropy", "softmax", (
        "accuracy", "categorical_accuracy", "CategoricalCrossentropy",
        ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
        ("TopKCategoricalAccuracy", {"k": 2}), "top_k_categorical_accuracy", "F1Score", "KLDivergence", "kl_divergence",
        *[("F1Score", {"average": a}) for a in ("micro", "macro", "weighted")], ("F1Score", {"threshold": 0.3}),
        ("FBetaScore", {"beta": 2.0, "average": "weighted", "threshold": 0.4}), "CategoricalHinge", "categorical_hinge",
        "CosineSimilarity", "cosine_similarity",
    )),
    Case("label", "sparse_categorical_crossentropy", "softmax", (
        "accuracy", "sparse_categorical_accuracy", "SparseCategoricalCrossentropy",
        ("SparseCategoricalCrossentropy", {"ignore_class": 1}), ("SparseTopKCategoricalAccuracy", {"k": 2}),
    )),
    Case("positive", "mse", "softplus", (
        "mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "MeanSquaredError", "RootMeanSquaredError",
        "root_mean_squared_error", "LogCoshError", "Poisson", "poisson", "hinge", "SquaredHinge", "squared_hinge",
        "R2Score", "r2_score", ("R2Score", {"class_aggregation": None}), ("R2Score", {"num_regressors": 2}),
        ("R2Score", {"class_aggregation": "variance_weighted_average"}), "Accuracy",
    )),
]  # fmt: skip


def target(kind, units, rows, rng):
    label = rng.integers(0, CLASSES, rows)
    return {
        "bits": lambda: rng.integers(0, 2, (rows, units)).astype("float32"),
        "onehot": lambda: np.eye(CLASSES, dtype="float32")[label],
        "label": lambda: label,
        "positive": lambda: rng.uniform(0, 3, (rows, units)),
    }[kind]()


def made(lib, metrics, prefix=""):
    """Metrics with names of their own, so that no library numbers them."""
    out = []
    for k, metric in enumerate(metrics):
        name, given = (metric, None) if isinstance(metric, str) else metric
        out.append(name if given is None else getattr(lib.metrics, name)(name=f"{prefix}{name}_{k}", **given))
    return out


def measure(lib, case, initial, data):
    (x, y, w), held_out = data
    layers = lib.layers
    model = lib.Sequential([layers.Input((FEATURES,)), layers.Dense(case.units, activation=case.activation)])
    # Keras cannot trace an adjusted R2Score
    plain = [m for m in case.metrics if "num_regressors" not in str(m)]
    weighted = made(lib, [m for m in plain if not isinstance(m, str)], "heavy_")
    model.compile(lib.optimizers.SGD(0.05), case.loss, metrics=made(lib, plain), weighted_metrics=weighted)
    model.set_weights(initial)
    fit = model.fit(
        x, y, sample_weight=w, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, validation_data=held_out
    ).history  # fmt: skip
    seen = {f"history {key}": np.array(values) for key, values in fit.items()}
    values = model.evaluate(x, y, sample_weight=w, batch_size=BATCH, verbose=0, return_dict=True)
    return seen | {f"evaluate {key}": np.array(value) for key, value in values.items()}


@pytest.mark.parametrize("floatx", ["float64", "float32"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.target} {case.units}")
def test_same_as_keras_in_a_model(case, floatx):
    rng = np.random.default_rng(len(case.metrics))
    data = []
    for n in (ROWS, VALIDATION):
        x = rng.standard_normal((n, FEATURES)).astype(floatx)
        data.append((x, target(case.target, case.units, n, rng), rng.uniform(0, 2, n)))
    initial = [(rng.standard_normal((FEATURES, case.units)) / 2).astype(floatx), np.zeros(case.units, floatx)]
    expected, got = measure(keras, case, initial, data), measure(fastnet, case, initial, data)
    assert sorted(got) == sorted(expected)  # Keras on JAX sorts them
    for name, want in expected.items():
        tolerance = TOLERANCE[floatx] * max(1, np.abs(want).max())
        np.testing.assert_allclose(got[name], want, rtol=0, atol=tolerance, err_msg=name)


ON_ARRAYS = [(case, metric) for case in CASES for metric in case.metrics if not isinstance(metric, str)]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("case, metric", ON_ARRAYS, ids=str)
def test_same_as_keras_on_arrays(case, metric, floatx):
    rng = np.random.default_rng(3)
    ours, theirs = (made(lib, [metric])[0] for lib in (fastnet, keras))
    for rows, weighted in ((9, False), (4, True), (1, True)):
        y_true, y_pred = target(case.target, case.units, rows, rng), rng.uniform(0.01, 0.99, (rows, case.units))
        weights = rng.uniform(0, 2, rows) if weighted else None
        for one in (ours, theirs):
            one.update_state(y_true, y_pred, sample_weight=weights)
        np.testing.assert_allclose(ours.result(), np.asarray(theirs.result()), rtol=1e-6, atol=1e-9)
    ours.reset_state()
    theirs.reset_state()
    y_true, y_pred = target(case.target, case.units, 5, rng), rng.uniform(0.01, 0.99, (5, case.units))
    np.testing.assert_allclose(ours(y_true, y_pred), np.asarray(theirs(y_true, y_pred)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize(
    "name", ["AUC", "Precision", "Recall", "BinaryAccuracy", "RootMeanSquaredError", "TruePositives"]
)
def test_arrays_of_one_axis(name, floatx):
    ours, theirs = (getattr(lib.metrics, name)() for lib in (fastnet, keras))
    y_true, y_pred, weights = [0, 1, 1, 0, 1], [0.1, 0.7, 0.4, 0.6, 0.9], [0.2, 1.0, 0.5, 3.0, 0.0]
    np.testing.assert_allclose(ours(y_true, y_pred), theirs(y_true, y_pred), rtol=1e-6)
    np.testing.assert_allclose(
        ours(y_true, y_pred, sample_weight=weights), theirs(y_true, y_pred, sample_weight=weights), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["Mean", "Sum"])
def test_means_and_sums_of_values(name):
    ours, theirs = (getattr(lib.metrics, name)() for lib in (fastnet, keras))
    for values, weights in [(3.0, None), ([1.0, 4.0, 2.0], None), ([1.0, 4.0], [0.5, 2.0]), ([[1.0], [2.0]], [1, 0])]:
        assert ours(values, sample_weight=weights) == pytest.approx(float(theirs(values, sample_weight=weights)))


def largest(y_true, y_pred):
    """A function of arrays, of either library."""
    return abs(y_true - y_pred).max()


def largest_of_rows(y_true, y_pred):
    return abs(y_true - y_pred).max(-1)


def bias(lib):
    class Bias(lib.metrics.Metric):
        def __init__(self, name="bias", **more):
            super().__init__(name=name, **more)
            self.total = self.add_weight(name="total", initializer="zeros")
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            error = (y_pred - y_true).mean(-1)
            weight = error * 0 + 1 if sample_weight is None else sample_weight
            self.total.assign_add((error * weight).sum())
            self.count.assign_add(weight.sum())

        def result(self):
            return self.total / self.count

    return Bias


def test_metrics_written_in_python():
    rng = np.random.default_rng(6)
    x, y = (rng.standard_normal((ROWS, n)).astype("float32") for n in (FEATURES, CLASSES))
    weights, start = rng.uniform(0, 2, ROWS).astype("float32"), rng.standard_normal((FEATURES, CLASSES))
    results = []
    for lib in (fastnet, keras):
        model = lib.Sequential([lib.layers.Input((FEATURES,)), lib.layers.Dense(CLASSES)])
        model.set_weights([start.astype("float32"), np.zeros(CLASSES, "float32")])
        more = {"metrics": ["mae", bias(lib), largest], "weighted_metrics": [bias(lib)(name="b"), largest_of_rows]}
        model.compile("sgd", "mse", **more)
        given = {"batch_size": BATCH, "verbose": 0, "sample_weight": weights}
        history = model.fit(x, y, epochs=2, shuffle=False, validation_data=(x[:11], y[:11]), **given).history
        one = model.train_on_batch(x, y, sample_weight=weights, return_dict=True)
        results.append({**history, **{f"one {k}": v for k, v in one.items()}})
        test = model.evaluate(x, y, return_dict=True, **given)
        results[-1] |= {f"test {k}": v for k, v in test.items()}
    ours, theirs = results
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


FUNCTIONS = [
    ("binary_accuracy", "bits", {}), ("binary_accuracy", "bits", {"threshold": 0.2}),
    ("categorical_accuracy", "onehot", {}), ("sparse_categorical_accuracy", "label", {}),
    ("top_k_categorical_accuracy", "onehot", {"k": 2}), ("sparse_top_k_categorical_accuracy", "label", {"k": 2}),
    ("binary_focal_crossentropy", "bits", {"gamma": 3.0}), ("categorical_focal_crossentropy", "onehot", {}),
    ("huber", "positive", {"delta": 0.2}), ("log_cosh", "positive", {}),
]  # fmt: skip


@pytest.mark.parametrize("name, kind, given", FUNCTIONS, ids=str)
def test_functions(name, kind, given):
    rng = np.random.default_rng(1)
    y_true, y_pred = target(kind, CLASSES, 13, rng), rng.uniform(0, 1, (13, CLASSES)).astype("float32")
    ours, theirs = (getattr(lib.metrics, name)(y_true, y_pred, **given) for lib in (fastnet, keras))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-6)


def test_every_metric_of_keras_is_here():
    names = {name for name, item in vars(keras.metrics).items() if isinstance(item, type)}
    assert names <= set(vars(fastnet.metrics))


POINTS = [
    (name, {arguments: number, **more})
    for name, arguments in (
        ("SensitivityAtSpecificity", "specificity"), ("SpecificityAtSensitivity", "sensitivity"),
        ("PrecisionAtRecall", "recall"), ("RecallAtPrecision", "precision"),
    )
    for number, more in ((0.5, {}), (0.9, {"num_thresholds": 1}), (0.3, {"num_thresholds": 2, "class_id": 1}))
]  # fmt: skip
CLASSES_OF_ROWS = [
    ("IoU", "label", {"num_classes": 3, "target_class_ids": [0, 2], "sparse_y_pred": False}),
    ("MeanIoU", "label", {"num_classes": 4, "ignore_class": 1, "sparse_y_pred": False}),
    ("OneHotIoU", "onehot", {"num_classes": 4, "target_class_ids": [3, 1]}),
    ("OneHotMeanIoU", "onehot", {"num_classes": 5}),
    ("BinaryIoU", "bits", {"target_class_ids": [1], "threshold": 0.3}),
    ("BinaryIoU", "bits", {}),
]
CORRELATIONS = [(name, {}) for name in ("PearsonCorrelation", "ConcordanceCorrelation")]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize(
    ("name", "kind", "given"),
    [
        *[(name, "bits", g) for name, g in POINTS],
        *CLASSES_OF_ROWS,
        *[(name, "positive", g) for name, g in CORRELATIONS],
    ],
    ids=str,
)
def test_points_intersections_and_correlations(name, kind, given, floatx):
    rng = np.random.default_rng(5)
    ours, theirs = (getattr(lib.metrics, name)(**given) for lib in (fastnet, keras))
    whole = "IoU" in name  # Keras cuts the weights of these to integers
    for rows, weighted in ((29, False), (7, True), (1, True)):
        y_true, y_pred = target(kind, CLASSES, rows, rng), rng.uniform(0, 1, (rows, CLASSES))
        y_pred[:, 0] = np.round(y_pred[:, 0])
        weights = (rng.integers(0, 3, rows) if whole else rng.uniform(0, 2, rows)) if weighted else None
        for one in (ours, theirs):
            repeated = one is theirs and name == "BinaryIoU" and weighted  # Keras wants a weight for each element
            one.update_state(y_true, y_pred, np.repeat(weights, CLASSES) if repeated else weights)
        # Keras computes these ratios in float32.
        np.testing.assert_allclose(ours.result(), np.asarray(theirs.result()), rtol=1e-6, atol=1e-9)
    again = fastnet.metrics.deserialize(fastnet.metrics.serialize(ours))
    assert again.get_config() == ours.get_config() and again.name == theirs.name.rstrip("_0123456789")


@pytest.mark.parametrize("name", ["pearson_correlation", "concordance_correlation"])
def test_functions_of_correlation(name):
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.standard_normal((2, 5, 4, 7)).astype("float32")
    ours, theirs = (getattr(lib.metrics, name)(y_true, y_pred) for lib in (fastnet, keras))
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5)
