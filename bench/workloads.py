"""The dense networks that are measured, and the least ratios of peers' times to fastnet's.

A row of `WORKLOADS` declares a network, its batch and its floors. `bench_dense.py`, which measures, and `peers.py`,
which trains, read this table.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A multilayer perceptron: ReLU hidden layers, softmax cross-entropy from logits, Adam(1e-3), float32.

    `sizes` are the units from input to output. `steps` is the length of an epoch, in which JAX, the fastest peer, takes
    some tenths of a second. `floors` maps a peer to the least ratio of its time to fastnet's.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    steps: int
    floors: dict[str, float]

    @property
    def samples(self):
        return self.batch * self.steps

    @property
    def flops(self):
        """Operations of the matrix products in a step; the first layer's input needs no gradient."""
        products = [a * b for a, b in zip(self.sizes, self.sizes[1:])]
        return 2 * self.batch * (3 * sum(products) - products[0])

    def data(self, seed=0):
        """Make x (samples, in) with deviation 0.1, and classes y (samples,) int32 by a linear teacher."""
        if self.name == "digits":
            return self._digits()
        rng = np.random.default_rng(seed)
        teacher = rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)
        x = rng.standard_normal((self.samples, self.sizes[0]), dtype=np.float32)
        return x * np.float32(0.1), np.argmax(x @ teacher, axis=1).astype(np.int32)

    def _digits(self):
        from fastnet.datasets import digits

        (x, y), _ = digits.load_data(test_fraction=0)
        x = (x.reshape(len(x), -1) / 16).astype(np.float32)
        return np.tile(x, (self.steps, 1)), np.tile(y.astype(np.int32), self.steps)

    def weights(self, seed=1):
        """Make Glorot uniform kernels (in, out) and zero biases, in Keras's order: kernel, bias, kernel, bias, ..."""
        rng = np.random.default_rng(seed)
        arrays = []
        for rows, columns in zip(self.sizes, self.sizes[1:]):
            limit = np.sqrt(6 / (rows + columns))
            arrays.append(rng.uniform(-limit, limit, (rows, columns)).astype(np.float32))
            arrays.append(np.zeros(columns, np.float32))
        return arrays


WORKLOADS = {
    row.name: row
    for row in [
        Workload("tiny", (16, 64, 64, 4), 32, 4000, {"jax": 2.4, "torch": 19, "keras": 14}),
        Workload("mnist32", (784, 128, 10), 32, 1500, {"jax": 1.6, "torch": 4.5, "keras": 3.8}),
        Workload("mlp512", (784, 512, 512, 10), 128, 100, {"jax": 1.2, "torch": 3.2, "keras": 1.6}),
        Workload("wide", (1024, 1024, 1024, 1024, 10), 256, 12, {"jax": 1.1, "torch": 2.4, "keras": 1.25}),
    ]
}

# The ends of mini-batches: one sample a step, few rows and a wide weight, and all 1,797 digits in each step (an epoch:
# 50 times all).
ENDS = {
    row.name: row
    for row in [
        Workload("single", (16, 64, 64, 4), 1, 8000, {"jax": 2, "torch": 20}),
        Workload("few", (784, 300, 10), 8, 1500, {}),
        Workload("digits", (64, 128, 10), 1797, 50, {"jax": 1.3}),
    ]
}

# On a GPU, with other floors. A larger one, whose products decide, is compared with TF32 off.
ON_A_CARD = {
    row.name: row
    for row in [
        replace(WORKLOADS["tiny"], name="tiny-gpu", floors={"torch": 10, "torch-graph": 2, "jax": 2}),
        replace(WORKLOADS["mlp512"], name="mlp512-gpu", floors={"torch": 5, "torch-graph": 1.3, "jax": 1.3}),
        Workload("large-gpu", (1024, 1024, 1024, 1024, 1024), 8192, 6, {"torch": 0.8}),
    ]
}


def oracle(workload, steps, rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Compute the loss over the first `steps` batches after training on them in order, in float64 with plain numpy.

    Adam in the form of Kingma & Ba (2015), end of section 2: w -= rate·√(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√v + ε).
    """
    x, y = workload.data()
    x, y = x[: steps * workload.batch].astype(np.float64), y[: steps * workload.batch]
    weights = [w.astype(np.float64) for w in workload.weights()]
    m, v = [[np.zeros_like(w) for w in weights] for _ in range(2)]
    for t in range(1, steps + 1):
        rows = slice((t - 1) * workload.batch, t * workload.batch)
        inputs, p = _forward(weights, x[rows])
        dy = (p - np.eye(p.shape[1])[y[rows]]) / len(p)
        gradients = []
        for kernel, a in zip(weights[-2::-2], reversed(inputs)):
            gradients = [a.T @ dy, dy.sum(axis=0)] + gradients
            dy = (dy @ kernel.T) * (a > 0)
        scale = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        for w, g, a, b in zip(weights, gradients, m, v):
            a += (1 - beta_1) * (g - a)
            b += (1 - beta_2) * (g * g - b)
            w -= scale * a / (np.sqrt(b) + epsilon)
    p = _forward(weights, x)[1]
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def _forward(weights, x):
    """Compute the input of every layer and the probabilities of the classes."""
    inputs = [x]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
        inputs.append(np.maximum(inputs[-1] @ kernel + bias, 0))
    logits = inputs[-1] @ weights[-2] + weights[-1]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return inputs, e / e.sum(axis=1, keepdims=True)
