"""NaN and infinity: seen at the step, named, and the last good weights kept."""

import re

import numpy as np
import pytest

import fastnet
from fastnet import NonFiniteError, layers

from .oracles import same

BATCH = 4


def data(n=40):
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.normal(size=(n, 2)).astype(np.float32)


def network(optimizer="adam", normalized=True):
    fastnet.utils.set_random_seed(11)
    middle = [layers.BatchNormalization()] if normalized else []
    model = fastnet.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(6, name="first"),
            *middle,
            layers.Activation("relu"),
            layers.Dense(2, name="last"),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def stopped_after(steps, *arguments, epochs=1, callbacks=(), **more):
    """Weights of the same training after so many steps, looked at by a callback."""

    class Look(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == steps:
                weights.extend(self.model.get_weights())
                self.model.stop_training = True

    weights = []
    model = network(**more)
    if steps == 0:
        return model.get_weights()
    callbacks = [*callbacks, Look()]
    model.fit(*arguments, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return weights


def is_usable(model):
    assert np.isfinite(model.predict(data()[0])).all()
    model.optimizer.learning_rate = 1e-3
    history = model.fit(*data(), batch_size=BATCH, epochs=2, verbose=0)
    return np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 5, 22, 39])
@pytest.mark.parametrize("hooks", [False, True])
def test_data(value, row, hooks):
    x, y = data()
    bad = x.copy()
    bad[row, 1] = value
    callbacks = [fastnet.callbacks.Callback()]
    if hooks:
        callbacks[0].on_train_batch_end = lambda batch, logs=None: None
    model = network()
    step = row // BATCH
    with pytest.raises(NonFiniteError, match=rf"(?s)^Step {step + 1}: .*row {row} of x holds NaN or infinity"):
        model.fit(bad, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks)
    # All weights: BatchNormalization's moving averages are among them.
    assert same(model.get_weights(), stopped_after(step, x, y))
    assert model.optimizer.iterations == step
    assert is_usable(model)


def test_data_of_a_shuffled_epoch():
    x, y = data()
    x[17] = np.nan
    model = network()
    with pytest.raises(NonFiniteError, match="row 17 of x"):
        model.fit(x, y, batch_size=BATCH, verbose=0)
    assert is_usable(model)


def test_data_in_a_later_epoch_goes_on_exactly_from_there():
    # The bad row is made good again: training continues as if nothing had happened.
    class Break(fastnet.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                bad[9, 0] = np.nan

    x, y = data()
    bad = x.copy()
    model = network()
    with pytest.raises(NonFiniteError, match="Step 23: .*row 9 of x"):
        model.fit(bad, y, batch_size=BATCH, epochs=3, shuffle=False, verbose=0, callbacks=[Break()])
    assert same(model.get_weights(), stopped_after(22, x, y, epochs=3))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets(value):
    x, y = data()
    bad = y.copy()
    bad[13, 1] = value
    model = network()
    with pytest.raises(NonFiniteError, match="Step 4: .*row 13 of y holds NaN or infinity"):
        model.fit(x, bad, batch_size=BATCH, shuffle=False, verbose=0)
    assert same(model.get_weights(), stopped_after(3, x, y))
    assert is_usable(model)


def test_one_batch():
    x, y = data()
    model = network()
    model.train_on_batch(x[:8], y[:8])
    before, steps = model.get_weights(), model.optimizer.iterations
    bad = x[8:16].copy()
    bad[3, 2] = np.nan
    with pytest.raises(NonFiniteError, match="Step 2: .*row 3 of x"):
        model.train_on_batch(bad, y[8:16])
    assert same(model.get_weights(), before) and model.optimizer.iterations == steps
    # And goes on as a model that never met the batch.
    other = network()
    other.train_on_batch(x[:8], y[:8])
    for m in (model, other):
        m.train_on_batch(x[8:16], y[8:16])
    assert same(model.get_weights(), other.get_weights())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_nothing_is_trained(optimizer):
    """No launch is left out then: the step was done, and is taken back."""
    x, y = data()
    model = network(optimizer)
    model.trainable = False
    model.fit(x, y, batch_size=BATCH, verbose=0)
    before, steps = model.get_weights(), model.optimizer.iterations
    x[13, 2] = np.nan
    with pytest.raises(NonFiniteError, match=f"Step {steps + 4}: .*row 13 of x") as caught:
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    assert caught.value.batch == 3 and model.optimizer.iterations == steps + 3
    with pytest.raises(NonFiniteError, match=f"Step {steps + 4}: .*row 1 of x"):
        model.train_on_batch(x[12:16], y[12:16])
    with pytest.raises(NonFiniteError, match=f"Step {steps + 4}: .*row 1 of x"):
        model.profile(x[12:16], y[12:16], seconds=0.0)
    assert model.optimizer.iterations == steps + 3 and same(model.get_weights(), before)
    model.evaluate(x, y, verbose=0)
    assert np.isnan(model.predict(x[13:14], verbose=0)).all()


@pytest.mark.parametrize("trained_before", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_were_set_so(trained_before, value):
    x, y = data()
    model = network()
    if trained_before:
        model.fit(x, y, batch_size=BATCH, verbose=0)
    weights = model.get_weights()
    weights[0][1, 2] = value
    model.set_weights(weights)
    steps = model.optimizer.iterations
    with pytest.raises(NonFiniteError, match=f"Step {steps + 1}: first/kernel .*anew"):
        model.fit(x, y, batch_size=BATCH, verbose=0)
    # The user's numbers stay, bad as they are.
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    weights[0][1, 2] = 0
    model.set_weights(weights)
    assert is_usable(model)


def test_a_layers_weight_set_so():
    model = network()
    model.fit(*data(), verbose=0)
    model.get_layer("last").set_weights([np.full((6, 2), np.nan), np.zeros(2)])
    with pytest.raises(NonFiniteError, match="last/kernel"):
        model.train_on_batch(*data())
    assert np.isnan(model.get_layer("last").get_weights()[0]).all()


def test_a_result_that_overflows_names_its_layer():
    model = network(normalized=False)
    weights = model.get_weights()
    weights[0][...], weights[1][...] = 3e38, 0
    model.set_weights(weights)
    with pytest.raises(NonFiniteError, match=r"Step 1: .*first layer whose result is not finite is 'first' \(Dense\)"):
        model.fit(np.abs(data()[0]) + 2, data()[1], verbose=0)
    assert same(model.get_weights(), weights)


def test_a_loss_that_overflows():
    model = network(normalized=False)
    x, y = data()
    before = model.get_weights()
    with pytest.raises(NonFiniteError, match="Step 1: .*the loss itself overflowed"):
        model.fit(x, y + np.float32(1e30), verbose=0)
    assert same(model.get_weights(), before)


@pytest.mark.parametrize("y", [np.zeros(40, int), np.eye(3)[[0] * 40]], ids=["sparse", "dense"])
def test_a_loss_of_probabilities_without_any(y):
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(3, kernel_initializer="zeros")])
    model.compile("sgd", "sparse_categorical_crossentropy" if y.ndim == 1 else "categorical_crossentropy")
    with pytest.raises(NonFiniteError, match=r"not defined for what the last one gives.*softmax.*from_logits=True"):
        model.fit(np.ones((40, 2)), y, verbose=0)


def overflowing():
    """A model whose weights leave float32's range after a few steps of an epoch."""
    return network(optimizer=fastnet.optimizers.SGD(1e4), normalized=False)


def test_a_gradient_that_overflows_in_fit():
    x, y = data(400)
    model = overflowing()
    with pytest.raises(NonFiniteError, match="smaller learning rate|Step") as caught:
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    step = int(re.match(r"Step (\d+):", str(caught.value))[1])
    assert step == model.optimizer.iterations + 1 > 1
    arguments = {"optimizer": fastnet.optimizers.SGD(1e4), "normalized": False}
    good = network(**arguments)
    for i in range(step - 1):
        good.train_on_batch(x[i * BATCH : (i + 1) * BATCH], y[i * BATCH : (i + 1) * BATCH])
    assert same(model.get_weights(), good.get_weights())
    assert np.isfinite(np.concatenate([w.ravel() for w in model.get_weights()])).all()


def test_a_weight_that_overflows_in_fit_is_found_at_its_step():
    # A finite loss whose gradient is not: the update breaks the weights, and the next step's loss tells.
    class Jump(fastnet.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 3e38 if batch == 6 else 0.01

    x, y = data()
    model = network(optimizer="sgd")
    with pytest.raises(NonFiniteError, match="overflowed"):
        model.fit(x, y * 100, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[Jump()])
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert model.optimizer.iterations <= 6
    model.optimizer.learning_rate = 0.01
    assert is_usable(model)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_overflow_of_the_last_step_is_seen(steps):
    x, y = data(BATCH * steps)
    y *= np.float32(1e18)
    model = network(optimizer=fastnet.optimizers.SGD(1e30), normalized=False)
    with pytest.raises(NonFiniteError):
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert model.optimizer.iterations < steps


def test_what_a_smaller_learning_rate_does_not_help():
    """The derivative of a root at 0: the first step breaks the weights with any rate. Data beyond float32 do too."""

    def root(y_true, y_pred):
        return abs(y_pred - y_true) ** 0.5

    x = np.ones((8, 1), "float32")
    for loss, y, batch, wanted in (
        (root, x, 2, "Step 1: a gradient is not finite.*A smaller learning rate does not help"),
        (root, x, 8, "or a derivative is not defined"),  # the last step of an epoch cannot be repeated
        ("mse", x * 1e30, 8, r"the loss itself overflowed\. Scale the data"),
        ("mse", x * 3, 2, "Try a smaller learning rate"),
    ):
        model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(fastnet.optimizers.SGD(1e38 if loss == "mse" else 0.01), loss)
        with pytest.raises(NonFiniteError, match=wanted):
            model.fit(x, y, batch, epochs=2, verbose=0)
        assert all(np.isfinite(w).all() for w in model.get_weights())


def test_an_overflow_after_many_epochs_keeps_finite_weights_and_an_honest_step():
    class Jump(fastnet.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 30:
                self.model.optimizer.learning_rate = 1e38

    model = network(optimizer="sgd")
    x, y = data()
    with pytest.raises(NonFiniteError) as caught:
        model.fit(x, y, batch_size=BATCH, epochs=40, shuffle=False, verbose=0, callbacks=[Jump()])
    told = re.search(r"The weights are those before (?:this )?step ?(\d*)", str(caught.value))
    assert told
    kept = model.optimizer.iterations
    assert kept <= 310 and (not told[1] or int(told[1]) == kept + 1)
    assert same(model.get_weights(), stopped_after(kept, x, y, epochs=40, callbacks=[Jump()], optimizer="sgd"))


def test_evaluation_tells_nan_and_goes_on():
    x, y = data()
    x[3] = np.nan
    model = network()
    before = model.get_weights()
    assert np.isnan(model.evaluate(x, y, verbose=0)).all()
    assert np.isnan(model.predict(x)[3]).all() and np.isfinite(np.delete(model.predict(x), 3, 0)).all()
    assert same(model.get_weights(), before)


def test_relu_keeps_nan():
    x = np.array([[np.nan], [-1], [np.inf], [-np.inf], [2]], np.float32)
    result = fastnet.Sequential([layers.Input((1,)), layers.ReLU()]).predict(x)
    np.testing.assert_array_equal(result, [[np.nan], [0], [np.inf], [0], [2]])


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 1e300])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_data_that_an_activation_would_hide(activation, bad, layout):
    """tanh(inf) is 1 and the loss finite, but the gradient of the weights is inf; 1e300 is infinite as a float32."""
    fastnet.utils.set_random_seed(2)
    x, y = data()
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(5, activation=activation), layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
    before, done = model.get_weights(), model.optimizer.iterations
    broken = np.array(x, np.float64, order=layout)
    broken[BATCH - 1, 1] = bad
    with pytest.raises(NonFiniteError, match=rf"^Step {done + 1}: .*row {BATCH - 1} of x holds NaN or infinity"):
        model.fit(broken, y, batch_size=BATCH, shuffle=False, verbose=0)
    with pytest.raises(NonFiniteError, match=rf"^Step {done + 1}: .*row {BATCH - 1} of x holds NaN or infinity"):
        model.train_on_batch(broken[:BATCH], y[:BATCH])
    assert same(model.get_weights(), before) and model.optimizer.iterations == done
    assert is_usable(model)


def test_steps_are_repeated_with_the_learning_rates_they_had():
    class Rates(fastnet.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 3e38 if batch == 6 else 0.01 * (1 + batch)

    x, y = data()
    y *= 100
    model = network(optimizer="sgd", normalized=False)
    with pytest.raises(NonFiniteError, match="Step 7: a gradient overflowed"):
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[Rates()])
    assert model.optimizer.iterations == 6
    expected = stopped_after(6, x, y, callbacks=[Rates()], optimizer="sgd", normalized=False)
    assert same(model.get_weights(), expected)


def test_no_epochs_change_nothing():
    model = network()
    model.fit(*data(), batch_size=BATCH, verbose=0)
    mine = [np.full_like(w, np.nan) for w in model.get_weights()]
    model.set_weights(mine)
    done = model.optimizer.iterations
    model.fit(*data(), epochs=0, verbose=0)
    assert all(np.isnan(w).all() for w in model.get_weights()) and model.optimizer.iterations == done


def test_profile_names_the_step_and_the_row():
    x, y = data()
    x[4 * BATCH + 1, 0] = np.nan
    model = network()
    with pytest.raises(NonFiniteError, match=rf"^Step 5: .*row {4 * BATCH + 1} of x"):
        model.profile(x, y, batch_size=BATCH, seconds=0.01)
    assert model.optimizer.iterations == 4
    for seconds in (-1, np.nan, np.inf, "a", True):
        with pytest.raises(ValueError, match="profile: seconds must be"):
            model.profile(*data(), seconds=seconds)
