"""Calls with arrays of the shapes of the call before, which skip what follows from shapes: `session.repeated`."""

import sys
import threading

import numpy as np
import pytest
from fastnet._arrays import kind_of

import fastnet
from fastnet import layers

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(5, 3)).astype("float32"), RNG.normal(size=(5, 2)).astype("float32")
EPS = 1e-6  # of float32, for sums of three


def network(loss="mse", last=None):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2), *([last] if last else [])])
    model.compile(fastnet.optimizers.SGD(0.1), loss)
    return model


def expected(model, x):
    kernel, bias = (w.astype(float) for w in model.get_weights())
    return np.asarray(x, float) @ kernel + bias


@pytest.mark.parametrize("rows", [1, 5, 7])
@pytest.mark.parametrize("predict", ["predict", "predict_on_batch", "__call__"])
def test_predictions_of_other_values(rows, predict):
    model = network()
    for k in range(3):
        x = (np.ones((rows, 3)) * [1, 2, 3] + k).astype("float32")
        assert np.allclose(getattr(model, predict)(x), expected(model, x), atol=10 * EPS)


def test_each_result_is_another_array():
    model = network()
    first = model.predict_on_batch(X)
    values = first.copy()
    assert model.predict_on_batch(2 * X) is not first and np.array_equal(first, values)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("float64"), lambda x: x.astype(">f4"), lambda x: x.tolist(),
        lambda x: np.repeat(x, 2, 0)[::2], lambda x: np.asfortranarray(x), lambda x: x[:2], lambda x: x[:0],
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
    ],
    ids=["float64", "big-endian", "list", "rows apart", "Fortran", "fewer rows", "no rows", "backwards"],
)  # fmt: skip
def test_the_same_data_in_another_form(change):
    model = network()
    values = model.predict_on_batch(X)
    x = change(X)
    for _ in range(2):
        assert np.array_equal(model.predict_on_batch(x), values[: len(x)])
        assert np.array_equal(model.predict_on_batch(X), values)


def test_changes_between_two_calls_count():
    model = network(last=layers.LeakyReLU(0.5))
    y = expected(model, X)
    for activation, values in ((None, y), ("relu", np.maximum(y, 0)), (None, y)):
        model.layers[0].activation = activation
        assert np.allclose(model.predict_on_batch(X), np.where(values > 0, values, values / 2), atol=EPS)
    model.pop()
    model.add(layers.LeakyReLU(0.125))  # changed as often as the one that was removed
    assert np.allclose(model.predict_on_batch(X), np.where(y > 0, y, y / 8), atol=EPS)
    model.set_weights([2 * w for w in model.get_weights()])
    assert np.allclose(model.predict_on_batch(X), np.where(y > 0, 2 * y, y / 4), atol=2 * EPS)


def steps(model, calls=3):
    """SGD on the mean squared error, computed in float64: the losses before each step, and the weights."""
    (kernel, bias), losses = (w.astype(float) for w in model.get_weights()), []
    for _ in range(calls):
        error = X @ kernel + bias - Y
        losses.append(np.mean(error**2))
        kernel, bias = kernel - 0.1 * X.T @ error * 2 / error.size, bias - 0.1 * error.sum(0) * 2 / error.size
    return losses, [kernel, bias]


def test_steps_in_a_row():
    model = network()
    losses, weights = steps(model)
    assert np.allclose([model.train_on_batch(X, Y) for _ in range(3)], losses, rtol=10 * EPS)
    assert all(np.allclose(*pair, atol=10 * EPS) for pair in zip(model.get_weights(), weights))
    model.optimizer = fastnet.optimizers.SGD(0.0)
    before = model.get_weights()
    model.train_on_batch(X, Y)
    assert all(map(np.array_equal, model.get_weights(), before))


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 2)])
def test_steps_with_weights(shape):
    model = network()
    for _ in range(3):
        weights = RNG.random(shape).astype("float32")
        spread = np.broadcast_to(weights.reshape(5, -1), (5, 2)).astype(float)
        wanted = np.mean(spread * (expected(model, X) - Y) ** 2)
        assert np.isclose(model.train_on_batch(X, Y, weights), wanted, rtol=10 * EPS)
        assert np.isfinite(model.train_on_batch(X, Y))
    with pytest.raises(ValueError, match="cannot be given both"):
        model.train_on_batch(X, Y, weights, class_weight={0: 1.0})
    weights[3] = np.nan
    with pytest.raises(ValueError, match="sample_weight must be finite; it is nan in row 3"):
        model.train_on_batch(X, Y, weights)


def test_steps_on_a_gradient():
    model, of_loss = network(), network()
    of_loss.set_weights(model.get_weights())
    for _ in range(3):
        gradient = 2 * (model.predict_on_batch(X) - Y) / Y.size
        through = model.train_on_gradient(X, gradient, input_gradient=True)
        kernel = of_loss.get_weights()[0]
        of_loss.train_on_batch(X, Y)
        assert np.allclose(through, gradient @ kernel.T, atol=EPS)
        assert all(np.allclose(*pair, atol=EPS) for pair in zip(model.get_weights(), of_loss.get_weights()))


def test_values_are_checked_each_time():
    model = network("sparse_categorical_crossentropy", layers.Softmax())
    labels = np.zeros(5, np.int64)
    model.train_on_batch(X, labels)
    before = model.get_weights()
    with pytest.raises(ValueError, match="needs labels from 0 to 1"):
        model.train_on_batch(X, labels + 2)
    with pytest.raises(ValueError, match="same number of samples"):
        model.train_on_batch(X, labels[:4])
    with pytest.raises(fastnet.NonFiniteError, match="row 2"):
        model.train_on_batch(np.where(np.arange(5)[:, None] == 2, np.nan, X).astype("float32"), labels)
    assert all(map(np.array_equal, model.get_weights(), before))
    assert np.isfinite(model.train_on_batch(X, labels))


def test_data_are_checked_each_time():
    model = fastnet.Sequential([layers.Input((2,)), layers.CategoryEncoding(4), layers.Dense(2)])
    model.compile("sgd", "mse")
    good = np.zeros((5, 2), np.int64)
    for _ in range(2):
        assert model.predict_on_batch(good).shape == (5, 2)
    with pytest.raises(ValueError, match="from 0 to 3"):
        model.predict_on_batch(good + 4)


def test_arrays_are_not_kept():
    model, x, gradient = network(), X.copy(), np.zeros_like(Y)
    for _ in range(2):
        model.predict_on_batch(x)
        model.train_on_batch(x, gradient)
        model.train_on_gradient(x, gradient)
    assert sys.getrefcount(x) == sys.getrefcount(gradient) == 2


def test_as_many_calls_as_plans_are_kept():
    model = network()
    for rows in range(1, 30):
        assert model.predict_on_batch(np.zeros((rows, 3), "float32")).shape == (rows, 2)
    assert len(model._trainer.plans.recent) == 8 == len(model._trainer.plans.free)


def test_calls_of_several_threads():
    model, faults = network(), []
    inputs = [np.full((5, 3), k, "float32") for k in range(4)]
    wanted = [model.predict_on_batch(x) for x in inputs]

    def work(k):
        for _ in range(300):
            if not np.array_equal(model.predict_on_batch(inputs[k]), wanted[k]):
                faults.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_plan_of_a_call_within_another_is_not_taken_for_its_larger_batches():
    model, inner = network(), []
    within = fastnet.callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: inner.append(model.predict(iter([X]), verbose=0))
    )
    larger = np.concatenate([X, 2 * X, 3 * X, 4 * X])
    found = model.predict(iter([X, larger]), verbose=0, callbacks=[within])
    assert len(inner) == 2 and np.allclose(found, expected(model, np.concatenate([X, larger])), atol=10 * EPS)
    assert {key[1]: len(plans) for key, plans in model._trainer.plans.free.items()} == {5: 2, 20: 1}


def test_kinds_of_arrays():
    a = np.zeros((2, 3), "float32")
    assert kind_of((a,)) == kind_of((a + 1,)) is not None
    others = [a.astype("int32"), a.astype("uint32"), a.astype("float64"), a.T.copy(), a[None], a.ravel()]
    assert len({kind_of((each,)) for each in [a, *others]}) == 7
    assert kind_of((a, a)) not in (None, kind_of((a,)))
    no_kind = [a.T, a[:, :2], a.astype(">f4"), np.float32(1), np.array(1.0), [1.0], None, a.astype(complex)]
    no_kind += [np.zeros(2, "datetime64[s]"), np.zeros((1,) * 32), a.view(np.ma.MaskedArray)]
    assert [kind_of((each,)) for each in no_kind] == [None] * len(no_kind)
    assert kind_of((np.zeros((1,) * 16),) * 2) is None  # more axes than fit
