"""A subclass's train_step and test_step that wrap those of Sequential."""

import itertools

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((11, 3)).astype("f"), RNG.standard_normal((11, 2)).astype("f")


class Watching(fastnet.Sequential):
    """Keeps what its steps see, and adds to the logs."""

    def train_step(self, data):
        logs = super().train_step(data)
        self.__dict__.setdefault("seen", []).append((data, dict(logs)))
        return {**logs, "rows": len(data[0])}

    def test_step(self, data):
        logs = super().test_step(data)
        return {"rows": len(data[0]), **logs}


def made(cls=Watching, **compiled):
    model = cls([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)], seed=1)
    model.compile(fastnet.optimizers.SGD(0.1, momentum=0.9), "mse", **{"metrics": ["mae"], **compiled})
    return model


def batches(*lengths):
    ends = np.cumsum([0, *lengths])
    return [(X[a:b], Y[a:b]) for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("data", [(X, Y), (batches(4, 4, 3), None)], ids=["arrays", "batches"])
def test_training_is_that_of_sequential(data):
    plain, own = made(fastnet.Sequential), made()
    histories = [model.fit(*data, batch_size=4, epochs=2, verbose=0, validation_data=(X, Y)) for model in (plain, own)]
    wanted, got = (history.history for history in histories)
    assert got["rows"] == [3, 3] and got["val_rows"] == [3, 3]  # of the last batch
    assert {name: got[name] for name in wanted} == wanted
    for a, b in zip(plain.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    shown = [data for data, _ in own.seen]
    assert [len(batch[0]) for batch in shown] == [4, 4, 3] * 2
    order = np.concatenate([batch[0] for batch in shown[:3]])
    assert sorted(map(tuple, order)) == sorted(map(tuple, X))
    for x, y in shown:
        rows = [int(np.argwhere((X == row).all(1))[0][0]) for row in x]
        np.testing.assert_array_equal(y, Y[rows])  # targets stay with their rows


def test_logs_are_those_so_far_and_callbacks_see_the_method_s():
    model, seen = made(), []
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    model.fit(X, Y, batch_size=4, verbose=0, shuffle=False, callbacks=[watch])
    assert [logs["rows"] for logs in seen] == [4, 4, 3]
    assert [{k: v for k, v in logs.items() if k != "rows"} for logs in seen] == [logs for _, logs in model.seen]
    again = made(fastnet.Sequential)
    singles = [again.train_on_batch(x, y, return_dict=True) for x, y in batches(4, 4, 3)]
    for k in range(3):
        losses = np.average([s["loss"] for s in singles[: k + 1]], weights=[4, 4, 3][: k + 1])
        assert seen[k]["loss"] == pytest.approx(losses)


def test_batches_weights_and_evaluation():
    model, weights = made(weighted_metrics=["mse"]), RNG.uniform(0, 2, 11)
    logs = model.train_on_batch(X, Y, sample_weight=weights, return_dict=True)
    assert logs["rows"] == 11 and len(model.seen[0][0]) == 3
    np.testing.assert_array_equal(model.seen[0][0][2], weights)
    for k in (2, 3):  # with the shapes and dtypes of the call before
        assert model.train_on_batch(k * X, Y, weights.astype("f"), return_dict=True)["rows"] == 11
        np.testing.assert_array_equal(model.seen[-1][0][0], k * X)
    assert model.test_on_batch(X, Y, return_dict=True)["rows"] == 11
    assert model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)["rows"] == 3
    plain = made(fastnet.Sequential, weighted_metrics=["mse"])
    plain.set_weights(model.get_weights())
    wanted = plain.evaluate(X, Y, verbose=0, return_dict=True)
    got = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted)
    assert plain.test_step((X, Y)) == wanted  # called by itself
    assert model.test_step((X, Y)) == {"rows": 11, **wanted}
    before = plain.get_weights()[0]
    assert plain.train_step((X, Y, weights))["loss"] > 0 and not np.array_equal(plain.get_weights()[0], before)


def test_changed_numbers_of_the_same_logs_are_the_metrics_as_in_keras():
    class Doubling(fastnet.Sequential):
        def train_step(self, data):
            return {name: 2 * value for name, value in super().train_step(data).items()}

    histories = [made(cls).fit(X, Y, verbose=0, shuffle=False).history for cls in (Doubling, fastnet.Sequential)]
    assert histories[0] == histories[1]


def wrong(name):
    class Changing(fastnet.Sequential):
        def train_step(self, data):
            if name == "other data":
                return super().train_step((data[0] * 2, data[1]))
            if name == "one item":
                return super().train_step(data[0])
            if name == "twice":
                super().train_step(data)
            if name == "never":
                return {}
            logs = super().train_step(data)
            return None if name == "no logs" else logs

    return Changing


WRONG = {
    "other data": (ValueError, r"Changing.train_step must give super\(\).train_step the data that it was given"),
    "one item": (ValueError, "the data that it was given"),
    "twice": (RuntimeError, "twice for one batch"),
    "never": (RuntimeError, r"did not call super\(\).train_step\(data\)"),
    "no logs": (TypeError, "must return a dictionary of logs.*returned None"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_step_must_not_do_is_explained(name):
    kind, message = WRONG[name]
    model = made(wrong(name))
    for train in (lambda: model.fit(X, Y, verbose=0), lambda: model.train_on_batch(X, Y)):
        with pytest.raises(kind, match=message):
            train()
    made().fit(X, Y, verbose=0)  # nothing stays behind in the thread


def test_an_error_of_the_step_and_a_loss_that_is_not_finite():
    class Failing(fastnet.Sequential):
        def train_step(self, data):
            super().train_step(data)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        made(Failing).fit(X, Y, verbose=0)
    model = made()
    before = model.get_weights()
    with pytest.raises(fastnet.NonFiniteError):
        model.fit(np.where(np.arange(11)[:, None] == 2, np.nan, X), Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_arguments_are_refused_as_before():
    class OfJax(fastnet.Sequential):
        def train_step(self, state, data):
            return super().train_step(state, data)

    with pytest.raises(TypeError, match=r"OfJax defines train_step, which .* A method \(self, data\) may wrap"):
        made(OfJax)
