"""Metrics whose `update_state` is array code: counted in the step, with the numbers of the same class on arrays."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers, metrics, ops, testing
from tests import part_cases as cases

CLASSES = cases.metrics_of(fastnet, ops)


def model_of(metric, weighted=False, dtype="float64", features=3, **options):
    """A network that hands its input on, but has a weight."""
    identity = layers.Dense(features, use_bias=False, kernel_initializer="identity", dtype=dtype)
    model = fastnet.Sequential([layers.Input((features,), dtype=dtype), identity])
    given = {"weighted_metrics" if weighted else "metrics": [metric]}
    model.compile(fastnet.optimizers.SGD(0.0), "mse", **given, **options)
    return model


def data(rows, features=3, dtype="float64"):
    rng = np.random.default_rng(rows)
    x, y = rng.uniform(size=(rows, features)), rng.integers(0, 2, (rows, features))
    return x.astype(dtype), y.astype(dtype), rng.uniform(0.5, 2, rows)


def on_arrays(metric, x, y, batch, weights=None):
    """The metric of batches, by its class alone."""
    metric.reset_state()
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        metric.update_state(y[part], x[part], **({} if weights is None else {"sample_weight": weights[part]}))
    return float(metric.result())


@pytest.mark.parametrize("rows, batch", [(19, 8), (1, 1), (7, 7), (300, 299)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_the_numbers_of_the_class_on_arrays(name, weighted, rows, batch):
    x, y, w = data(rows)
    model, w = model_of(CLASSES[name](name="m"), weighted), w if weighted else None
    found = model.evaluate(x, y, batch, sample_weight=w, verbose=0, return_dict=True)["m"]
    assert found == pytest.approx(on_arrays(CLASSES[name](), x, y, batch, w), rel=1e-12)
    again = model.evaluate(x, y, batch, sample_weight=w, verbose=0, return_dict=True)["m"]
    assert again == found


@pytest.mark.parametrize("name", CLASSES)
def test_in_float32_sums_are_float64(name):
    x, y, _ = data(4000, dtype="float32")
    model = model_of(CLASSES[name](name="m"), dtype="float32")
    found = model.evaluate(x, y, 37, verbose=0, return_dict=True)["m"]
    wanted = on_arrays(CLASSES[name](), x.astype("float64"), y.astype("float64"), 37)
    assert found == pytest.approx(wanted, rel=2e-7)


def counting(calls):
    """A metric that notes each call in a list that is none of its own."""

    class Counting(CLASSES["Determination"]):
        def update_state(self, y_true, y_pred, sample_weight=None):
            calls.append(type(y_pred).__name__)
            super().update_state(y_true, y_pred, sample_weight)

    return Counting


def test_it_is_called_when_a_step_is_planned():
    calls = []
    model = model_of(counting(calls)())
    x, y, _ = data(40)
    history = model.fit(x, y, batch_size=4, epochs=3, validation_data=(x[:10], y[:10]), verbose=0).history
    assert calls == ["SymbolicArray"] * 4  # twice in the plan of training, and in that of validation
    for name, rows in (("determination", 40), ("val_determination", 10)):
        wanted = on_arrays(CLASSES["Determination"](), x[:rows], y[:rows], 4)
        np.testing.assert_allclose(history[name], [wanted] * 3, rtol=1e-12)


def test_its_variables_and_its_result_are_those_of_the_last_pass():
    metric = CLASSES["ColumnErrors"]()
    x, y, _ = data(19)
    model = model_of(metric)
    found = model.evaluate(x, y, 8, verbose=0, return_dict=True)["column_errors"]
    np.testing.assert_allclose(metric.sums.numpy(), np.abs(x - y).sum(axis=0), rtol=1e-12)
    assert float(metric.rows) == 19 and float(metric.result()) == found


def test_nan_and_what_follows_it():
    x, y, _ = data(9)
    x[4, 1] = np.nan
    for name in CLASSES:
        model = model_of(CLASSES[name](name="m"))
        found = model.test_on_batch(x, y, return_dict=True)["m"]
        predictions = model.predict(x, verbose=0)
        assert np.isnan(predictions[4]).all()  # a product with NaN
        np.testing.assert_allclose(found, on_arrays(CLASSES[name](), predictions, y, 9))
        assert np.isnan(found) == ("TruePositives" not in name)


def test_a_training_that_is_resumed(tmp_path):
    class Stop(Exception):
        pass

    def stop(batch, logs=None):
        if batch == 3:
            raise Stop

    x, y, _ = data(40)
    results = []
    for interrupted in (False, True):
        model = model_of(CLASSES["Smoothed"]())
        backup = callbacks.BackupAndRestore(tmp_path / str(interrupted), save_freq=2)
        if interrupted:
            stopping = callbacks.LambdaCallback(on_train_batch_end=stop)
            with pytest.raises(Stop):
                model.fit(x, y, 8, 2, shuffle=False, verbose=0, callbacks=[backup, stopping])
            model = model_of(CLASSES["Smoothed"]())
        results.append(model.fit(x, y, 8, 2, shuffle=False, verbose=0, callbacks=[backup]).history["smoothed"][0])
    assert results[0] == results[1]


def test_a_copy_of_a_model():
    model = model_of(CLASSES["Determination"]())
    x, y, _ = data(19)
    assert copy.deepcopy(model).evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_an_argument_stays():
    metric = CLASSES["Smoothed"](0.5)
    model = model_of(metric)
    model.evaluate(*data(5)[:2], verbose=0)
    with pytest.raises(ValueError, match="'smoothed': rate is 0.5 and stays so, since a model counts it"):
        metric.rate = 0.1


# ---- what is shown each batch instead


class Shown(metrics.Metric):
    """A metric of the mean error, with something that an array of symbols does not have."""

    def __init__(self, way, **more):
        super().__init__(name="m", **more)
        self.way, self.calls, self.seen, self.table = way, 0, [], np.zeros(2)
        self.total, self.rows = self.add_weight(name="total"), self.add_weight(name="rows")
        self.sums = self.add_weight((2, 2), name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.way == "an attribute":
            self.calls += 1
        elif self.way == "a list":
            self.seen.append(1)
        elif self.way == "an array":
            self.table[0] += 1
        elif self.way == "if" and ops.sum(y_pred) < 0:
            return
        elif self.way == "a number":
            float(ops.sum(y_pred))
        elif self.way == "numpy":
            np.sort(y_pred)
        elif self.way == "random numbers":
            y_pred = y_pred + 0 * np.random.default_rng().normal()
        elif self.way == "others":
            self.rows.assign(self.rows + 0 * self.total)
        elif self.way == "the batch's largest":
            self.sums[0, 0] = ops.max(y_pred)
        elif self.way == "a sum that there is no loop for":
            self.total.assign_add(0 * ops.sum(ops.cumsum(ops.sum(y_pred, axis=0), axis=-1)))
        elif self.way == "a value":
            self.total.assign(self.total.numpy() + 0)
        elif self.way == "memory":
            self.sums.array[...] += 1
        self.total.assign_add(ops.sum(ops.abs(y_true - y_pred)))
        self.rows.assign_add(1.0 * len(y_pred) if self.way == "len" else ops.cast(ops.shape(y_pred)[0], "float64"))

    def result(self):
        return self.total / self.rows


WAYS = [
    *("an attribute", "a list", "an array", "if", "a number", "numpy", "others", "the batch's largest"),
    *("a sum that there is no loop for", "a value", "memory", "len"),
]


@pytest.mark.parametrize("way", ["", *WAYS])
def test_what_is_no_array_code_is_shown_each_batch(way):
    metric = Shown(way)
    model = model_of(metric)
    x, y, _ = data(19)
    found = model.evaluate(x, y, 8, verbose=0, return_dict=True)["m"]
    assert found == pytest.approx(np.abs(x - y).sum() / 19, rel=1e-12)
    assert model.metrics[0].is_counted == (way == "")
    assert (metric.calls, len(metric.seen), metric.table[0]) == tuple(
        3 * (way == each) for each in ("an attribute", "a list", "an array")
    )


@pytest.mark.parametrize("given", ["labels", "mask"])
def test_with_labels_and_masks_it_is_shown_each_batch(given):
    calls = []

    class Noted(metrics.Metric):
        masked = True

        def update_state(self, y_true, y_pred, sample_weight=None):
            calls.append((type(y_pred).__name__, None if sample_weight is None else sample_weight.tolist()))
            self.total.assign_add(ops.sum(y_pred))

        def result(self):
            return self.total

    metric = Noted(name="m")
    metric.total = metric.add_weight(name="total")
    if given == "labels":
        model = fastnet.Sequential([layers.Input((3,)), layers.Softmax()])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metric])
        model.test_on_batch(np.ones((4, 3)), np.array([0, 1, 2, 1]))
        assert calls == [("ndarray", None)]
    else:
        model = fastnet.Sequential([layers.Input((2, 3)), layers.Masking(), layers.Activation("linear")])
        model.compile("sgd", "mse", metrics=[metric])
        model.test_on_batch(np.array([[[1.0] * 3, [0.0] * 3]]), np.ones((1, 2, 3)))
        assert calls == [("ndarray", [[1.0, 0.0]])]


def test_with_random_numbers_it_is_shown_each_batch():
    calls = []

    class Random(CLASSES["Determination"]):
        def update_state(self, y_true, y_pred, sample_weight=None):
            calls.append(type(y_pred))
            super().update_state(y_true, y_pred * np.random.default_rng().normal())

    x, y, _ = data(19)
    model_of(Random()).evaluate(x, y, 8, verbose=0)
    assert calls[2:] == [np.ndarray] * 3


@pytest.mark.slow
def test_on_a_gpu():
    x, y, w = data(23, dtype="float32")
    found = {}
    with testing.machine_gpu():
        for device in ("cpu", "cuda"):
            for name, cls in CLASSES.items():
                model = model_of(cls(name="m"), True, "float32", device=device)
                logs = model.evaluate(x, y, 9, sample_weight=w, verbose=0, return_dict=True)
                found.setdefault(name, []).append(logs["m"])
    for name, (on_cpu, on_gpu) in found.items():
        assert on_cpu == on_gpu, name
