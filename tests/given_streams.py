"""Rows, and everything that yields them in batches: what tests of feeding share."""

import numpy as np

import fastnet
from fastnet import layers

X = np.random.default_rng(0).normal(size=(29, 3)).astype(np.float32)
Y = X @ np.array([[1.0, -1], [0.5, 2], [0, 1]], np.float32)


def model(loss="mse"):
    fastnet.utils.set_random_seed(5)
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    net.compile(fastnet.optimizers.Adam(0.05), loss)
    return net


def pieces(size=8, x=X, y=Y):
    return [(x[k : k + size], y[k : k + size]) for k in range(0, len(x), size)]


def generator(batches):
    yield from batches


class Dataset(fastnet.utils.PyDataset):
    """The pieces; `log` tells what was asked."""

    def __init__(self, batches, **options):
        super().__init__(**options)
        self.batches, self.log = batches, []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        self.log.append(index)
        return self.batches[index]

    def on_epoch_begin(self):
        self.log.append("begin")

    def on_epoch_end(self):
        self.log.append("end")


class Iterable:
    """Can be iterated again and again, and does not know its length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def bits(net):
    return [w.tobytes() for w in net.get_weights()]


def trained(x, y=None, **options):
    net = model()
    history = net.fit(x, y, verbose=0, shuffle=False, **options).history
    return bits(net), history


class Oops(Exception):
    """What an iterable of a test raises."""


SOURCES = {
    "generator": lambda b: generator(b * 3),
    "iterator": lambda b: iter(b * 3),
    "list": lambda b: b,
    "tuple": lambda b: tuple(b),
    "iterable": Iterable,
    "PyDataset": Dataset,
    "PyDataset, three workers": lambda b: Dataset(b, workers=3),
    "PyDataset, one batch ahead": lambda b: Dataset(b, workers=2, max_queue_size=1),
    "batches as lists": lambda b: [list(pair) for pair in b],
    "columns first": lambda b: [(np.asfortranarray(x), y) for x, y in b],
    "float64 and float16": lambda b: [(x.astype(np.float64), y.astype(np.float16)) for x, y in b],
}
