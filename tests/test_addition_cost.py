"""An activation, a loss and an optimizer are their rules, a class of an optimizer its file, and a row of test cases an
oracle: added to a copy of the package and its tests, nothing else is touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastnet

PACKAGE = Path(fastnet.__file__).parent
RULES = Path("_kernels", "rules")

ACTIVATION = '''

def bent_identity(x):
    """(sqrt(x² + 1) - 1) / 2 + x."""
    return (math.sqrt(x * x + 1) - 1) / 2 + x


def bent_identity_gradient(x):
    return x / (2 * math.sqrt(x * x + 1)) + 1


activations.add(Activation("bent_identity", bent_identity, bent_identity_gradient))
'''

LOSS = '''

def pseudo_huber(y_true, y_pred, delta: POSITIVE):
    """mean(delta² (sqrt(1 + (e / delta)²) - 1)) over the last axis, e = y_pred - y_true.

    Args:
        delta: positive; where the square turns into a line.
    """
    e = (y_pred - y_true) / delta
    return delta * delta * (math.sqrt(1 + e * e) - 1)


def pseudo_huber_gradient(y_true, y_pred, delta):
    e = (y_pred - y_true) / delta
    return delta * e / math.sqrt(1 + e * e)


losses.add(
    Loss(
        "pseudo_huber", pseudo_huber, pseudo_huber_gradient, parameters={"delta": 1.0}, public="PseudoHuber",
        example=([[0.0]], [[2.0]], 1.2361),
    ),
    "charbonnier",
)
'''

OPTIMIZER = '''"""Signum: the sign of an average."""

from fastnet._kernels.ranges import UNIT
from fastnet._kernels.registry import Update, updates
from fastnet._kernels.rules.sign import sign


def signum_scalars(rate, t, beta: UNIT = 0.9):
    return rate, beta, 1 - beta


def signum(w, g, m, rate, beta, one_minus_beta):
    """m = beta m + (1 - beta) g; w -= lr sign(m).  Bernstein et al. 2018, arXiv:1802.04434.

    Args:
        learning_rate: lr.
        beta: decay of the gradients' average.
        common: see `Optimizer`.

    Raises:
        ValueError: beta outside [0, 1).

    Example:
        >>> optimizers.Signum().parameters
        {'beta': 0.9}
    """
    m = beta * m + one_minus_beta * g
    return w - rate * sign(m), m


updates.add(Update("signum", signum, signum_scalars, ("momentum",), learning_rate=0.01, public="Signum"))
'''

OPTIMIZER_CLASS = '''"""Signum by the number of gradients in its average."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.optimizers.optimizer import Optimizer


class Majority(Optimizer):
    """The sign of the average of about so many gradients.

    Args:
        learning_rate: of each step.
        votes: the number of gradients.
        common: see `Optimizer`.

    Raises:
        ValueError: votes is not an integer of at least 1.

    Example:
        >>> optimizers.Majority(votes=4).parameters
        {'beta': 0.75}
    """

    def __init__(self, learning_rate: Any = 0.01, votes: int = 10, **common: Any):
        self.votes = checks.integer("Majority: votes", votes, 1)
        super().__init__("signum", learning_rate, beta=1 - 1 / self.votes, **common)
'''

ORACLE = """

def signum(t, w, g, states, lr, beta):
    states[0] = beta * states[0] + (1 - beta) * g
    return w - lr * np.sign(states[0])


UPDATES["signum"] = signum
"""

CHECKS = """
import doctest, inspect, math, sys
import numpy as np
import fastnet
from fastnet import activations, layers, losses, metrics, optimizers

assert fastnet.__file__.startswith(sys.argv[1]), fastnet.__file__

# Public, with signature, docstring and ranges.
np.testing.assert_allclose(activations.bent_identity([0.0, 2.0]), [0.0, (5**0.5 - 1) / 2 + 2], rtol=1e-6)
assert "sqrt(x² + 1)" in activations.bent_identity.__doc__
assert list(inspect.signature(losses.PseudoHuber).parameters) == ["delta", "reduction", "name", "dtype"]
assert list(inspect.signature(losses.pseudo_huber).parameters) == ["y_true", "y_pred", "delta"]
assert list(inspect.signature(metrics.PseudoHuber).parameters) == ["name", "dtype", "delta"]
assert list(inspect.signature(optimizers.Signum).parameters)[:3] == ["learning_rate", "beta", "weight_decay"]
names = {"losses": losses, "metrics": metrics, "optimizers": optimizers}
assert list(inspect.signature(optimizers.Majority).parameters)[:3] == ["learning_rate", "votes", "weight_decay"]
found = [losses.PseudoHuber, losses.pseudo_huber, metrics.PseudoHuber, optimizers.Signum, optimizers.Majority]
for public in found:
    (test,) = (case for case in doctest.DocTestFinder(recurse=False).find(public, public.__name__, globs=names))
    assert test.examples and not doctest.DocTestRunner().run(test).failed, public
for make, wrong in (
    (losses.PseudoHuber, {"delta": 0.0}), (optimizers.Signum, {"beta": 1.0}), (optimizers.Majority, {"votes": 0})
):
    try:
        make(**wrong)
    except ValueError as error:
        assert "must be a" in str(error)
    else:
        raise AssertionError("a number outside its range")

# By name, and as plain data.
for module, item, argument in (
    (losses, losses.PseudoHuber(2.0), "delta"),
    (metrics, metrics.PseudoHuber(delta=2.0), "delta"),
    (optimizers, optimizers.Signum(beta=0.5), "beta"),
    (optimizers, optimizers.Majority(votes=3), "votes"),
):
    again = module.deserialize(module.serialize(item))
    assert type(again) is type(item) and again.get_config() == item.get_config() and getattr(again, argument)
assert type(losses.get("charbonnier")) is losses.PseudoHuber is type(losses.get(losses.pseudo_huber))
assert activations.serialize(activations.bent_identity) == "bent_identity"

# Trained with by their names: what numpy computes.
x, y, w, m = np.array([[0.5], [-1.0]]), np.array([[1.0], [2.0]]), 0.3, 0.0
fixed = {"use_bias": False, "dtype": "float64", "kernel_initializer": fastnet.initializers.Constant(w)}
model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, activation="bent_identity", **fixed)])
model.compile(optimizer="signum", loss="pseudo_huber", metrics=["pseudo_huber"])
for _ in range(4):
    loss, metric = model.train_on_batch(x, y)
    z = x * w
    e = (np.sqrt(z * z + 1) - 1) / 2 + z - y
    np.testing.assert_allclose([loss, metric], np.mean(np.sqrt(1 + e * e) - 1), rtol=1e-12)
    m = 0.9 * m + 0.1 * np.mean(e / np.sqrt(1 + e * e) * (z / (2 * np.sqrt(z * z + 1)) + 1) * x)
    w = w - 0.01 * np.sign(m)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-12)
by_class = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, activation="bent_identity", **fixed)])
by_class.compile(optimizer=optimizers.Majority(), loss="pseudo_huber")
for _ in range(4):
    by_class.train_on_batch(x, y)
np.testing.assert_array_equal(by_class.get_weights()[0], model.get_weights()[0])
model.save("model.fastnet")
again = fastnet.saving.load_model("model.fastnet")
assert type(again.optimizer) is optimizers.Signum and type(again.loss) is losses.PseudoHuber
np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
"""


def add(path, text):
    """Behind a file's last line; a new file where there is none."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.slow
def test_an_addition_is_its_rule(tmp_path):
    copy = tmp_path / "fastnet"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    add(copy / RULES / "activation_rules.py", ACTIVATION)
    add(copy / RULES / "losses.py", LOSS)
    add(copy / RULES / "updates" / "signum_update.py", OPTIMIZER)
    add(copy / "optimizers" / "majority.py", OPTIMIZER_CLASS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment["FASTNET_TEST_CACHE"] = environment["FASTNET_CACHE_DIR"]
    command = [sys.executable, "-c", CHECKS, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("conftest.py", "oracles.py", "test_optimizers.py"):
        shutil.copy(Path(__file__).parent / name, tests)
    add(tests / "oracles.py", ORACLE)
    chosen = ["--import-mode=importlib", "-k", "ten_steps and signum-float64"]
    command = [sys.executable, "-m", "pytest", "-q", *chosen, "tests"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
