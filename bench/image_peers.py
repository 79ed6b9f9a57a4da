"""The contenders of the benchmarks of images, each in a process of its own (`bench.peers`): fastnet, PyTorch, Keras."""

import importlib
import os
import sys
import time
from dataclasses import replace

import numpy as np

from . import peers, workers
from .image_workloads import WORKLOADS


def stack(layers, workload):
    """The layers of a network of Keras's or of fastnet's."""

    def made(name, *numbers):
        if name == "conv":
            filters, strides, activation, bias = numbers
            return layers.Conv2D(
                filters, 3, strides=strides, padding=workload.padding, activation=activation, use_bias=bias
            )
        if name == "block":
            return block(layers, *numbers)
        kinds = {
            "norm": layers.BatchNormalization, "relu": layers.ReLU, "flatten": layers.Flatten,
            "average": layers.GlobalAveragePooling2D, "pool": layers.MaxPooling2D, "dropout": layers.Dropout,
            "dense": layers.Dense,
        }  # fmt: skip
        return kinds[name](*numbers)

    return [layers.Input(workload.image), *(made(*layer) for layer in workload.layers)]


def block(layers, filters, strides):
    """A residual block of fastnet's."""

    def conv(kernel, strides=1):
        return layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)

    shortcut = [] if strides == 1 else [conv(1, strides), layers.BatchNormalization()]
    first = [conv(3)]
    if strides > 1:  # as many pixels on both sides as PyTorch adds; "same" adds one behind
        first = [layers.ZeroPadding2D(1), layers.Conv2D(filters, 3, strides=strides, use_bias=False)]
    inside = [*first, layers.BatchNormalization(), layers.ReLU(), conv(3), layers.BatchNormalization()]
    from fastnet import Sequential

    return Sequential([layers.Residual(inside, shortcut=shortcut or None), layers.ReLU()])


class Contender:
    """What the contenders have in common: the library that they use.

    Attributes:
        module: its name.
    """

    module = ""

    @classmethod
    def library(cls):
        """The library, imported."""
        return importlib.import_module(cls.module)

    @classmethod
    def version(cls):
        """The version of the library."""
        return cls.library().__version__


class Fastnet(Contender):
    """fastnet through its public `fit`."""

    module = "fastnet"

    def __init__(self, workload, x, y):
        fastnet = self.library()
        fastnet.utils.set_random_seed(1)
        self.x, self.y, self.batch = x, y, workload.batch
        self.model = fastnet.Sequential(stack(fastnet.layers, workload))
        self.compile(fastnet)

    def compile(self, library):
        self.model.compile(
            optimizer=library.optimizers.Adam(peers.LEARNING_RATE, peers.BETA_1, peers.BETA_2, peers.EPSILON),
            loss=library.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def get_weights(self):
        return self.model.get_weights()

    def set_weights(self, weights):
        self.model.set_weights(weights)

    def fit(self, rows, shuffle):
        self.model.fit(self.x[:rows], self.y[:rows], batch_size=self.batch, shuffle=shuffle, verbose=0)

    def loss(self, rows):
        return self.model.evaluate(self.x[:rows], self.y[:rows], batch_size=self.batch, verbose=0)


class Keras(Fastnet):
    """Keras 3 through its public `fit`, on a backend: JAX."""

    module, backend = "keras", "jax"

    @classmethod
    def library(cls):
        os.environ["KERAS_BACKEND"] = cls.backend
        return super().library()

    @classmethod
    def version(cls):
        return f"{super().version()} on {cls.backend} {importlib.import_module(cls.backend).__version__}"

    def __init__(self, workload, x, y):
        keras = self.library()
        self.x, self.y, self.batch = x, y, workload.batch
        self.model = keras.Sequential(stack(keras.layers, workload))
        self.compile(keras)


class KerasTensorflow(Keras):
    """The same on TensorFlow, which is its fastest for images."""

    backend = "tensorflow"


class Torch(Contender):
    """PyTorch eager with channels last, its fastest form, and its fused Adam."""

    module = "torch"

    def __init__(self, workload, x, y):
        torch = self.library()
        self.torch, self.batch, self.workload = torch, workload.batch, workload
        last = torch.channels_last
        self.x = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=last)
        self.y = torch.from_numpy(y.astype(np.int64))
        self.model = self.network().to(memory_format=last)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), peers.LEARNING_RATE, (peers.BETA_1, peers.BETA_2), peers.EPSILON, fused=True
        )
        self.criterion = torch.nn.CrossEntropyLoss()

    def network(self):
        nn, channels, made = self.torch.nn, self.workload.image[-1], []
        height, width = self.workload.image[:2]
        same = self.workload.padding == "same"
        for name, *numbers in self.workload.layers:
            if name == "conv":
                filters, strides, activation, bias = numbers
                made.append(nn.Conv2d(channels, filters, 3, strides, 1 if same else 0, bias=bias))
                made += [nn.ReLU()] if activation else []
                channels = filters
                height, width = (height, width) if same else (height - 2, width - 2)
            elif name == "block":
                made.append(_block(nn, channels, *numbers))
                channels = numbers[0]
            elif name == "pool":
                made.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            elif name == "dense":
                made.append(nn.LazyLinear(*numbers))
            else:
                made.append(self._plain(nn, name, channels, numbers))
        network = nn.Sequential(*made)
        with self.torch.no_grad():
            network(self.x[:2])
        return network

    @staticmethod
    def _plain(nn, name, channels, numbers):
        class Rows(nn.Module):
            """Flattens with the channels last, as the others do."""

            def forward(self, x):
                return x.permute(0, 2, 3, 1).flatten(1)

        class Mean(nn.Module):
            def forward(self, x):
                return x.mean((2, 3))

        kinds = {"norm": lambda: _norm(nn, channels), "relu": nn.ReLU, "flatten": Rows, "average": Mean}
        return nn.Dropout(*numbers) if name == "dropout" else kinds[name]()

    def set_weights(self, weights):
        """Take the weights in Keras's order: kernels before biases, then the moving averages of normalizations."""
        weights = iter(weights)
        with self.torch.no_grad():
            for module in self.model.modules():
                kind = type(module).__name__
                if kind == "Conv2d":
                    self._copy(module.weight, next(weights).transpose(3, 2, 0, 1))
                elif kind == "Linear":
                    self._copy(module.weight, next(weights).T)
                elif kind == "BatchNorm2d":
                    for target in (module.weight, module.bias, module.running_mean, module.running_var):
                        self._copy(target, next(weights))
                    continue
                if kind in ("Conv2d", "Linear") and module.bias is not None:
                    self._copy(module.bias, next(weights))

    def _copy(self, target, array):
        target.copy_(self.torch.from_numpy(np.ascontiguousarray(array)))

    def fit(self, rows, shuffle):
        self.model.train()
        order = (self.torch.randperm if shuffle else self.torch.arange)(rows)
        for part in order.split(self.batch):
            self.optimizer.zero_grad(set_to_none=True)
            self.criterion(self.model(self.x[part]), self.y[part]).backward()
            self.optimizer.step()

    def loss(self, rows):
        self.model.eval()
        with self.torch.no_grad():
            return self.criterion(self.model(self.x[:rows]), self.y[:rows]).item()


def _norm(nn, channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _block(nn, channels, filters, strides):
    def conv(size, count, stride=1):
        return nn.Conv2d(count, filters, size, stride, size // 2, bias=False)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            # in the order in which fastnet's weights stand
            self.inside = nn.Sequential(
                conv(3, channels, strides), _norm(nn, filters), nn.ReLU(), conv(3, filters), _norm(nn, filters)
            )
            self.shortcut = nn.Identity()
            if strides != 1:
                self.shortcut = nn.Sequential(conv(1, channels, strides), _norm(nn, filters))

        def forward(self, x):
            return nn.functional.relu(self.inside(x) + self.shortcut(x))

    return Block()


CONTENDERS = {"fastnet": Fastnet, "torch": Torch, "keras": Keras, "keras-tensorflow": KerasTensorflow}


class Worker(peers.Worker):
    """A contender in its own process: `name` or `name@threads`."""

    program = "image_peers"


class Trainer:
    """Serves the commands `prepare` and `epoch` with a contender."""

    def __init__(self, cls):
        self.cls = cls

    def __call__(self, command, **arguments):
        return getattr(self, command)(**arguments)

    def prepare(self, workload, check_steps, epoch_steps=None):
        """Make a fresh contender, warmed up by an epoch; its losses after 0 and `check_steps` unshuffled steps without
        dropout, from fastnet's initial weights."""
        work = WORKLOADS[workload]
        work = self.workload = replace(work, steps=epoch_steps or work.steps)
        x, y = work.data()
        rows = check_steps * work.batch
        checked = self.cls(work.without_dropout(), x, y)
        checked.set_weights(Fastnet(work.without_dropout(), x, y).get_weights())
        losses = [checked.loss(rows)]
        checked.fit(rows, shuffle=False)
        losses.append(checked.loss(rows))
        self.contender = self.cls(work, x, y)
        self.contender.fit(len(x), shuffle=True)
        return {"losses": losses, "version": self.cls.version()}

    def epoch(self):
        """Train an epoch; the seconds of a step."""
        start = time.perf_counter()
        self.contender.fit(self.workload.samples, shuffle=True)
        return {"seconds": (time.perf_counter() - start) / self.workload.steps}

    def memory(self, workload):
        """Train two steps; the bytes by which the process grew at most, over one with the library and the data."""
        self.cls.library()
        work = replace(WORKLOADS[workload], steps=2)
        x, y = work.data()
        before = _status("VmRSS")
        contender = self.cls(work, x, y)
        contender.fit(len(x), shuffle=True)
        return {"bytes": _status("VmHWM") - before, "version": self.cls.version()}


def _status(name):
    """Bytes of a line of this process's status: VmRSS, its memory, or VmHWM, the most it had."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))


if __name__ == "__main__":
    workers.serve(Trainer(CONTENDERS[sys.argv[1]]))
