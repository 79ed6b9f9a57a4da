"""Layers inside users' layers, wherever they are stored: trained, counted, saved; what cannot be so is refused."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, models, saving, testing

X = np.random.default_rng(0).normal(size=(9, 3)).astype("f")
Y = np.tanh(X[:, ::-1])


def dense(name, **more):
    return layers.Dense(3, activation="tanh", name=name, **more)


class Holder(layers.Layer):
    """x + last(first(x)); a subclass says where the two are."""

    def parts(self):
        raise NotImplementedError

    def forward(self, plan, x):
        y = x
        for part in self.parts():
            y = plan.apply(part, y)
        return plan.combine(extend.Add(), x, y)


class InInit(Holder):
    def __init__(self, **more):
        super().__init__(**more)
        self.first, self.last = dense("first", dtype=self.dtype), dense("last", dtype=self.dtype)

    def parts(self):
        return self.first, self.last


class InMakeWeights(Holder):
    def make_weights(self, input_shape):
        self.first, self.last = dense("first", dtype=self.dtype), dense("last", dtype=self.dtype)

    def parts(self):
        return self.first, self.last


def stored(store):
    """A holder whose attribute is what ``store`` makes of the two layers."""

    class Stored(Holder):
        def __init__(self, **more):
            super().__init__(**more)
            self.pair = dense("first", dtype=self.dtype), dense("last", dtype=self.dtype)
            self.held = store(*self.pair)
            del self.pair

        def parts(self):
            return self.sublayers

    return Stored


class InNetwork(Holder):
    def __init__(self, **more):
        super().__init__(**more)
        self.network = fastnet.Sequential([dense("first", dtype=self.dtype), dense("last", dtype=self.dtype)])

    def parts(self):
        return (self.network,)


class InOther(Holder):
    def __init__(self, **more):
        super().__init__(**more)
        self.other = [InNetwork(dtype=self.dtype)]

    def parts(self):
        return self.other


KINDS = {
    "in __init__": InInit,
    "in make_weights": InMakeWeights,
    "in a list": stored(lambda a, b: [a, b]),
    "in a tuple": stored(lambda a, b: (a, b)),
    "in a dictionary": stored(lambda a, b: {"a": a, "b": b}),
    "in lists in lists": stored(lambda a, b: [[a], [[b]]]),
    "in lists in a dictionary": stored(lambda a, b: {"both": ([a], {"b": b}), "none": None}),
    "in a network": InNetwork,
    "in another one": InOther,
}


def network(cls):
    net = fastnet.Sequential([layers.Input((3,)), cls(name="holder"), layers.Dense(3)], seed=2)
    net.compile("adam", "mse")
    return net


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_they_are(kind, tmp_path):
    cls = KINDS[kind]
    net, custom = network(cls), {each.__name__: each for each in (cls, InNetwork)}
    holder = net.layers[0]
    assert net.count_params() == 36 and holder.count_params() == 24 and len(net.trainable_weights) == 6
    before = net.get_weights()
    net.fit(X, Y, epochs=2, verbose=0)
    assert all((old != new).any() for old, new in zip(before, net.get_weights(), strict=True))
    net.save(tmp_path / "model")
    net.save_weights(tmp_path / "weights")
    cloned = models.clone_model(net)
    cloned.load_weights(tmp_path / "weights")
    twins = [saving.load_model(tmp_path / "model", custom), cloned]
    if cls.__qualname__ == cls.__name__:
        twins += [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(X, verbose=0), net.predict(X, verbose=0))
    assert twins[0].evaluate(X, Y, verbose=0) == net.evaluate(X, Y, verbose=0)
    lines = []
    net.summary(print_fn=lines.append, expand_nested=True)
    assert "first (Dense)" in lines[0] and "last (Dense)" in lines[0] and "Total params: 36" in lines[0]
    assert {"first", "last"} <= {row.layer for row in net.profile(X, Y, seconds=0).rows}
    holder.trainable, frozen = False, holder.get_weights()
    net.fit(X, Y, verbose=0)
    assert all((old == new).all() for old, new in zip(frozen, holder.get_weights(), strict=True))
    assert len(net.trainable_weights) == 2


@pytest.mark.parametrize(
    "kind",
    [
        "in make_weights",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("in lists in lists", "in another one")),
    ],
)
def test_their_gradients(kind):
    lines = dict(testing.check_layer(KINDS[kind], (3,)).lines)
    assert {"gradient of input", "gradient of first/kernel", "gradient of last/bias"} <= set(lines)


class MakesPlainLayers(layers.Layer):
    """Makes layers of the default dtype, where its weights are made."""

    def make_weights(self, input_shape):
        self.first = dense("first")

    def forward(self, plan, x):
        return plan.apply(self.first, x)


def test_gradients_of_layers_of_the_default_dtype():
    """In float64 the check made the layers within in float32."""
    assert "gradient of first/kernel" in dict(testing.check_layer(MakesPlainLayers, (3,)).lines)


class AppliesNetwork(layers.Layer):
    """x + network(x), as array code."""

    def __init__(self, **more):
        super().__init__(**more)
        self.network = fastnet.Sequential([dense("first"), layers.Dropout(0.0), dense("last")])

    def call(self, x, training=None):
        return x + self.network(x, training=training)


def test_a_network_applied_in_array_code():
    net = fastnet.Sequential([layers.Input((3,)), AppliesNetwork(), layers.Dense(3)])
    net.compile("adam", "mse")
    before = net.get_weights()
    net.fit(X, Y, verbose=0)
    assert len(before) == 6 and all((old != new).any() for old, new in zip(before, net.get_weights(), strict=True))
    inner = net.layers[0].network
    np.testing.assert_allclose(net.layers[0](X), X + inner.predict(X, verbose=0), rtol=1e-6, atol=1e-6)


class WithBackward(layers.Layer):
    """Defines backward beside a layer that it holds; ``way`` says how it uses it."""

    def __init__(self, way, **more):
        super().__init__(**more)
        self.way = way

    def make_weights(self, input_shape):
        self.part = dense("part")
        if self.way in ("built", "applied"):
            self.part.build((None, *input_shape))

    def forward(self, plan, x):
        return plan.apply(self.part, x) if self.way == "applied" else self.part.forward(plan, x)

    def backward(self, plan, dy, x, y):
        return self.part.backward(plan, dy, x, y)


def test_a_layer_with_a_backward():
    with pytest.raises(ValueError, match=r"\(WithBackward\) defines backward, and holds Layer 'part' .* not built"):
        network(lambda name: WithBackward("not built", name=name))
    with pytest.raises(ValueError, match=r"Layer 'part' \(Dense\) is applied by 'holder', which defines backward"):
        network(lambda name: WithBackward("applied", name=name)).fit(X, Y, verbose=0)
    net = network(lambda name: WithBackward("built", name=name))
    before = net.get_weights()
    net.fit(X, Y, verbose=0)
    assert len(before) == 4 and all((old != new).any() for old, new in zip(before, net.get_weights(), strict=True))


def test_what_a_holder_cannot_have():
    net = network(InInit)
    with pytest.raises(ValueError, match=r"'holder' \(InInit\): first holds layers, whose weights are made"):
        net.layers[0].first = dense("other")
    with pytest.raises(ValueError, match="more holds layers"):
        net.layers[0].more = [[dense("other")]]
    with pytest.raises(ValueError, match="'s' .* is applied by the forward of a layer that does not hold it"):
        network(type("InSet", (InInit,), {"parts": lambda self: {dense("s")}})).predict(X, verbose=0)
    late = network(stored(lambda a, b: [a, b]))
    late.layers[0].held.append(dense("late"))
    with pytest.raises(ValueError, match=r"'late' \(Dense\) is applied, but was not built with its model"):
        late.fit(X, Y, verbose=0)
