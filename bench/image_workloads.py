"""The networks of images that are measured, and the least ratios of peers' times to fastnet's.

A network is a list of layers by name and numbers, from which each contender of `image_peers.py` makes its own.
"""

from dataclasses import dataclass, replace

import numpy as np

CLASSES = 10


@dataclass(frozen=True)
class ImageWorkload:
    """A network of images with softmax cross-entropy from logits, Adam(1e-3), float32.

    `layers` are (name, numbers …): conv (filters, strides, activation, bias), norm, relu, pool, average, flatten,
    dropout (rate), dense (units) and block (filters, strides), which is a residual block of two convolutions.
    """

    name: str
    image: tuple[int, int, int]
    batch: int
    steps: int
    padding: str
    layers: tuple[tuple, ...]
    floors: dict[str, float]

    @property
    def samples(self):
        return self.batch * self.steps

    def without_dropout(self):
        """The same network; its losses can be compared."""
        return replace(self, layers=tuple(layer for layer in self.layers if layer[0] != "dropout"))

    def data(self, seed=0):
        """Make x (samples, *image) and classes y (samples,)."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((self.samples, *self.image), dtype=np.float32)
        return x * np.float32(0.3), rng.integers(0, CLASSES, self.samples).astype(np.int32)


def _vgg():
    layers = []
    for number, filters in enumerate((64, 64, 128, 128, 256, 256)):
        layers += [("conv", filters, 1, None, False), ("norm",), ("relu",)]
        layers += [("pool",)] if number % 2 else []
    return (*layers, ("flatten",), ("dense", CLASSES))


def _resnet20():
    blocks = [("block", filters, 2 if i == 0 and filters > 16 else 1) for filters in (16, 32, 64) for i in range(3)]
    return (("conv", 16, 1, None, False), ("norm",), ("relu",), *blocks, ("average",), ("dense", CLASSES))


_CONVNET = (
    ("conv", 32, 1, "relu", True), ("pool",), ("conv", 64, 1, "relu", True), ("pool",), ("flatten",),
    ("dropout", 0.5), ("dense", CLASSES),
)  # fmt: skip

WORKLOADS = {
    row.name: row
    for row in [
        ImageWorkload(
            "convnet", (28, 28, 1), 128, 40, "valid", _CONVNET, {"torch": 3, "keras": 3, "keras-tensorflow": 2.3}
        ),
        ImageWorkload("vgg", (32, 32, 3), 64, 6, "same", _vgg(), {"torch": 2.2}),
        ImageWorkload("resnet20", (32, 32, 3), 128, 6, "same", _resnet20(), {"torch": 1.5}),
    ]
}
