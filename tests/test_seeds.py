"""`Sequential(seed=...)`: weights, masks and permutations follow from the seed alone, in any order and any thread."""

import copy
import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnet
from fastnet import initializers, layers, models, saving, utils

X = np.random.default_rng(0).normal(size=(12, 3)).astype("f")
Y = np.zeros((12, 2), "f")


def parts():
    block = layers.Residual([layers.Dense(4, activation="relu"), layers.Dropout(0.5), layers.Dense(3)])
    return [layers.GaussianNoise(0.1), block, layers.Dense(2)]


def network(seed, shape=(3,)):
    inputs = [layers.Input(shape)] if shape else []
    net = fastnet.Sequential([*inputs, *parts()], seed=seed)
    net.compile("sgd", "mse")
    return net


def trained(net):
    """The losses of two epochs of several batches, and the weights after them."""
    losses = net.fit(X, Y, batch_size=5, epochs=2, verbose=0).history["loss"]
    return losses, [w.tolist() for w in net.get_weights()]


@pytest.fixture(scope="module")
def wanted():
    return trained(network(7))


def test_neither_the_process_nor_other_models_matter(wanted):
    utils.set_random_seed(1)
    assert trained(network(7)) == wanted
    utils.set_random_seed(2)
    fastnet.random.next_seed()
    nets = [network(seed) for seed in (7, 8, None, 7)]
    assert [trained(net) == wanted for net in nets] == [True, False, False, True]


def test_a_model_with_a_seed_takes_no_seed_from_the_process():
    utils.set_random_seed(3)
    alone = fastnet.random.next_seed()
    utils.set_random_seed(3)
    trained(network(7))
    assert fastnet.random.next_seed() == alone


def test_however_it_is_built(wanted):
    """By the data, without Input; layer by layer, and compiled twice."""
    assert trained(network(7, None)) == wanted
    net = fastnet.Sequential(seed=7)
    for layer in (layers.Input((3,)), *parts()):
        net.add(layer)
    net.compile("adam", "mae")
    net.compile("sgd", "mse")
    assert trained(net) == wanted


def test_networks_in_networks():
    def nested(inner=None):
        part = fastnet.Sequential([layers.Dense(3), layers.Dense(3)], seed=inner)
        net = fastnet.Sequential([layers.Input((3,)), part, layers.Dense(3)], seed=7)
        return [w.tolist() for w in net.get_weights()]

    assert nested() == nested()
    first, second = nested(1), nested()
    assert first[:4] != second[:4] and first[4:] == second[4:]
    alone = fastnet.Sequential([layers.Input((3,)), layers.Dense(3), layers.Dense(3)], seed=1)
    assert [w.tolist() for w in alone.get_weights()] == first[:4]
    matrices = [np.ravel(w) for w in second if np.ndim(w) == 2]
    assert all((a != b).any() for a, b in itertools.pairwise(matrices))


def test_layers_keep_what_they_have():
    """A seed of their own, and the weights that they have already."""
    dense = layers.Dense(3)
    dense.build((None, 3))
    before = dense.get_weights()[0]
    own = layers.Dense(3, kernel_initializer=initializers.GlorotUniform(seed=4))
    net = fastnet.Sequential([layers.Input((3,)), dense, own], seed=7)
    np.testing.assert_array_equal(dense.get_weights()[0], before)
    np.testing.assert_array_equal(own.get_weights()[0], initializers.GlorotUniform(seed=4)((3, 3)))
    assert net.seed == 7


COPIES = {
    "clone": models.clone_model,
    "json": lambda net: models.model_from_json(net.to_json()),
    "config": lambda net: fastnet.Sequential.from_config(net.get_config()),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_description_has_the_seed(way, wanted):
    net = COPIES[way](network(7))
    assert net.seed == 7
    net.compile("sgd", "mse")
    assert trained(net) == wanted
    assert "seed" not in network(None).get_config()


@pytest.mark.parametrize("way", ["file", "deepcopy", "pickle"])
def test_a_copy_goes_on(way, tmp_path):
    net = network(7)
    trained(net)
    if way == "file":
        net.save(tmp_path / "model")
        twin = saving.load_model(tmp_path / "model")
    else:
        twin = copy.deepcopy(net) if way == "deepcopy" else pickle.loads(pickle.dumps(net))
    assert twin.seed == 7
    assert trained(twin) == trained(net)


@pytest.mark.slow
def test_a_thousand_seeds_in_threads():
    def run(seed):
        if seed % 7 == 0:
            utils.set_random_seed(seed)  # another thread's
        net = fastnet.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dropout(0.5)], seed=seed)
        net.compile("sgd", "mse")
        losses = net.fit(X[:4], Y[:4], batch_size=2, epochs=1, verbose=0).history["loss"]
        return losses, net.get_weights()[0].tolist()

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(run, range(1000)))
    assert len({str(each) for each in found}) == 1000
    for seed in (*range(0, 1000, 37), 999):
        assert run(seed) == found[seed]


def test_default_names_differ_in_threads():
    utils.clear_session()
    barrier, names = threading.Barrier(8), []

    def make(_):
        barrier.wait()
        names.extend([layers.Dense(1).name for _ in range(50)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(8)))
    assert len(set(names)) == 400


@pytest.mark.parametrize("seed", [-1, 1.5, "7", True])
def test_what_is_no_seed(seed):
    with pytest.raises(ValueError, match="Sequential: seed must be an integer"):
        fastnet.Sequential(seed=seed)


def test_a_seed_stays():
    net = network(7)
    with pytest.raises(ValueError, match="seed is 7 and stays so, received 8"):
        net.seed = 8
    assert fastnet.Sequential(seed=np.int64(7)).seed == 7
