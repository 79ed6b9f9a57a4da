"""Residual, Parallel and composites of a user's: results and gradients against networks written by hand in numpy."""

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, testing

from .composites import Gated, Twice, gradient_by_differences

RNG = np.random.default_rng(3)
X = RNG.normal(size=(7, 4))


def built(*made, shape=(4,)):
    """A float64 network of these layers with weights that are all different from 0."""
    fastnet.config.set_floatx("float64")
    try:
        net = fastnet.Sequential([layers.Input(shape), *(make() for make in made)])
    finally:
        fastnet.config.set_floatx("float32")
    rng = np.random.default_rng(5)
    net.set_weights([rng.normal(size=w.shape) for w in net.weights])
    return net


def tanh(x, kernel, bias):
    return np.tanh(x @ kernel + bias)


MERGES = {
    "concat": lambda results: np.concatenate(results, -1),
    "add": sum,
    "multiply": lambda results: np.prod(results, 0),
    "average": lambda results: np.mean(results, 0),
    "maximum": lambda results: np.max(results, 0),
}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("merge", MERGES)
def test_parallel(merge, count):
    net = built(lambda: layers.Parallel([layers.Dense(5, activation="tanh") for _ in range(count)], merge))
    weights = net.get_weights()
    wanted = MERGES[merge]([tanh(X, *weights[i : i + 2]) for i in range(0, 2 * count, 2)])
    np.testing.assert_allclose(net.predict(X, verbose=0), wanted, rtol=1e-13, atol=1e-13)
    assert net.output_shape == (None, *wanted.shape[1:])


def test_residual():
    net = built(lambda: layers.Residual([layers.Dense(3, activation="tanh"), layers.Dense(4)]))
    a, b, c, d = net.get_weights()
    np.testing.assert_allclose(net.predict(X, verbose=0), tanh(X, a, b) @ c + d + X, rtol=1e-13, atol=1e-13)
    net = built(lambda: layers.Residual(layers.Dense(6, activation="tanh"), layers.Dense(6)))
    a, b, c, d = net.get_weights()
    np.testing.assert_allclose(net.predict(X, verbose=0), tanh(X, a, b) + X @ c + d, rtol=1e-13, atol=1e-13)


def dense(units=4, **more):
    return layers.Dense(units, activation="tanh", **more)


def nested(depth):
    """A residual block around a block around a block."""
    inner = dense() if depth == 0 else layers.Parallel([nested(depth - 1), dense(2)])
    return layers.Residual([inner, layers.Dense(4)])


def shared():
    layer = dense()
    return layers.Parallel([[layer, layer], layer, layers.Residual(layer)], "add")


SLOW = (  # many kernels to compile
    "before concat", "normalized", "multiply", "maximum", "nested", "penalized", "average", "user's in user's",
    "concat", "reshaped", "user's",
)  # fmt: skip


def marked(names):
    """The names as parameters; the slow ones have their mark."""
    thorough = ("before concat", "normalized")
    marks = {name: [pytest.mark.thorough if name in thorough else pytest.mark.slow] for name in SLOW}
    return [pytest.param(name, marks=marks.get(name, [])) for name in names]


NETWORKS = {
    "residual": lambda: layers.Residual([dense(5), layers.Dense(4)]),
    "projection": lambda: layers.Residual([dense(5), layers.Dense(3)], layers.Dense(3, use_bias=False)),
    "the input twice": lambda: layers.Residual(layers.Identity(), layers.Identity()),
    **{merge: lambda merge=merge: layers.Parallel([dense(), [dense(6), dense()], dense()], merge) for merge in MERGES},
    "concat of other widths": lambda: layers.Parallel([dense(1), layers.Identity(), dense(7)]),
    "nested": lambda: nested(3),
    "shared": shared,
    "a layer twice": Twice,
    "a user's": lambda: Gated(3),
    "user's in user's": lambda: layers.Residual([Gated(3), Twice(), layers.Dense(4)]),
    "penalized": lambda: layers.Residual([dense(5, activity_regularizer="l2"), dense(activity_regularizer="l1")]),
    "normalized": lambda: layers.Parallel([layers.LayerNormalization(), [dense(), layers.BatchNormalization()]]),
    "before concat": lambda: layers.Parallel(
        [layers.Softmax(), layers.PReLU("ones"), layers.UnitNormalization(), layers.Activation("softmax"),
         [layers.Dense(6), layers.GroupNormalization(3)], layers.RMSNormalization(), layers.Rescaling(0.5),
         layers.Residual(dense())]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", marked(NETWORKS))
def test_gradients(name):
    testing.check_layer(NETWORKS[name], (4,))


STEPS = {
    "residual": NETWORKS["residual"],
    "concat": lambda: layers.Parallel([dense(2), layers.Permute((1, 2)), [layers.Flatten(), layers.RepeatVector(3)]]),
    "reshaped": lambda: layers.Parallel([[layers.Flatten(), layers.Reshape((3, 4))], layers.Permute((1, 2)), dense(1)]),
    "normalized": lambda: layers.Parallel([layers.LayerNormalization(), layers.BatchNormalization(), dense(2)]),
}


@pytest.mark.parametrize("name", marked(STEPS))
def test_gradients_of_steps(name):
    testing.check_layer(STEPS[name], (3, 4))


@pytest.mark.parametrize(
    "name", sorted(NETWORKS.keys() - {"normalized"})
)  # its result in training is not that of evaluation
def test_training_follows_differences_of_the_loss(name):
    """One step of SGD moves each weight by the derivative of the loss that `evaluate` reports."""
    net = built(NETWORKS[name], lambda: layers.Dense(2))
    y = np.random.default_rng(1).normal(size=(7, 2))
    net.compile(fastnet.optimizers.SGD(0.5), "mse")
    before = net.get_weights()
    wanted = gradient_by_differences(net, X, y)
    net.train_on_batch(X, y)
    for old, new, gradient in zip(before, net.get_weights(), wanted, strict=True):
        np.testing.assert_allclose((old - new) / 0.5, gradient, rtol=1e-6, atol=1e-8)


def test_a_maximum_of_equal_numbers_halves_the_gradient():
    plan = extend.Plan(True, "float64", 2)
    x, dy = plan.buffer((4,)), plan.buffer((4,))
    x.needs_gradient = True
    first, second = plan.apply(layers.Rescaling(1.0, dtype="float64"), x), x
    y = plan.combine(extend.Maximum(), first, second)
    halves = y.shape and plan.tape.calls[-1].operation.backward
    plan.tape.open = plan.tape.calls[-1]
    da, db = halves(plan, dy, first, second, y)
    both = plan.combine(extend.Concatenate(), da, db)
    got = extend.run_once(plan, {x: X[:2], dy: X[2:4]}, both)
    np.testing.assert_array_equal(got, np.concatenate([X[2:4], X[2:4]], -1) / 2)


def test_dropout_in_branches_has_streams_of_its_own():
    """Each use of a layer draws its own mask, and equal seeds give equal masks."""
    x = np.ones((64, 32), np.float32)

    def losses():
        fastnet.utils.set_random_seed(4)
        drop = layers.Dropout(0.5)
        net = fastnet.Sequential([layers.Input((32,)), layers.Parallel([drop, [layers.Identity(), drop]], "multiply")])
        net.compile(fastnet.optimizers.SGD(0.0), "mse")
        return net.fit(x, np.zeros((64, 32)), epochs=2, batch_size=16, verbose=0).history["loss"]

    first = losses()
    assert first == losses() and first[0] != first[1]
    assert 2 < first[0] < 6  # 16 where both keep, a quarter of the places; one mask for both would give 8


@pytest.mark.slow
def test_a_backup_goes_on_with_the_same_bits(tmp_path):
    class Interrupt(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    y = np.random.default_rng(1).normal(size=(7, 2))

    def trained(*callbacks):
        fastnet.utils.set_random_seed(2)
        net = fastnet.Sequential([layers.Input((4,)), shared(), nested(2), layers.Dense(2)])
        net.compile("adam", "mse")
        net.fit(X, y, batch_size=3, epochs=4, verbose=0, callbacks=callbacks)
        return b"".join(w.tobytes() for w in net.get_weights())

    with pytest.raises(KeyboardInterrupt):
        trained(fastnet.callbacks.BackupAndRestore(tmp_path / "backup"), Interrupt())
    epochs = []
    seen = fastnet.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    resumed = trained(fastnet.callbacks.BackupAndRestore(tmp_path / "backup"), seen)
    assert 0 not in epochs and epochs[-1] == 3
    assert resumed == trained()


class Doubled(layers.Wrapper):
    """2 f(x) for any layer f."""

    def forward(self, plan, x):
        y = plan.apply(self.layer, x)
        return plan.combine(extend.Add(), y, y)


def test_wrapper():
    net = built(lambda: layers.Wrapper(layers.Dense(3, activation="tanh")), lambda: Doubled(layers.Dense(2)))
    a, b, c, d = net.get_weights()
    np.testing.assert_allclose(net.predict(X, verbose=0), 2 * (tanh(X, a, b) @ c + d), rtol=1e-13, atol=1e-13)
    assert net.layers[0].layer.name in net.weights[0].path
    testing.check_layer(lambda: Doubled(layers.Dense(2)), (3,))
    with fastnet.saving.custom_object_scope({"Doubled": Doubled}):
        again = fastnet.models.clone_model(net)
        again.set_weights(net.get_weights())
        described = fastnet.saving.deserialize_keras_object(fastnet.saving.serialize_keras_object(net.layers[1]))
    np.testing.assert_array_equal(again.predict(X, verbose=0), net.predict(X, verbose=0))
    assert type(described) is Doubled and described.layer.units == 2
    with pytest.raises(ValueError, match=r"layer must be a layer, received 3"):
        layers.Wrapper(3)
