"""The same training in PyTorch, float64: a second, independent definition of gradients and updates."""

import math

import numpy as np
import pytest

import fastnet

torch = pytest.importorskip("torch")

ROWS, BATCH, EPOCHS, FEATURES, CLASSES = 21, 8, 3, 6, 4
TOLERANCE = 1e-9  # of a tensor's maximum: float64 sums in another order, nine steps


def corrected_epsilon(optimizer, t, epsilon=1e-7, beta_2=0.999):
    """PyTorch adds epsilon to the bias-corrected root, Keras and fastnet to the plain one."""
    optimizer.param_groups[0]["eps"] = epsilon / math.sqrt(1 - beta_2**t)


OPTIMIZERS = {
    "SGD": ({"learning_rate": 0.1}, lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": ({"learning_rate": 0.1, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (
        {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    "Adam": ({"learning_rate": 0.01}, lambda p: torch.optim.Adam(p, 0.01)),
}

ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda x: torch.softmax(x, -1),
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
}

CASES = [("SGD", activation) for activation in ACTIVATIONS] + [(name, "tanh") for name in OPTIMIZERS if name != "SGD"]


def parameters(rng):
    shapes = [(FEATURES, 7), (7,), (7, CLASSES), (CLASSES,)]
    return [rng.uniform(-0.8, 0.8, shape) for shape in shapes]


def train_torch(x, y, weights, optimizer, activation):
    """Losses of the epochs and the weights after them."""
    w = [torch.tensor(a, requires_grad=True) for a in weights]
    update = OPTIMIZERS[optimizer][1](w)
    x, y, losses, t = torch.tensor(x), torch.tensor(y), [], 0
    for _ in range(EPOCHS):
        total = 0.0
        for first in range(0, ROWS, BATCH):
            rows = slice(first, first + BATCH)
            logits = ACTIVATIONS[activation](x[rows] @ w[0] + w[1]) @ w[2] + w[3]
            loss = torch.nn.functional.cross_entropy(logits, y[rows])
            update.zero_grad()
            loss.backward()
            t += 1
            if optimizer == "Adam":
                corrected_epsilon(update, t)
            update.step()
            total += loss.item() * len(logits)
        losses.append(total / ROWS)
    return losses, [a.detach().numpy() for a in w]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize(("optimizer", "activation"), CASES)
def test_same_as_torch(optimizer, activation, floatx):
    rng = np.random.default_rng(7)
    x, y, weights = rng.standard_normal((ROWS, FEATURES)), rng.integers(0, CLASSES, ROWS), parameters(rng)
    layers = fastnet.layers
    model = fastnet.Sequential(
        [layers.Input((FEATURES,)), layers.Dense(7, activation=activation), layers.Dense(CLASSES)]
    )
    options = OPTIMIZERS[optimizer][0]
    model.compile(
        optimizer=fastnet.optimizers.Adam(**options) if optimizer == "Adam" else fastnet.optimizers.SGD(**options),
        loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.set_weights(weights)
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0).history
    losses, expected = train_torch(x, y, weights, optimizer, activation)
    np.testing.assert_allclose(history["loss"], losses, rtol=TOLERANCE)
    for got, want in zip(model.get_weights(), expected):
        np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * np.abs(want).max())
