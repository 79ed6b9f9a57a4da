"""Your own optimizers: a rule with numbers of the step and norms of the weight; SAM, with two gradients a step."""

import math

import numpy as np

import fastnet
from fastnet import layers


# A rule: compiled into the training step, for every dtype.
def lars_scalars(rate, t, momentum=0.9, warmup=100):
    """Computed once a step, in float64: the rate rises for `warmup` steps."""
    return (rate * t / warmup if t < warmup else rate), momentum


def weight_square(w, g, m, rate, momentum):
    return w * w


def gradient_square(w, g, m, rate, momentum):
    return g * g


def lars(w, g, m, rate, momentum, weight_squares, gradient_squares):
    """Momentum of steps as long as the weight; You et al. 2017, arXiv:1708.03888."""
    trust = math.sqrt(weight_squares / gradient_squares) if weight_squares > 0 and gradient_squares > 0 else 1
    m = momentum * m + rate * trust * g
    return w - m, m


fastnet.register_optimizer(
    "lars",
    lars,
    states=("m",),
    scalars=lars_scalars,
    sums={"weight_squares": weight_square, "gradient_squares": gradient_square},
    learning_rate=0.002,
)


# A program: gradients as arrays, and steps of an optimizer of fastnet.
class SAM:
    """Sharpness-aware minimization: the gradient at the worst point nearby; Foret et al. 2021, arXiv:2010.01412."""

    def __init__(self, model, rho=0.05):
        self.model, self.rho = model, rho

    def train_on_batch(self, x, y):
        model, weights = self.model, self.model.trainable_weights
        start = [w.numpy() for w in weights]
        up = self.gradients(x, y)
        length = math.sqrt(sum(float(np.square(g).sum()) for g in up))
        for w, value, g in zip(weights, start, up, strict=True):
            w.assign(value + self.rho / (length + 1e-12) * g)
        there = self.gradients(x, y)
        for w, value in zip(weights, start, strict=True):
            w.assign(value)
        model.optimizer.apply(there, weights)

    def gradients(self, x, y):
        """A list, in the order of `trainable_weights`."""
        found = self.model.gradients(x, y)
        return [g for layer in self.model.layers for g in found.get(layer.name, {}).values()]


def new_model(optimizer):
    fastnet.utils.set_random_seed(0)
    model = fastnet.Sequential(
        [layers.Input((8, 8)), layers.Rescaling(1 / 16), layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10)]
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


(x, y), (x_test, y_test) = fastnet.datasets.digits.load_data()

model = new_model("lars")
model.fit(x, y, epochs=15, verbose=0)
print(f"LARS: {model.evaluate(x_test, y_test, verbose=0)[1]:.1%} of the test digits")

model = new_model(fastnet.optimizers.Adam(3e-3))
sam, rng = SAM(model), np.random.default_rng(0)
for _ in range(10):
    order = rng.permutation(len(x))
    for first in range(0, len(x), 32):
        rows = order[first : first + 32]
        sam.train_on_batch(x[rows], y[rows])
print(f"SAM:  {model.evaluate(x_test, y_test, verbose=0)[1]:.1%} of the test digits")

# A plain function, without a network.
point, adam = np.array([-1.0, 1.5]), fastnet.optimizers.Adam(0.05)
for _ in range(2000):
    a, b = point
    adam.apply([np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])], [point])
print(f"Rosenbrock's function is least at (1, 1); found ({point[0]:.3f}, {point[1]:.3f})")
