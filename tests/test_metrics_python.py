"""Metrics written in Python: what they are shown, batch by batch, and what they make of the logs."""

import json

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers, losses, metrics, saving
from fastnet.metrics import MetricVariable


class Bias(metrics.Metric):
    """mean(y_pred - y_true), each row with its weight; written as for Keras."""

    def __init__(self, name="bias", **more):
        super().__init__(name=name, **more)
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.count = self.add_weight(name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        weight = np.ones(len(y_pred)) if sample_weight is None else sample_weight
        self.total.assign_add(np.sum(weight[:, None] * (y_pred - y_true)))
        self.count.assign_add(weight.sum() * y_pred.shape[1])

    def result(self):
        return self.total / self.count


class Batches(metrics.Metric):
    """Keeps all it is shown; says how many batches that was."""

    def __init__(self, name="batches"):
        super().__init__(name=name)
        self.seen = []

    def update_state(self, *arrays, **more):
        self.seen.append((*arrays, more))

    def result(self):
        return len(self.seen)

    def reset_state(self):
        self.seen = []


def same(dtype="float32", shape=(2,)):
    """A network that hands its input on, but has a weight to train."""
    return fastnet.Sequential([layers.Input(shape, dtype=dtype), layers.Dense(2, "linear", dtype=dtype)])


def data(rows, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 2)).astype("float32"), rng.standard_normal((rows, 2)).astype("float32")


@pytest.mark.parametrize("rows, batch", [(1, 1), (7, 3), (8, 4), (13, 13), (5, 1)])
def test_it_is_shown_every_batch_once(rows, batch):
    model, watch = same(), Batches()
    x, y = data(rows)
    model.compile("sgd", "mse", metrics=["mae", watch, "mse"])
    model.evaluate(x, y, batch_size=batch, verbose=0)
    assert [len(p) for _, p, _ in watch.seen] == [batch] * (rows // batch) + [rows % batch] * (rows % batch > 0)
    for index, whole in ((0, y), (1, model.predict(x, verbose=0))):
        got = np.concatenate([arrays[index] for arrays in watch.seen])  # kept, so these must be copies
        np.testing.assert_allclose(got, whole, rtol=1e-6)
        assert got.dtype == np.float32 and got.base is None
    assert all(more == {} for *_, more in watch.seen)


def test_training_shows_the_predictions_before_the_step():
    model, watch = same("float64"), Batches()
    x, y = data(6)
    model.compile(fastnet.optimizers.SGD(0.5), "mse", metrics=[watch])
    before = model.predict(x, verbose=0)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["batches"] == 1 and list(logs) == ["batches", "loss"]
    np.testing.assert_allclose(watch.seen[0][1], before, rtol=1e-12)
    assert np.abs(model.predict(x, verbose=0) - before).max() > 0.01


def test_fit_with_validation_weights_and_names():
    """The results against float64 sums over what a second model predicts at the same weights."""
    x, y = data(21)
    weights = np.random.default_rng(3).uniform(0, 2, 21)
    model = same("float64")
    model.compile(fastnet.optimizers.SGD(0.0), "mse", metrics=["mae", Bias], weighted_metrics=[Bias(), "mse"])
    history = model.fit(x, y, batch_size=8, epochs=3, sample_weight=weights, validation_data=(x[:5], y[:5]), verbose=0)
    error = model.predict(x, verbose=0) - y
    names = ["loss", "mae", "bias", "weighted_bias", "mse"]
    assert list(history.history) == sorted([*names, *(f"val_{name}" for name in names)])
    wanted = {
        "bias": error.mean(),
        "weighted_bias": (weights[:, None] * error).sum() / (2 * weights.sum()),
        "val_bias": error[:5].mean(),
        "val_weighted_bias": error[:5].mean(),
    }
    for name, value in wanted.items():
        assert history.history[name] == pytest.approx([value] * 3, rel=1e-6)
        assert all(type(v) is float for v in history.history[name])
    assert model.metrics_names == names and [m.name for m in model.metrics] == ["mae", "bias", "bias", "mse"]


def test_it_changes_no_bit_of_the_training():
    x, y = data(37)
    trained = []
    for extra in ([], [Batches()]):
        fastnet.utils.set_random_seed(5)
        model = fastnet.Sequential([layers.Input((2,)), layers.Dense(9, "relu"), layers.Dropout(0.3), layers.Dense(2)])
        model.compile("adam", "mse", metrics=["mae", *extra])
        history = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history
        trained.append((*model.get_weights(), history["loss"], history["mae"]))
    for a, b in zip(*trained, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_that_grow_and_labels():
    """A larger batch takes a larger plan; targets come as the loss reads them, with a weight for each place."""
    watch = Batches("w")
    model = fastnet.Sequential([layers.Input((3, 2)), layers.Dense(4)])
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", sparse, metrics=["accuracy"], weighted_metrics=[watch, Bias(name="b")][:1])
    rng = np.random.default_rng(1)
    batches = [(rng.normal(size=(n, 3, 2)), rng.integers(0, 4, (n, 3)), rng.uniform(size=(n, 3))) for n in (2, 5, 1)]
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    assert logs["w"] == 3
    for (_, y, given), (y_true, y_pred, more) in zip(batches, watch.seen, strict=True):
        np.testing.assert_array_equal(y_true, y)
        np.testing.assert_allclose(more["sample_weight"], given, rtol=1e-6)
        assert y_pred.shape == (*y.shape, 4)
    model.evaluate(batches[0][0], batches[0][1], verbose=0)
    assert watch.seen[0][2] == {"sample_weight": None}


def test_a_result_may_be_an_array_or_a_dictionary():
    class Columns(Batches):
        def result(self):
            return np.mean(self.seen[-1][1], axis=0)

    class Both(Batches):
        def result(self):
            return {"batches": len(self.seen)}

    model = same()
    model.compile("sgd", "mse", metrics=[Columns("columns"), Both("both")])
    x, y = data(4)
    logs = model.test_on_batch(x, y, return_dict=True)
    np.testing.assert_allclose(logs["columns"], model.predict(x, verbose=0).mean(axis=0), rtol=1e-6)
    assert logs["batches"] == 1 and "both" not in logs  # as in Keras


class Percent(metrics.BinaryAccuracy):
    """One of fastnet's, with another result."""

    def result(self):
        return 100 * super().result()


class Turned(metrics.Precision):
    """One of fastnet's, shown something else."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(1 - y_true, 1 - y_pred, sample_weight)


class Error(metrics.Mean):
    """A mean of what it computes."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(np.abs(y_true - y_pred), sample_weight)


@pytest.mark.parametrize("cls", [Percent, Turned, Error])
def test_what_a_subclass_overrides_counts(cls):
    rng = np.random.default_rng(2)
    p, t = rng.uniform(0, 1, (11, 1)), rng.integers(0, 2, (11, 1))
    model = fastnet.Sequential([layers.Input((1,), dtype="float64"), layers.Activation("linear", dtype="float64")])
    model.compile("sgd", "mse", metrics=[cls(name="m")])
    got = model.evaluate(p, t, batch_size=4, verbose=0, return_dict=True)["m"]
    right = (p > 0.5) == t
    wanted = {Percent: 100 * right.mean(), Turned: right[p < 0.5].mean(), Error: np.abs(p - t).mean()}
    assert got == pytest.approx(wanted[cls])


def test_fastnets_own_are_counted_inside_the_runner():
    for cls in {cls for cls in vars(metrics).values() if isinstance(cls, type) and issubclass(cls, metrics.Metric)}:
        if cls is not metrics.ArrayMetric:
            assert not cls.in_python.fget(cls.__new__(cls)), cls
    assert Bias().in_python and metrics.ArrayMetric(np.mean).in_python


# ---- functions of arrays


def largest(y_true, y_pred):
    return np.abs(y_true - y_pred).max()


def largest_of_rows(y_true, y_pred):
    return np.abs(y_true - y_pred).max(axis=-1)


def all_errors(y_true, y_pred):
    return np.abs(np.subtract(y_true, y_pred)[:, :])


@pytest.mark.parametrize("weighted", [False, True])
def test_functions_of_arrays_are_averaged(weighted):
    x, y = data(11)
    weights = np.random.default_rng(4).uniform(0.5, 2, 11) if weighted else None
    functions = [largest, largest_of_rows, all_errors]
    model = same("float64")
    model.compile("sgd", "mse", **{"weighted_metrics" if weighted else "metrics": functions})
    logs = model.evaluate(x, y, batch_size=4, sample_weight=weights, verbose=0, return_dict=True)
    error, w = np.abs(model.predict(x, verbose=0) - y), np.ones(11) if weights is None else weights
    parts = [slice(0, 4), slice(4, 8), slice(8, 11)]
    shares = [w[p].sum() if weighted else 1 for p in parts]  # one number of a batch counts once without weights
    wanted = {
        "largest": np.average([error[p].max() for p in parts], weights=shares),
        "largest_of_rows": np.average(error.max(axis=1), weights=w),
        "all_errors": np.average(error.mean(axis=1), weights=w),
    }
    assert list(logs) == sorted(["loss", *wanted])
    for name, value in wanted.items():
        assert logs[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("given", [None, "a", [None], 1j], ids=str)
def test_what_is_no_number_is_refused(given):
    class Own(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return given

    for metric in (metrics.ArrayMetric(lambda y_true, y_pred: given, "own"), Own()):
        model = same()
        model.compile("sgd", "mse", metrics=[metric])
        with pytest.raises(ValueError, match="'own'.* returns must hold real numbers"):
            model.fit(*data(4), verbose=0)


def test_a_function_of_one_argument_is_told_as_a_metric():
    def single(y_true):
        return y_true

    with pytest.raises(ValueError, match="The metric 'single': 'single' must take at least 2 arguments"):
        same().compile("sgd", "mse", metrics=[single])


def test_a_function_that_fails_says_why_it_is_no_formula():
    def clipped(y_true, y_pred):
        return max(y_pred - y_true, 0)

    model = same()
    model.compile("sgd", "mse", metrics=[clipped])
    with pytest.raises(ValueError, match=r"(?s)'clipped' raised ValueError.*\(4, 2\) \(targets\).*max\(\) loses NaN"):
        model.fit(*data(4), verbose=0)
    with pytest.raises(ValueError, match="A metric is a name.*received 3"):
        model.compile("sgd", "mse", metrics=[3])


# ---- what it counts in


def test_variables_are_numbers_for_numpy():
    metric = metrics.Metric(name="m")
    one, many = metric.add_weight(name="one"), metric.add_variable((3,), "ones", dtype="int32")
    assert (one.shape, one.dtype, many.dtype, many.name) == ((), "float64", "int32", "variable_1")
    one.assign_add(2.5)
    many.assign_sub([0, 1, 2])
    assert float(one) == 2.5 and one * 2 == 5 and 1 / one == 0.4 and bool(one) and int(one) == 2
    assert many.value.tolist() == [1, 0, -1] and np.sum(many) == 0 and np.sqrt(one) == pytest.approx(2.5**0.5)
    held = one
    held += 1
    assert held is one and isinstance(one, MetricVariable) and one.numpy() == 3.5
    many[1] = 7
    assert many[1] == 7 and (many > 0).tolist() == [True, True, False]
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        many.assign_add(np.ones((2, 3)))
    metric.reset_state()
    assert one.numpy() == 0 and many.value.tolist() == [0, 0, 0] and metric.variables == [one, many]


def test_a_training_that_was_broken_off_goes_on(tmp_path):
    x, y = data(24)
    weights = same().get_weights()

    class Break(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    def run(*more):
        model = same()
        model.set_weights(weights)
        model.compile("sgd", "mse", metrics=[Bias(), Percent(), "mae"])
        backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2)
        return model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False, callbacks=[backup, *more]).history

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(Break())
    assert run() == whole


def test_a_result_is_not_asked_for_before_there_is_a_batch():
    model = same()
    model.compile("sgd", "mse", metrics=[metrics.F1Score(), type("Own", (metrics.F1Score,), {"result": None})()])
    x, y = data(4)
    x[0] = np.nan
    history = model.fit(np.abs(x), np.abs(y), verbose=0, callbacks=[callbacks.TerminateOnNaN()]).history
    assert np.isnan(history["f1_score_1"]).all()


def test_a_description_gives_the_same_metric():
    again = saving.deserialize_keras_object(
        json.loads(json.dumps(metrics.serialize(Bias("mine")))), custom_objects={"Bias": Bias}
    )
    assert isinstance(again, Bias) and again.name == "mine"
    described = metrics.serialize(metrics.ArrayMetric(largest))
    with saving.custom_object_scope({"largest": largest}):
        assert metrics.deserialize(described).fn is largest
        model = same()
        model.compile("sgd", "mse", metrics=[largest])
        again = same()
        again.compile_from_config(json.loads(json.dumps(model.get_compile_config())))
        assert again.metrics_names == ["loss", "largest"]


# ---- the loss of predictions


def test_compute_loss():
    x, y = data(9)
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(2, kernel_regularizer="l2")])
    with pytest.raises(RuntimeError, match="compute_loss needs a loss, and compile was not called"):
        model.compute_loss(x, y)
    model.compile("sgd", "mse", loss_weights=3.0)
    wanted = model.evaluate(x, y, verbose=0)
    assert model.compute_loss(y=y, y_pred=model.predict(x, verbose=0)) == pytest.approx(wanted, rel=1e-6)
    assert model.compute_loss(x, y) == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match="needs y, and y_pred or x"):
        model.compute_loss(x)
    model.add(layers.ActivityRegularization(0.1))
    with pytest.raises(ValueError, match="use test_on_batch"):
        model.compute_loss(x, y)


class F1(metrics.Metric):
    """Of two metrics, as the guides of Keras write it, without a `reset_state`."""

    def __init__(self, name="f1", **more):
        super().__init__(name=name, **more)
        self.kinds = {"precision": [metrics.Precision()], "recall": metrics.Recall()}
        self.batches = fastnet.Variable(0.0)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.batches.assign_add(1.0)
        for metric in (self.kinds["precision"][0], self.kinds["recall"]):
            metric.update_state(y_true, y_pred, sample_weight)

    def result(self):
        precision, recall = self.kinds["precision"][0].result(), self.kinds["recall"].result()
        return 2 * precision * recall / (precision + recall + 1e-7)


def test_metrics_in_a_metric_start_again():
    """They went on counting from one epoch, and one `evaluate`, to the next."""
    x = np.array([[1.0], [2.0], [3.0], [-1.0]], "float32")
    y = np.array([[1.0], [0.0], [1.0], [0.0]], "float32")
    model = fastnet.Sequential([layers.Input((1,)), layers.Activation("sigmoid")])
    found = F1()
    model.compile("sgd", "mse", metrics=[found])
    for _ in range(2):
        assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(0.8, abs=1e-6)  # 2 true and 1 false positives
        assert float(found.batches) == 1 and [v.name for v in found.variables] == [
            "variable", "true_positives", "false_positives", "true_positives", "false_negatives",
        ]  # fmt: skip
        assert model.evaluate(-x, y, verbose=0)[1] == 0
    found.reset_state()
    assert not any(v.numpy().any() for v in found.variables)


def test_metrics_in_a_metric_go_on_from_what_was_saved():
    metric, other = F1(), F1()
    metric.update_state([[1], [1]], [[0.9], [0.2]])
    other.set_accumulators(metric.accumulators())
    assert other.result() == metric.result() == pytest.approx(2 / 3, abs=1e-6)
    assert float(other.batches) == 1
    empty = F1()
    other.set_accumulators(empty.accumulators())
    assert float(other.batches) == 0 and other.kinds["recall"].variables[0].numpy() == 0


def test_weights_of_a_model_are_not_a_metrics():
    class Norm(Bias):
        def __init__(self, model, name="norm"):
            super().__init__(name)
            self.weights = model.weights

    model = same()
    before, metric = model.get_weights(), Norm(model)
    metric.reset_state()
    assert len(metric.variables) == 2
    for got, want in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_metrics_that_refer_to_each_other():
    """A metric within another one may have that one, and a third one of its own."""
    outer = F1()
    inner = outer.kinds["recall"]
    inner.owner, inner.further = outer, {"f1": F1()}
    outer.update_state([[1], [1]], [[0.9], [0.2]])
    inner.further["f1"].update_state([[1]], [[0.9]])
    copied = F1()
    copied.kinds["recall"].further = [F1()]
    copied.set_accumulators(outer.accumulators())
    assert copied.result() == outer.result() == pytest.approx(2 / 3, abs=1e-6)
    assert copied.kinds["recall"].further[0].result() == pytest.approx(1, abs=1e-6)
    assert len(outer.parts) == 5 and len(outer.variables) == 10
    outer.reset_state()
    assert not any(v.numpy().any() for v in outer.variables)
