"""Products cut along k: the same bits as whole ones, and only where a step gains by it."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.engine import plan as plan_module
from fastnet.engine.launch import Product
from fastnet.engine.plan import Plan

INPUTS, UNITS = 700, 67  # K-blocks of 384 and 316 steps


def data(rows, inputs=INPUTS, dtype="float32"):
    rng = np.random.default_rng(3)
    return rng.standard_normal((rows, inputs)).astype(dtype), rng.standard_normal((rows, 2)).astype(dtype)


def trained(layer, dtype, rows=19, inputs=INPUTS):
    """The weights after three epochs with a short last batch, and the losses."""
    fastnet.utils.set_random_seed(5)
    fastnet.config.set_floatx(dtype)
    try:
        model = fastnet.Sequential([layers.Input((inputs,)), layer(), layers.Dense(2)])
        model.compile(optimizer=fastnet.optimizers.Adam(0.01), loss="mse")
        history = model.fit(*data(rows, inputs, dtype), batch_size=6, epochs=3, shuffle=False, verbose=0)
    finally:
        fastnet.config.set_floatx("float32")
    return [*model.get_weights(), np.array(history.history["loss"])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("options", [
    {"activation": "relu"}, {"activation": "relu", "use_bias": False}, {"activation": "gelu"}, {},
    {"use_bias": False}, {"kernel_regularizer": "l2", "activation": "tanh"},
], ids=str)  # fmt: skip
def test_bits_of_the_whole_product(dtype, threads, options, monkeypatch):
    before = fastnet.get_num_threads()
    fastnet.set_num_threads(threads)
    try:
        split = trained(lambda: layers.Dense(UNITS, **options), dtype)
        monkeypatch.setattr(plan_module, "splits", lambda *arguments: False)
        whole = trained(lambda: layers.Dense(UNITS, **options), dtype)
    finally:
        fastnet.set_num_threads(before)
    for mine, right in zip(split, whole, strict=True):
        np.testing.assert_array_equal(mine, right)


@pytest.mark.parametrize("rows", [1, 6, 7])  # a last batch of one row, none, and of one row behind a whole one
def test_short_batches(rows, monkeypatch):
    split = trained(lambda: layers.Dense(UNITS), "float32", rows)
    monkeypatch.setattr(plan_module, "splits", lambda *arguments: False)
    for mine, right in zip(split, trained(lambda: layers.Dense(UNITS), "float32", rows), strict=True):
        np.testing.assert_array_equal(mine, right)


def split_of(inputs=INPUTS, units=UNITS, rows=32, training=True, trained=True, shape=()):
    """Whether the product of a dense layer is cut."""
    layer = layers.Dense(units)
    plan = Plan(training, "float32", rows)
    x = plan.buffer((*shape, inputs))
    layer.connect(x.shape)
    plan.trained = frozenset(layer.trainable_weights if trained else ())
    plan.apply(layer, x)
    products = [launch.kernel for launch in plan.launches if isinstance(launch.kernel, Product)]
    assert len(products) == 1
    return products[0].split


def test_where_products_are_cut():
    assert split_of()
    assert split_of(rows=64)
    assert split_of(rows=8, shape=(8,))
    assert not split_of(rows=8, shape=(9,))  # 72 rows of the product
    assert not split_of(rows=65)
    assert not split_of(training=False)
    assert not split_of(trained=False)
    assert not split_of(units=63)
    assert not split_of(units=1024)  # larger than caches
    assert not split_of(inputs=576)  # one K-block
    assert not split_of(inputs=600)  # 384 and 216 steps
    assert split_of(inputs=1024)  # 384, 384 and 256


def test_every_block_counts():
    """Against float64: the third block too, with steps of a sequence as rows."""
    layer = layers.Dense(64)
    plan = Plan(True, "float64", 3)
    x = plan.buffer((2, 1100))
    layer.dtype = "float64"
    layer.connect(x.shape)
    y = plan.apply(layer, x)
    given = np.random.default_rng(0).standard_normal((3, 2, 1100))
    result = fastnet.extend.run_once(plan, {x: given}, y)
    np.testing.assert_allclose(result, given @ layer.kernel.numpy() + layer.bias.numpy(), rtol=0, atol=1e-12)
    assert any(launch.kernel.split for launch in plan.launches if isinstance(launch.kernel, Product))
