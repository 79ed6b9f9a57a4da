"""Layers whose results exceed the caches, and are stored past them: the same numbers."""

import numpy as np
import pytest

from fastnet import layers
from fastnet._kernels.cpu import processor
from fastnet.testing.plans import LayerRun

#: (layer, shapes of x): with results that are whole lines of cache, and others
LAYERS = {
    "depthwise": (lambda: layers.DepthwiseConv2D(3, padding="same"), [(3, 9, 13, 64), (2, 5, 6, 24), (2, 3, 2, 80)]),
    "strided depthwise": (lambda: layers.DepthwiseConv2D((2, 5), (1, 2)), [(3, 9, 13, 64), (1, 5, 6, 8)]),
    "max pooling": (layers.MaxPooling2D, [(3, 8, 12, 64), (2, 7, 40, 61), (1, 2, 2, 1), (2, 3, 9, 512)]),
    "max pooling of wide rows": (lambda: layers.MaxPooling2D((2, 3)), [(2, 4, 31, 300), (1, 4, 7, 400)]),
    "max pooling over 17 pixels": (lambda: layers.MaxPooling1D(17), [(2, 70, 16)]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("factory", "shape"), [(factory, shape) for factory, shapes in LAYERS.values() for shape in shapes],
    ids=[f"{name} {shape}" for name, (_, shapes) in LAYERS.items() for shape in shapes],
)  # fmt: skip
def test_numbers_are_the_same(factory, shape, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)

    def results():
        one = LayerRun(factory, dtype, shape[1:], shape[0])
        for weight in one.layer.weights:
            weight.assign(np.random.default_rng(1).standard_normal(weight.shape))
        constants = {name: value for launch in one.run.plan.launches for name, value in constants_of(launch)}
        return one(x, np.random.default_rng(2).standard_normal((shape[0], *one.y.shape))), constants["STREAMED"]

    def constants_of(launch):
        return getattr(getattr(launch.kernel, "template", None), "constants", ())

    kept, streamed = results()
    assert streamed == 0
    monkeypatch.setattr(processor, "cache", lambda level: processor.Cache(0, 1))
    others, streamed = results()
    assert streamed == (0 if shape == (1, 4, 7, 400) else 1)  # windows of more than a piece
    for got, wanted in zip(others, kept, strict=True):
        assert np.array_equal(got, wanted) and np.isfinite(got).all()
