"""Composites in descriptions, files, copies and summaries; sharing and freezing."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import layers, models, saving

from .composites import Around, Gated, Twice

X = np.random.default_rng(0).normal(size=(9, 4)).astype("f")
Y = np.zeros((9, 3), "f")


def network():
    shared = layers.Dense(4, activation="tanh", name="shared")
    inner = fastnet.Sequential([layers.Dense(4), layers.BatchNormalization()], name="inner")
    block = layers.Residual([shared, inner], name="block")
    side = layers.Parallel([[shared, layers.Dropout(0.5)], Gated(2), Around(layers.Dense(4)), Twice()], name="side")
    net = fastnet.Sequential([layers.Input((4,)), block, shared, side, layers.Dense(3)])
    net.compile("adam", "mse")
    return net


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}


def train(net):
    return net.fit(X, Y, epochs=2, verbose=0).history["loss"]


def assert_shared(net):
    assert net.layers[1] is net.layers[0].branch.layers[0] is net.layers[2].branches[0].layers[0]


@pytest.mark.parametrize("way", COPIES)
def test_copies_train_on(way):
    net = network()
    train(net)
    twin = COPIES[way](net)
    assert_shared(twin)
    assert train(twin) == train(net)


def test_files(tmp_path):
    net = network()
    train(net)
    custom = {"Gated": Gated, "Around": Around, "Twice": Twice}
    net.save(tmp_path / "model")
    twin = saving.load_model(tmp_path / "model", custom)
    assert_shared(twin)
    net.save_weights(tmp_path / "weights")
    other = models.clone_model(net)
    assert_shared(other)
    other.load_weights(tmp_path / "weights")
    for one in (twin, other, models.model_from_json(net.to_json(), custom)):
        assert [w.shape for w in one.weights] == [w.shape for w in net.weights]
    np.testing.assert_array_equal(twin.predict(X, verbose=0), net.predict(X, verbose=0))
    np.testing.assert_array_equal(other.predict(X, verbose=0), net.predict(X, verbose=0))


def test_summary():
    lines = []
    network().summary(print_fn=lines.append, expand_nested=True)
    for name in ("block (Residual)", "    shared (Dense)", "inner (Sequential)", "gate (Dense)", "side (Parallel)"):
        assert name in lines[0]


def test_a_change_inside_reaches_the_model():
    inner = fastnet.Sequential([layers.Dense(4)])
    net = fastnet.Sequential([layers.Input((4,)), layers.Parallel([inner, layers.Identity()])])
    assert net.predict(X, verbose=0).shape == (9, 8)
    inner.add(layers.Dense(2))
    assert net.predict(X, verbose=0).shape == (9, 6) and len(net.weights) == 4


def test_frozen_parts_have_no_gradients():
    net = network()
    net.layers[0].trainable = False
    before = net.layers[0].get_weights()
    train(net)
    for old, new in zip(before, net.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_statistics_move_where_nothing_is_trained_before_them():
    net = fastnet.Sequential(
        [layers.Input((4,)), layers.BatchNormalization(center=False, scale=False), layers.Dense(3)]
    )
    net.compile("sgd", "mse")
    train(net)
    assert (net.layers[0].moving_mean.numpy() != 0).all()
