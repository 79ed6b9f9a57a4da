"""The contenders of the dense benchmarks, each in a process of its own.

Two libraries in one process share caches, allocators and cores through their thread pools. Every contender is therefore
a worker (`python -m bench.peers NAME`) that trains one epoch on command.

A contender is `Class(workload, x, y, weights)` with

    fit(rows, shuffle)   trains on the first rows samples once: permutation, gather, forward, backward, update
    loss(rows)           the mean loss over the first rows samples; changes nothing
"""

import importlib.util
import math
import os
import sys
import time
from dataclasses import replace

import numpy as np

from . import ROOT, workers
from .workloads import ENDS, ON_A_CARD, WORKLOADS

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


class Fastnet:
    """fastnet through its public `fit`."""

    module = "fastnet"
    device = None  # the default

    def __init__(self, workload, x, y, weights):
        import fastnet
        from fastnet import layers

        *hidden, classes = workload.sizes[1:]
        self.x, self.y, self.batch = x, y, workload.batch
        self.model = fastnet.Sequential(
            [layers.Input((workload.sizes[0],))]
            + [layers.Dense(units, activation="relu") for units in hidden]
            + [layers.Dense(classes)]
        )
        self.model.compile(
            optimizer=fastnet.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON),
            loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
            device=self.device,
        )
        self.model.set_weights(weights)

    def fit(self, rows, shuffle):
        self.model.fit(self.x[:rows], self.y[:rows], batch_size=self.batch, shuffle=shuffle, verbose=0)

    def loss(self, rows):
        return self.model.evaluate(self.x[:rows], self.y[:rows], batch_size=self.batch, verbose=0)


class Keras(Fastnet):
    """Keras 3 through its public `fit` with default arguments, on the JAX backend."""

    module = "keras"
    steps_per_execution = 1

    def __init__(self, workload, x, y, weights):
        os.environ["KERAS_BACKEND"] = "jax"
        import keras

        *hidden, classes = workload.sizes[1:]
        self.x, self.y, self.batch = x, y, workload.batch
        self.model = keras.Sequential(
            [keras.layers.Input((workload.sizes[0],))]
            + [keras.layers.Dense(units, activation="relu") for units in hidden]
            + [keras.layers.Dense(classes)]
        )
        self.model.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=self.steps_per_execution,
        )
        self.model.set_weights(weights)


class Keras50(Keras):
    """Keras 3 with 50 steps a call."""

    steps_per_execution = 50


class Jax:
    """JAX with a whole epoch in one compiled `lax.scan`, whose state is donated."""

    module = "jax"

    def __init__(self, workload, x, y, weights):
        import jax
        import jax.numpy as jnp

        def loss(weights, x, y):
            *hidden, last = zip(weights[::2], weights[1::2])
            for kernel, bias in hidden:
                x = jax.nn.relu(x @ kernel + bias)
            logits = x @ last[0] + last[1]
            picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
            return -picked.mean()

        def step(state, rows, x, y):
            weights, m, v, t = state
            gradient = jax.grad(loss)(weights, x[rows], y[rows])
            t = t + 1
            rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
            m = [BETA_1 * a + (1 - BETA_1) * g for a, g in zip(m, gradient)]
            v = [BETA_2 * a + (1 - BETA_2) * g * g for a, g in zip(v, gradient)]
            weights = [w - rate * a / (jnp.sqrt(b) + EPSILON) for w, a, b in zip(weights, m, v)]
            return (weights, m, v, t), None

        def epoch(state, order, x, y):
            return jax.lax.scan(lambda state, rows: step(state, rows, x, y), state, order)[0]

        self.batch = workload.batch
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)
        self.epoch, self.mean_loss = jax.jit(epoch, donate_argnums=0), jax.jit(loss)
        self.rng = np.random.default_rng(2)
        zeros = [[jnp.zeros(w.shape, w.dtype) for w in weights] for _ in range(2)]
        self.state = ([jnp.asarray(w) for w in weights], *zeros, jnp.float32(0))

    def fit(self, rows, shuffle):
        order = self.rng.permutation(rows) if shuffle else np.arange(rows)
        self.state = self.epoch(self.state, order.astype(np.int32).reshape(-1, self.batch), self.x, self.y)
        self.state[3].block_until_ready()

    def loss(self, rows):
        return float(self.mean_loss(self.state[0], self.x[:rows], self.y[:rows]))


class Torch:
    """PyTorch eager with its fused Adam."""

    module = "torch"
    device = "cpu"

    def __init__(self, workload, x, y, weights):
        import torch

        stack = []
        for rows, columns in zip(workload.sizes, workload.sizes[1:]):
            stack += [torch.nn.Linear(rows, columns), torch.nn.ReLU()]
        self.torch, self.batch = torch, workload.batch
        self.x, self.y = (torch.from_numpy(array).to(self.device) for array in (x, y.astype(np.int64)))
        self.model = torch.nn.Sequential(*stack[:-1]).to(self.device)
        with torch.no_grad():
            for parameter, w in zip(self.model.parameters(), weights):
                parameter.copy_(torch.from_numpy(w.T))
        self.optimizer = torch.optim.Adam(self.model.parameters(), LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True)
        self.criterion = torch.nn.CrossEntropyLoss()
        self.t = 0

    def fit(self, rows, shuffle):
        for part in self.order(rows, shuffle).split(self.batch):
            # torch adds epsilon to the bias-corrected root of v, the others to the root of v itself
            self.t += 1
            self.optimizer.param_groups[0]["eps"] = EPSILON / math.sqrt(1 - BETA_2**self.t)
            self.optimizer.zero_grad(set_to_none=True)
            self.criterion(self.model(self.x[part]), self.y[part]).backward()
            self.optimizer.step()

    def order(self, rows, shuffle):
        return (self.torch.randperm if shuffle else self.torch.arange)(rows, device=self.device)

    def loss(self, rows):
        with self.torch.no_grad():
            return self.criterion(self.model(self.x[:rows]), self.y[:rows]).item()


class Sklearn:
    """scikit-learn's MLPClassifier, one epoch per `partial_fit`."""

    module = "sklearn"

    def __init__(self, workload, x, y, weights):
        from sklearn.neural_network import MLPClassifier

        self.x, self.y, self.classes = x, y, np.arange(workload.sizes[-1])
        self.net = MLPClassifier(
            workload.sizes[1:-1], alpha=0.0, batch_size=workload.batch, learning_rate_init=LEARNING_RATE,
            beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON,
        )  # fmt: skip
        self.net.partial_fit(x[: workload.batch], y[: workload.batch], classes=self.classes)
        for ours, w in zip(self.net.coefs_ + self.net.intercepts_, weights[::2] + weights[1::2]):
            ours[...] = w
        del self.net._optimizer  # partial_fit makes a new optimizer with zero moments

    def fit(self, rows, shuffle):
        self.net.shuffle = shuffle
        self.net.partial_fit(self.x[:rows], self.y[:rows], classes=self.classes)

    def loss(self, rows):
        probability = self.net.predict_proba(self.x[:rows])
        return float(-np.log(probability[np.arange(rows), self.y[:rows]]).mean())


CONTENDERS = {
    "fastnet": Fastnet,
    "jax": Jax,
    "torch": Torch,
    "keras": Keras,
    "keras-50": Keras50,
    "sklearn": Sklearn,
}


def installed(name):
    """Whether the library of a contender is installed; it is not imported."""
    return importlib.util.find_spec(CONTENDERS[name].module) is not None


class Worker(workers.Worker):
    """A contender in its own process: `name` or `name@threads`.

    >>> with Worker("torch@1") as worker:
    ...     worker.ask("prepare", workload="tiny", check_steps=8)
    ...     worker.ask("epoch")["seconds"]
    """

    program = "peers"  # the module that serves
    variables = {}  # of its environment, beside those of this process

    def __init__(self, name):
        library, _, threads = name.partition("@")
        environment = {**os.environ, **self.variables}
        if threads:
            environment.update(OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads, FASTNET_NUM_THREADS=threads)
        command = [sys.executable, "-m", f"{__package__}.{self.program}", library]
        super().__init__(name, command, ROOT, environment)


class Trainer:
    """Serves the commands `prepare` and `epoch` with a contender."""

    def __init__(self, cls):
        self.cls = cls

    def __call__(self, command, **arguments):
        return getattr(self, command)(**arguments)

    def prepare(self, workload, check_steps, epoch_steps=None):
        """Make a fresh contender, warmed up by an epoch; its loss after `check_steps` unshuffled steps."""
        work = {**WORKLOADS, **ENDS, **ON_A_CARD}[workload]
        self.workload = replace(work, steps=epoch_steps or work.steps)
        x, y = self.workload.data()
        self.contender = self.cls(self.workload, x, y, self.workload.weights())
        rows = check_steps * self.workload.batch
        self.contender.fit(rows, shuffle=False)
        loss = self.contender.loss(rows)
        self.contender.fit(len(x), shuffle=True)
        return {"loss": loss, "version": sys.modules[self.cls.module].__version__}

    def epoch(self):
        """Train an epoch; the seconds of a step."""
        start = time.perf_counter()
        self.contender.fit(self.workload.samples, shuffle=True)
        return {"seconds": (time.perf_counter() - start) / self.workload.steps}


if __name__ == "__main__":
    workers.serve(Trainer(CONTENDERS[sys.argv[1]]))
