"""The estimators of `fastnet.wrappers` against scikit-learn's own checks, its networks and its tools."""

import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses

pytest.importorskip("sklearn")
import joblib
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import AdaBoostClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnet.wrappers import (
    FastnetClassifier,
    FastnetRegressor,
    SKLearnClassifier,
    SKLearnRegressor,
    SKLearnTransformer,
)


@pytest.fixture(autouse=True)
def one_thread():
    """The networks are too small for two."""
    threads = fastnet.get_num_threads()
    fastnet.set_num_threads(1)
    yield
    fastnet.set_num_threads(threads)


class Build:
    """Makes a model that is the same each time, as checks of reproducibility ask."""

    def __call__(self, X, y, loss="mse", activation=None):
        fastnet.utils.set_random_seed(0)
        model = fastnet.Sequential([layers.Dense(8, "relu"), layers.Dense(y.shape[1], activation)])
        model.compile(fastnet.optimizers.Adam(0.02), loss)
        return model

    def __repr__(self):  # without an address, which would differ in each process that collects the tests
        return "Build()"


def wrapped(cls, epochs, **kwargs):
    return cls(Build(), model_kwargs=kwargs, fit_kwargs={"epochs": epochs})


@parametrize_with_checks(
    [
        FastnetClassifier((8,), learning_rate=0.02, epochs=60),
        FastnetRegressor((8,), learning_rate=0.02, epochs=60),
        wrapped(SKLearnClassifier, 15, loss="categorical_crossentropy", activation="softmax"),
        wrapped(SKLearnRegressor, 2),
        wrapped(SKLearnTransformer, 2),
    ]
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


# ---- against scikit-learn's network


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_numbers_of_mlp_classifier(classes, weighted, monkeypatch):
    """The same start, 30 steps of Adam on all rows: the weights agree in float64."""
    X, y = load_iris(return_X_y=True)
    X, y = X[y < classes], y[y < classes]
    weights = np.random.default_rng(0).integers(0, 4, len(y)).astype(float) if weighted else None
    ours = FastnetClassifier(
        (5,), activation="tanh", scale=False, batch_size=150, epochs=30, n_iter_no_change=None, random_state=0
    )
    starts = iter(first_weights(ours, X, y))
    monkeypatch.setattr(MLPClassifier, "_init_coef", lambda self, *shape: (next(starts), next(starts)))
    theirs = MLPClassifier(
        (5,), activation="tanh", alpha=0.0, epsilon=1e-7, batch_size=len(y), max_iter=30, tol=0.0, n_iter_no_change=31
    )
    with pytest.warns(match="Maximum iterations"):
        theirs.fit(X, y, sample_weight=weights)
    ours.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-7)
    if not weighted:  # with weights, scikit-learn's curve has another scale
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-7)


def first_weights(estimator, X, y):
    """The weights that `fit` starts with, in scikit-learn's order."""
    still = clone(estimator).set_params(epochs=1, learning_rate=0.0)
    return still.fit(X, y).model_.get_weights()


def test_scores_are_those_of_mlp_classifier():
    X, y = load_breast_cancer(return_X_y=True)
    ours = cross_val_score(FastnetClassifier(random_state=0, dtype="float32"), X, y, cv=3)
    assert ours.mean() > 0.95  # scikit-learn's, with scaled features: 0.97


def test_scaling_makes_the_defaults_fit():
    """Targets around 152 with features around 0: the network sees neither scale."""
    X, y = load_diabetes(return_X_y=True)
    network = FastnetRegressor(early_stopping=True, random_state=0)
    assert cross_val_score(network, X, y, cv=3).mean() > 0.35  # a linear regression reaches 0.48
    offset = network.fit(X + 1e6, y * 1e-6).predict(X + 1e6)
    np.testing.assert_allclose(offset * 1e6, network.fit(X, y).predict(X), rtol=1e-4)


# ---- rows, weights, labels


def some_data(classes=3, n=60):
    rng = np.random.default_rng(1)
    y = np.arange(n) % classes
    return rng.normal(size=(n, 4)) + y[:, None], np.array(["ape", "bee", "cat"])[y]


FEW = {"hidden": (6,), "epochs": 12, "learning_rate": 0.02, "batch_size": 16, "random_state": 3}


@pytest.mark.parametrize("classes", [2, 3])
def test_labels_are_strings(classes):
    X, y = some_data(classes)
    network = FastnetClassifier(**FEW | {"epochs": 60}).fit(X, y)
    assert network.classes_.tolist() == ["ape", "bee", "cat"][:classes]
    assert network.score(X, y) > 0.8 and network.predict(X).dtype == y.dtype
    decision, probability = network.decision_function(X), network.predict_proba(X)
    assert decision.shape == ((60,) if classes == 2 else (60, 3)) and probability.shape == (60, classes)
    assert (network.classes_[probability.argmax(axis=1)] == network.predict(X)).all()


def test_a_seed_decides_everything():
    X, y = some_data()
    same = FEW | {"dropout": 0.3}
    results = [FastnetClassifier(**same).fit(X, y).predict_proba(X) for _ in range(2)]
    assert (results[0] == results[1]).all()
    assert (FastnetClassifier(**same | {"random_state": 4}).fit(X, y).predict_proba(X) != results[0]).any()
    generators = [np.random.RandomState(5), np.random.RandomState(5)]
    a, b = (FastnetClassifier(**same | {"random_state": each}).fit(X, y).predict_proba(X) for each in generators)
    assert (a == b).all()


def test_rows_of_weight_zero_are_left_out():
    X, y = some_data()
    weights = np.arange(60) % 5 > 0
    ours = FastnetClassifier(**FEW).fit(X, y, weights.astype(float)).predict_proba(X)
    assert (ours == FastnetClassifier(**FEW).fit(X[weights], y[weights], np.ones(48)).predict_proba(X)).all()


def test_sparse_features_are_those_that_are_dense():
    X, y = some_data()
    X = np.where(np.abs(X) > 1, X, 0)
    sparse, dense = (
        FastnetClassifier(early_stopping=True, scale=False, **FEW).fit(each, y) for each in (csr_array(X), X)
    )
    assert (sparse.predict_proba(csr_array(X)) == dense.predict_proba(X)).all()
    scaled = FastnetClassifier(**FEW).fit(csr_array(X), y)
    assert not scaled.scaler_.with_mean
    np.testing.assert_allclose(scaled.predict_proba(csr_array(X)), scaled.predict_proba(X), rtol=1e-12)


def test_class_weights():
    X, y = some_data()
    X, y = X[10:], np.r_[y[10:30], ["ape"] * 30]
    counts = {label: np.mean(y == label) for label in np.unique(y)}
    balanced = FastnetClassifier(class_weight="balanced", **FEW).fit(X, y).predict_proba(X)
    by_hand = FastnetClassifier(**FEW).fit(X, y, [1 / counts[label] for label in y]).predict_proba(X)
    np.testing.assert_allclose(balanced, by_hand, rtol=1e-9)
    named = FastnetClassifier(class_weight={"ape": 2.0, "bee": 0.5}, **FEW).fit(X, y).predict_proba(X)
    values = {"ape": 2.0, "bee": 0.5, "cat": 1.0}
    by_hand = FastnetClassifier(**FEW).fit(X, y, [values[label] for label in y]).predict_proba(X)
    assert (named == by_hand).all()
    for wrong in ({"ape": -1.0}, dict.fromkeys(values, 0.0)):
        with pytest.raises(ValueError, match="class_weight must have weights from 0"):
            FastnetClassifier(class_weight=wrong, **FEW).fit(X, y)


def test_class_weights_of_a_wrapped_model():
    X, y = some_data(2)
    X, y = X[20:], np.r_[y[20:30], ["ape"] * 30]
    balanced = np.where(y == "bee", 40 / (2 * 5), 40 / (2 * 35))
    fits = [
        wrapped(SKLearnClassifier, 9, loss="mse").fit(X, y, **more).predict_proba(X)
        for more in ({"class_weight": "balanced"}, {"sample_weight": balanced}, {"class_weight": {"bee": 7.0}}, {})
    ]
    np.testing.assert_allclose(fits[0], fits[1], rtol=1e-5)
    assert all((a != b).any() for a, b in [fits[1:3], fits[2:4]])


def test_several_targets():
    X, _ = some_data()
    Y = np.c_[X @ [1, 2, 3, 4], X[:, 0] * 1000]
    network = FastnetRegressor(**FEW | {"epochs": 200}).fit(X, Y)
    assert network.predict(X).shape == (60, 2) and network.score(X, Y) > 0.95
    assert FastnetRegressor(**FEW).fit(X, Y[:, :1]).predict(X).shape == (60, 1)
    assert FastnetRegressor(**FEW).fit(X, Y[:, 0]).predict(X).shape == (60,)


# ---- how training goes


def test_early_stopping_keeps_the_best_weights():
    X, y = some_data()
    network = FastnetClassifier(early_stopping=True, **FEW | {"epochs": 300, "learning_rate": 0.1}).fit(X, y)
    held_out = network.history_.history["val_loss"]
    assert network.n_iter_ == len(held_out) < 300
    assert network.n_iter_ >= np.argmin(held_out) + 1 > network.n_iter_ - 12
    best = network.model_.evaluate(*held_out_rows(X, y, network), verbose=0)
    assert best == pytest.approx(min(held_out), rel=1e-12)
    never = FastnetClassifier(n_iter_no_change=None, **FEW).fit(X, y)
    assert never.n_iter_ == 12 == len(never.loss_curve_)


def held_out_rows(X, y, network):
    """The rows that a network with ``random_state=3`` holds out, as the network reads them."""
    y = np.searchsorted(network.classes_, y)
    _, X, _, y = train_test_split(X, y, test_size=0.1, random_state=np.random.RandomState(3), stratify=y)
    return network.scaler_.transform(X), y


def test_rows_are_held_out_where_classes_are_rare():
    X, y = some_data()
    y = np.r_[y[:-1], ["dog"]]
    assert FastnetClassifier(early_stopping=True, **FEW).fit(X, y).classes_.tolist() == ["ape", "bee", "cat", "dog"]
    assert FastnetClassifier(early_stopping=True, **FEW).fit(X[:12], y[:12]).n_iter_ > 1


def test_partial_fit_is_epochs_of_one_network():
    X, y = some_data()
    network = FastnetClassifier(scale=False, **FEW)
    with pytest.raises(ValueError, match="first call of partial_fit needs classes"):
        network.partial_fit(X, y)
    for _ in range(12):
        network.partial_fit(X, y, classes=["cat", "bee", "ape"])
    whole = FastnetClassifier(scale=False, n_iter_no_change=None, **FEW).fit(X, y)
    assert (network.predict_proba(X) == whole.predict_proba(X)).all()
    with pytest.raises(ValueError, match="y has the class 'dog', which is not among the classes"):
        network.partial_fit(X[:2], ["dog", "ape"])
    with pytest.raises(ValueError, match="classes must stay"):
        network.partial_fit(X, y, classes=["ape", "bee"])


def test_weights_of_partial_fit_count_as_they_are():
    """One step of gradient descent from the same weights: as far as the weights of rows and classes are large."""
    X, y = some_data(2)
    one = {"hidden": (), "optimizer": "sgd", "learning_rate": 0.1, "scale": False, "batch_size": 60, "random_state": 0}

    def moved(sample_weight=None, class_weight=None, chosen=slice(None)):
        network = FastnetClassifier(class_weight=class_weight, **one)
        network.partial_fit(X[:1], y[:1], ["ape", "bee"], [1e-300])  # makes the network, and leaves it where it is
        start = network.model_.get_weights()[0]
        network.partial_fit(X[chosen], y[chosen], sample_weight=sample_weight)
        return network.model_.get_weights()[0] - start

    plain = moved()
    np.testing.assert_allclose(moved(np.full(60, 3.0)), 3 * plain, rtol=1e-9)
    np.testing.assert_allclose(moved(class_weight={"bee": 5.0, "ape": 5.0}), 5 * plain, rtol=1e-9)
    bees = y == "bee"
    np.testing.assert_allclose(moved(class_weight={"bee": 2.0}, chosen=bees), 2 * moved(chosen=bees), rtol=1e-9)
    np.testing.assert_array_equal(moved(class_weight={"bee": 2.0}, chosen=~bees), moved(chosen=~bees))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(7,\), expected \(60,\)"):
        moved(np.ones(7))
    with pytest.raises(ValueError, match=r"partial_fit sees a part of the rows.*class_weight='balanced'"):
        moved(class_weight="balanced")


def test_partial_fit_of_a_regressor_scales_by_all_rows_so_far():
    X, _ = some_data()
    y = 1000 * X[:, 0] + 5000
    network = FastnetRegressor(**FEW)
    for _ in range(60):
        for part in np.array_split(np.arange(60), 3):
            network.partial_fit(X[part], y[part])
    assert network.score(X, y) > 0.9
    assert network.scaler_.n_samples_seen_ == 60 * 60


def test_warm_start_goes_on():
    X, y = some_data()
    network = FastnetClassifier(warm_start=True, n_iter_no_change=None, **FEW).fit(X, y)
    first = network.model_
    twice = network.fit(X, y).predict_proba(X)
    assert network.model_ is first
    once = FastnetClassifier(n_iter_no_change=None, **FEW | {"epochs": 24}).fit(X, y).predict_proba(X)
    assert (twice == once).all()


def test_warm_start_keeps_the_scales():
    X, _ = some_data()
    network = FastnetRegressor(warm_start=True, **FEW).fit(X, X[:, 0])
    means = network.scaler_.mean_, network.target_scaler_.mean_
    network.fit(X[:9] + 7, X[:9, 0] + 7)
    assert (network.scaler_.mean_ == means[0]).all() and (network.target_scaler_.mean_ == means[1]).all()


def test_metadata_is_routed():
    X, y = some_data()
    weights = np.arange(60) % 3 + 1.0
    fastnet_, model = FastnetClassifier(**FEW), wrapped(SKLearnClassifier, 2)
    with config_context(enable_metadata_routing=True):
        for network in (fastnet_, model):
            routed = make_pipeline(network.set_fit_request(sample_weight=True)).fit(X, y, sample_weight=weights)
            assert (routed.predict_proba(X) == network.fit(X, y, sample_weight=weights).predict_proba(X)).all()
            assert (routed.predict_proba(X) != network.fit(X, y).predict_proba(X)).any()


def test_the_optimizer_that_was_given_is_not_used_up():
    X, y = some_data()
    optimizer = fastnet.optimizers.SGD(0.5, momentum=0.9)
    network = FastnetClassifier(optimizer=optimizer, **FEW | {"learning_rate": None}).fit(X, y)
    assert network.model_.optimizer.momentum == 0.9 and network.model_.optimizer is not optimizer
    assert optimizer.iterations == 0 and optimizer.learning_rate == 0.5


@pytest.mark.parametrize(
    "argument, value",
    [
        ("hidden", (8, 0)), ("hidden", "8"), ("dropout", 1.0), ("l2", -1), ("batch_size", 0), ("epochs", 0),
        ("tol", -1.0), ("n_iter_no_change", 0), ("validation_fraction", 0.0), ("validation_fraction", 1.0),
        ("dtype", "float16"), ("scale", "yes"), ("early_stopping", 1), ("warm_start", None),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(argument, value):
    X, y = some_data()
    with pytest.raises(ValueError, match=f"FastnetClassifier: {argument}"):
        FastnetClassifier(**FEW | {argument: value}).fit(X, y)


# ---- scikit-learn's tools


def test_pipeline_search_and_importance():
    X, y = some_data()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), FastnetClassifier(**FEW)),
        {"fastnetclassifier__hidden": [(), (6,)], "fastnetclassifier__activation": ["relu", "tanh"]},
        cv=2,
    ).fit(X, y)
    assert search.best_score_ > 0.5
    importance = permutation_importance(search.best_estimator_, X, y, n_repeats=2, random_state=0)
    assert importance.importances_mean.shape == (4,)
    assert AdaBoostClassifier(FastnetClassifier(**FEW), n_estimators=2).fit(X, y).score(X, y) > 0.5


def test_files_and_clones(tmp_path):
    X, y = some_data()
    network = FastnetClassifier(**FEW).fit(X, y)
    joblib.dump(network, tmp_path / "network.joblib")
    assert (joblib.load(tmp_path / "network.joblib").predict_proba(X) == network.predict_proba(X)).all()
    assert not hasattr(clone(network), "model_") and clone(network).get_params() == network.get_params()


WORKERS = """
import numpy as np, fastnet
from fastnet import layers
from sklearn.model_selection import cross_val_score
from fastnet.wrappers import FastnetClassifier, SKLearnClassifier

SLOPE = 0.25

def part(x):
    return x * SLOPE

def bent(x):
    return x if x > 0 else part(x)

def pinched(y_true, y_pred):
    return (y_pred - y_true) ** 2

def build(X, y):
    fastnet.utils.set_random_seed(0)
    model = fastnet.Sequential([layers.Dense(4, "named"), layers.Dense(4, bent), layers.Dense(3)])
    model.compile("adam", "pinched")
    return model

fastnet.register_activation("named", bent)
fastnet.register_loss("pinched", pinched)
rng = np.random.default_rng(0)
y = np.arange(30) % 3
X = rng.normal(size=(30, 2)) + y[:, None]
few = dict(hidden=(4,), epochs=9, learning_rate=0.05, random_state=0)
for network in (
    FastnetClassifier(activation="named", **few),
    FastnetClassifier(activation=bent, **few),
    SKLearnClassifier(build, fit_kwargs={"epochs": 9}),
):
    scores = [cross_val_score(network, X, y, cv=2, n_jobs=n, error_score="raise").tolist() for n in (1, 2)]
    assert scores[0] == scores[1], scores
print("equal")
"""


def test_the_users_rules_arrive_in_workers(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WORKERS, "utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.stdout == "equal\n", done.stderr


# ---- the wrappers of models


def model_of(units, loss, activation=None):
    model = fastnet.Sequential([layers.Input((4,)), layers.Dense(units, activation)])
    model.compile(fastnet.optimizers.Adam(0.1), loss)
    return model


@pytest.mark.parametrize(
    "units, loss, activation",
    [
        (2, "categorical_crossentropy", "softmax"),
        (2, "sparse_categorical_crossentropy", "softmax"),
        (2, losses.SparseCategoricalCrossentropy(from_logits=True), None),
        (1, "binary_crossentropy", "sigmoid"),
        (1, losses.BinaryCrossentropy(from_logits=True), None),
        (2, "mse", "softmax"),
    ],
)
def test_targets_are_those_of_the_loss(units, loss, activation):
    X, y = some_data(2)
    network = SKLearnClassifier(model_of(units, loss, activation), fit_kwargs={"epochs": 20}).fit(X, y)
    probability = network.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert ((network.decision_function(X) > 0) == (probability[:, 1] > 0.5)).all()
    assert (network.predict(X) == np.where(probability[:, 1] > 0.5, "bee", "ape")).all()
    assert network.score(X, y) > 0.7 and network.epoch_ == 20


@pytest.mark.parametrize(
    "units, loss", [(1, "hinge"), (1, losses.SquaredHinge()), (2, "hinge"), (2, "categorical_hinge"), (3, "hinge")]
)
def test_a_hinge_gives_scores_that_decide_at_0(units, loss):
    X, y = some_data(max(units, 2))
    network = SKLearnClassifier(model_of(units, loss), fit_kwargs={"epochs": 20}).fit(X, y)
    outputs = network.model_.predict(X, verbose=0)
    if units == 1:
        decided = np.array(["ape", "bee"])[(outputs[:, 0] > 0).astype(int)]
        np.testing.assert_array_equal(network.decision_function(X), outputs[:, 0])
    else:
        decided = np.array(["ape", "bee", "cat"])[outputs.argmax(1)]
    assert (network.predict(X) == decided).all() and network.score(X, y) > 0.7
    for each in (network, clone(network)):
        assert not hasattr(each, "predict_proba")
    with pytest.raises(AttributeError) as error:
        network.predict_proba(X)
    assert "gives scores, not probabilities" in str(error.value.__cause__)
    assert hasattr(SKLearnClassifier(Build()), "predict_proba")


def test_warm_start_keeps_the_classes():
    X, y = some_data(3)
    network = SKLearnClassifier(model_of(3, "mse", "softmax"), warm_start=True, fit_kwargs={"epochs": 9}).fit(X, y)
    later = y != "ape"
    network.fit(X[later], y[later])
    assert network.classes_.tolist() == ["ape", "bee", "cat"] and network.score(X[later], y[later]) > 0.7
    with pytest.raises(ValueError, match="y has the class 'dog', which is not among the classes"):
        network.fit(X, np.where(later, y, "dog"))
    assert network.classes_.tolist() == ["ape", "bee", "cat"]
    with pytest.raises(ValueError, match="X has 2 features, but SKLearnClassifier is expecting 4 features"):
        network.fit(X[:, :2], y)
    assert network.set_params(warm_start=False).fit(X, np.char.upper(y)).classes_.tolist() == ["APE", "BEE", "CAT"]


@pytest.mark.parametrize(
    "argument, value", [("warm_start", 1), ("warm_start", "no"), ("model_kwargs", [("units", 2)]), ("fit_kwargs", 3)]
)
def test_wrong_arguments_of_wrappers_are_named(argument, value):
    X, y = some_data(2)
    with pytest.raises(ValueError, match=f"SKLearnClassifier: {argument} must be"):
        SKLearnClassifier(model_of(2, "mse"), **{argument: value}).fit(X, y)


def test_a_model_that_does_not_fit_is_told():
    X, y = some_data(3)
    with pytest.raises(
        ValueError, match=r"y has 3 classes, and the model's outputs have shape \(None, 2\).*Dense\(3\)"
    ):
        SKLearnClassifier(model_of(2, "mse")).fit(X, y)
    with pytest.raises(RuntimeError, match="must be compiled"):
        SKLearnClassifier(fastnet.Sequential([layers.Dense(3)])).fit(X, y)
    with pytest.raises(ValueError, match="model must be a Sequential, or a function that returns one; received 3"):
        SKLearnClassifier(3).fit(X, y)
    with pytest.raises(ValueError, match="must return a Sequential, it gave None"):
        SKLearnRegressor(lambda X, y: None).fit(X, X[:, 0])


def test_the_given_model_stays_as_it_is_unless_warm():
    X, _ = some_data()
    model = model_of(1, "mse")
    before = model.get_weights()
    network = SKLearnRegressor(model, fit_kwargs={"epochs": 2}).fit(X, X[:, 0])
    assert network.model_ is not model and all(map(np.array_equal, model.get_weights(), before))
    warm = SKLearnRegressor(model, warm_start=True).fit(X, X[:, 0])
    assert warm.model_ is model and not all(map(np.array_equal, model.get_weights(), before))


def test_features_of_a_transformer_have_names():
    X, _ = some_data()
    features = SKLearnTransformer(model_of(2, "mse")).fit(X, X[:, :2])
    assert features.get_feature_names_out().tolist() == ["sklearntransformer0", "sklearntransformer1"]
    np.testing.assert_allclose(features.transform(X), features.model_.predict(X))


def test_a_plain_model_is_refused_in_a_sentence():
    X, y = some_data(2)
    model = model_of(2, "sparse_categorical_crossentropy", "softmax")
    pipeline = make_pipeline(StandardScaler(), model)
    for use in (
        lambda: cross_val_score(model, X, y),
        lambda: cross_val_score(pipeline, X, y),
        lambda: cross_val_score(pipeline, X, y, scoring="accuracy"),
        lambda: GridSearchCV(pipeline, {"standardscaler__with_mean": [True, False]}, scoring="accuracy").fit(X, y),
        lambda: permutation_importance(model, X, y),
    ):
        with pytest.raises(
            RuntimeError, match=r"not an estimator of scikit-learn: wrap it.*SKLearnClassifier\(model\)"
        ):
            use()
