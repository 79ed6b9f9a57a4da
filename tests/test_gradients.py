"""`Sequential.gradients` and `train_on_gradient`: against differences, steps of plain descent, and each other."""

import threading

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, optimizers

H = 1e-5


@pytest.fixture(autouse=True)
def float64():
    before = fastnet.config.floatx()
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx(before)


def data(rows=7, features=3, units=2):
    rng = np.random.default_rng(rows)
    return rng.normal(size=(rows, features)), rng.normal(size=(rows, units)), rng.uniform(0.5, 2, rows)


class Twice(layers.Layer):
    def __init__(self, **more):
        super().__init__(**more)
        self.parts = [layers.Dense(2, name="twin"), layers.Dense(2, name="twin")]

    def forward(self, plan, x):
        return plan.apply(self.parts[1], plan.apply(self.parts[0], x))


def network(*middle, optimizer="sgd", loss="mse"):
    fastnet.utils.set_random_seed(3)
    first = layers.Dense(4, activation="tanh", kernel_regularizer="l2", bias_initializer="ones", name="first")
    model = fastnet.Sequential([layers.Input((3,)), first, *middle, layers.Dense(2, name="last")])
    model.compile(optimizer, loss)
    return model


def flat(found):
    """All arrays of a dictionary of dictionaries, in order."""
    return [a for v in found.values() for a in (flat(v) if isinstance(v, dict) else [v])]


def of_weights(found):
    """The gradients without that of the data."""
    return flat({name: gradients for name, gradients in found.items() if name != "input"})


def differences(loss, array):
    slope = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        values = []
        for step in (H, -H):
            moved = array.copy()
            moved[index] += step
            values.append(loss(moved))
        slope[index] = (values[0] - values[1]) / (2 * H)
    return slope


def test_gradients_against_differences():
    x, y, weights = data()
    model = network(layers.Residual([layers.Dense(4, activity_regularizer="l2", name="within")], name="sum"))
    found = model.gradients(x, y, sample_weight=weights)
    assert list(found) == ["first", "sum", "last", "input"]
    assert list(found["sum"]) == ["within"]
    for variable, gradient in zip(model.trainable_weights, of_weights(found), strict=True):
        start = variable.numpy()

        def loss(value, variable=variable):
            variable.assign(value)
            return model.evaluate(x, y, batch_size=7, sample_weight=weights, verbose=0)

        np.testing.assert_allclose(gradient, differences(loss, start), rtol=1e-6, atol=1e-8)
        variable.assign(start)
    expected = differences(lambda x: model.evaluate(x, y, batch_size=7, sample_weight=weights, verbose=0), x)
    np.testing.assert_allclose(found["input"], expected, rtol=1e-6, atol=1e-8)


def test_they_are_those_of_the_next_step_and_nothing_changes():
    """Dropout with its masks, statistics of the batch, a frozen layer, rows of one and of many."""
    x, y, _ = data(5)
    frozen = layers.Dense(4, trainable=False, name="frozen")
    model = network(layers.Dropout(0.5), frozen, layers.BatchNormalization(), optimizer=optimizers.SGD(1.0))
    model.train_on_batch(x, y)
    before = [v.numpy() for v in model.variables]
    found = model.gradients(x, y)
    assert model.gradients(x[:1], y[:1])["input"].shape == (1, 3)
    assert "frozen" not in found
    assert model.optimizer.iterations == 1
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    start = [v.numpy() for v in model.trainable_weights]
    model.train_on_batch(x, y)
    for variable, value, gradient in zip(model.trainable_weights, start, of_weights(found), strict=True):
        np.testing.assert_allclose(value - variable.numpy(), gradient, rtol=1e-12, atol=1e-15)


def test_a_given_gradient_is_the_loss_s():
    x, y, _ = data()
    model = network()
    by_loss = model.gradients(x, y)
    given = model.gradients(x, gradient=2 * (model.predict(x) - y) / y.size)
    for left, right in zip(flat(by_loss), flat(given), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_without_compile_and_of_the_data_alone():
    model = fastnet.Sequential([layers.Dense(1, use_bias=False)])
    found = model.gradients([[1.0, 2.0]], gradient=[3.0])  # (n,) for (n, 1)
    np.testing.assert_array_equal(found["input"], 3 * model.get_weights()[0].T)
    scaling = fastnet.Sequential([layers.Input((2,)), layers.Rescaling(4.0)])
    assert scaling.gradients([[1.0, 2.0]], gradient=[[1.0, 2.0]])["input"].tolist() == [[4.0, 8.0]]
    assert list(scaling.gradients([[1.0, 2.0]], gradient=[[1.0, 2.0]])) == ["input"]


def test_indices_have_no_gradient():
    model = fastnet.Sequential([layers.Input((2,)), layers.CategoryEncoding(3), layers.Dense(1, name="out")])
    model.compile("sgd")
    assert list(model.gradients([[0, 2]], gradient=[[1.0]])) == ["out"]
    with pytest.raises(ValueError, match="reads indices"):
        model.train_on_gradient([[0, 2]], [[1.0]], input_gradient=True)
    assert model.train_on_gradient([[0, 2]], [[1.0]]) is None


def test_a_layer_used_twice_has_both_gradients():
    shared = layers.Dense(3, name="shared")
    model = fastnet.Sequential([layers.Input((3,)), shared, layers.Activation("tanh"), shared])
    x, y, _ = data(units=3)
    found = model.gradients(x, gradient=y)
    assert list(found) == ["shared", "input"]

    def total(kernel):
        shared.kernel.assign(kernel)
        return (model.predict(x) * y).sum()

    np.testing.assert_allclose(found["shared"]["kernel"], differences(total, shared.kernel.numpy()), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [{"clipnorm": 0.05}, {"gradient_accumulation_steps": 2, "weight_decay": 0.1}, {"use_ema": True}],
    ids=str,
)
def test_training_on_the_gradient_of_the_loss_is_training(arguments):
    x, y, _ = data()
    by_loss, by_gradient = (network(optimizer=optimizers.Adam(0.1, **arguments)) for _ in range(2))
    by_gradient.compile(optimizers.Adam(0.1, **arguments))  # without a loss
    for _ in range(4):
        by_loss.train_on_batch(x, y)
        gradient = 2 * (by_gradient.predict(x) - y) / y.size
        expected = by_gradient.gradients(x, gradient=gradient)["input"]
        np.testing.assert_array_equal(by_gradient.train_on_gradient(x, gradient, input_gradient=True), expected)
    assert by_gradient.optimizer.iterations == 4
    for left, right in zip(by_loss.get_weights(), by_gradient.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9)


def test_penalties_are_added_to_a_given_gradient():
    """Also one whose gradient needs what its value computes."""
    kernel = np.array([[1.0, 2.0], [3.0, 5.0]])
    for regularizer, expected in (("l2", 0.02 * kernel), (fastnet.regularizers.OrthogonalRegularizer(), None)):
        model = fastnet.Sequential(
            [layers.Input((2,)), layers.Dense(2, use_bias=False, kernel_regularizer=regularizer, name="d")]
        )
        model.set_weights([kernel])
        found = model.gradients([[1.0, 1.0]], gradient=[[0.0, 0.0]])["d"]["kernel"]
        if expected is None:
            expected = differences(lambda w, r=regularizer: r(w), kernel)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("bad", ["x", "gradient"])
def test_nan_changes_nothing_and_is_named(bad):
    x, y, _ = data()
    model = network(layers.BatchNormalization(), optimizer="adam")
    model.train_on_gradient(x, y)
    before = [v.numpy() for v in (*model.variables, *model.optimizer.states[model.trainable_weights[0]])]
    spoilt = {"x": x.copy(), "gradient": y.copy()}
    spoilt[bad][3, 1] = np.nan
    with pytest.raises(fastnet.NonFiniteError, match=f"row 3 of {bad} holds NaN"):
        model.train_on_gradient(*spoilt.values())
    after = [v.numpy() for v in (*model.variables, *model.optimizer.states[model.trainable_weights[0]])]
    for left, right in zip(before, after, strict=True):
        np.testing.assert_array_equal(left, right)
    assert model.optimizer.iterations == 1
    assert np.isnan(model.gradients(spoilt["x"], gradient=spoilt["gradient"])["first"]["kernel"]).any()


def test_plans_are_made_once():
    x, y, _ = data()
    model = network()
    for _ in range(3):
        model.gradients(x, y)
        model.gradients(x, gradient=y)
        model.train_on_gradient(x, y)
    assert sorted(len(free) for free in model._trainer.plans.free.values()) == [1, 1, 1]
    model.layers[0].trainable = False
    assert list(model.gradients(x, y)) == ["last", "input"]


def test_misuse_is_told():
    x, y, weights = data()
    model = network()
    with pytest.raises(ValueError, match="one of the two"):
        model.gradients(x)
    with pytest.raises(ValueError, match="one of the two"):
        model.gradients(x, y, gradient=y)
    with pytest.raises(ValueError, match="multiply the rows of gradient"):
        model.gradients(x, sample_weight=weights, gradient=y)
    with pytest.raises(
        ValueError, match=r"shape of the predictions, \(7, 2\) of layer 'last' \(Dense\); received \(7,\)"
    ):
        model.train_on_gradient(x, y[:, 0])
    with pytest.raises(ValueError, match=r"received \(6, 2\)"):
        model.train_on_gradient(x, y[:6])
    with pytest.raises(ValueError, match="at least one sample"):
        model.train_on_gradient(x[:0], y[:0])
    with pytest.raises(ValueError, match="takes samples of shape"):
        model.gradients(x[:, :2], gradient=y)
    with pytest.raises(ValueError, match="must hold real numbers"):
        model.train_on_gradient(x, [["a", "b"]] * 7)
    with pytest.raises(RuntimeError, match="compile"):
        fastnet.Sequential([layers.Dense(2)]).train_on_gradient(x, y)
    with pytest.raises(RuntimeError, match="compile was not called"):
        fastnet.Sequential([layers.Dense(2)]).gradients(x, y)
    with pytest.raises(ValueError, match="under 'input', which is the name of a layer"):
        fastnet.Sequential([layers.Dense(2, name="input")]).gradients(x, gradient=y)
    twice = Twice(name="pair")
    with pytest.raises(ValueError, match="two layers in 'pair' have the name 'twin'"):
        fastnet.Sequential([twice]).gradients(x, gradient=y)


def test_a_model_that_is_trained_elsewhere():
    """Another thread may ask for gradients meanwhile, but not train."""
    x, y, _ = data()
    model = network()
    model.train_on_batch(x, y)
    results = []

    class Ask(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            def ask():
                results.append(model.gradients(x, y)["input"].shape)
                try:
                    model.train_on_gradient(x, y)
                except RuntimeError as error:
                    results.append(str(error))

            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()

    model.fit(x, y, verbose=0, callbacks=[Ask()])
    assert results[0] == (7, 3)
    assert "being trained already" in results[1]


READ, WRITE, UPDATE = extend.read["n, width"], extend.write["n, width"], extend.update["width"]


@extend.template(cost="width")
def counted(x: READ, y: WRITE, total: UPDATE, n: extend.size, width: extend.size):
    for r in range(n):
        for j in range(width):
            total[j] = total[j] + x[r, j]
            y[r, j] = 2.0 * x[r, j]


class Counted(layers.Layer):
    """Twice x; one launch writes it and a weight of the layer."""

    def make_weights(self, input_shape):
        self.total = self.add_weight("total", input_shape, "zeros", trainable=False)

    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(counted, x=x, y=y, total=self.total)
        return y

    def backward(self, plan, dy, x, y):
        return plan.combine(extend.Add(), dy, dy)


def test_what_a_layer_writes_beside_its_weights_counts():
    model = fastnet.Sequential([layers.Input((3,)), Counted(), layers.Dense(1, use_bias=False, name="out")])
    model.compile(optimizers.SGD(1.0), "mse")
    x, y = np.ones((2, 3)), np.zeros((2, 1))
    model.train_on_batch(x, y)  # the copies begin with the values of now
    before = model.get_weights()
    found = model.gradients(x, y)["out"]["kernel"]
    assert all(map(np.array_equal, model.get_weights(), before)) and before[0].tolist() == [2.0, 2.0, 2.0]
    model.train_on_batch(x, y)
    np.testing.assert_allclose(before[1] - model.get_weights()[1], found, rtol=1e-12)
