"""The GPU of this machine: the cases that the PTX machine runs, by NVIDIA's driver, and what only a GPU shows.

``pytest -m gpu`` runs them. Without a GPU they are skipped, in one line.
"""

import contextlib
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import layers, testing
from fastnet.engine.cuda import current, executable
from fastnet.engine.cuda.driver import DeviceError

from . import test_cuda_inputs, test_cuda_kernels, test_cuda_populations, test_cuda_precision, test_cuda_training
from .test_cuda_inputs import streamed  # noqa: F401 fixtures of cases
from .test_cuda_precision import precision  # noqa: F401
from .test_cuda_training import SPARSE, compiled, form  # noqa: F401

pytestmark = pytest.mark.gpu
for module in (test_cuda_inputs, test_cuda_kernels, test_cuda_populations, test_cuda_precision, test_cuda_training):
    globals().update({name: case for name, case in vars(module).items() if name.startswith("test_")})

MODELS = 1000
TOOLS = ("memcheck", "racecheck")  # of compute-sanitizer


class Counted:
    """A driver that counts what it is asked for."""

    def __init__(self, driver):
        self._driver, self._nodes = driver, {}
        self.launches = self.captures = self.replays = self.allocations = 0

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def allocate(self, size):
        self.allocations += 1
        return self._driver.allocate(size)

    def free(self, address):
        self.allocations -= 1
        self._driver.free(address)

    def launch(self, node):
        self.launches += 1
        self._driver.launch(node)

    def capture(self, nodes):
        self.captures += 1
        return self._driver.capture(nodes), len(nodes)

    def replay(self, graph, count):
        graph, nodes = graph
        self.replays += count
        self.launches += count * nodes
        self._driver.replay(graph, count)


@pytest.fixture(scope="session")
def card():
    """The GPU's driver."""
    try:
        return current.driver()
    except DeviceError as error:
        pytest.skip(f"no GPU: {error}")


@pytest.fixture(autouse=True)
def gpu(card, monkeypatch):
    """The GPU, in place of the PTX machine too."""
    counted = Counted(card)

    @contextlib.contextmanager
    def machine_gpu(**options):
        if options:
            pytest.skip(f"the card is as it is, and the case wants {options}")
        with current.used(counted):
            yield counted

    monkeypatch.setattr(testing, "machine_gpu", machine_gpu)
    with current.used(counted):
        yield counted


def small(number=0, device="cuda"):
    model = fastnet.Sequential([layers.Input((7,)), layers.Dense(5, "relu"), layers.Dense(3)], seed=number)
    model.compile("adam", SPARSE, device=device)
    return model


def test_steps_are_captured_once(gpu, monkeypatch):
    monkeypatch.setattr(executable, "SMALL", 0)
    x, y = test_cuda_training.data(7, 3)
    model = small()
    for epochs in (1, 4, 5):
        model.fit(x, y, batch_size=9, epochs=epochs, verbose=0)
        assert gpu.captures == 2  # of 9 rows, and of the 5 that are left
    assert gpu.replays >= 3 * 10  # a step that was started too many does nothing


def test_long_trainings_have_the_bits_of_the_cpu(form):  # noqa: F811
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4000, 7)).astype("float32"), rng.integers(0, 3, 4000)

    def run(device):
        model = small(device=device)
        return model.fit(x, y, batch_size=9, epochs=5, verbose=0).history, model.get_weights()

    assert test_cuda_training.same(run("cuda"), run("cpu"))


@pytest.mark.parametrize("operations", [0, float("inf")], ids=["graph", "steps"])
def test_memory_is_flat_over_many_models(gpu, operations, monkeypatch):
    monkeypatch.setattr(executable, "SMALL", operations)
    x, y = test_cuda_training.data(7, 3)
    allocations, free = [], []
    for number in range(MODELS):
        small(number).fit(x, y, batch_size=9, verbose=0)
        if number % (MODELS // 10) == 0:
            gc.collect()
            gpu.synchronize()
            allocations.append(gpu.allocations)
            free.append(gpu.memory()[0])
    assert allocations[1:] == allocations[1:2] * 9
    # the driver's pools and graphs take memory in parts of 2 MiB; 900 models that leave 64 KiB each would take 56
    assert free[1] - free[-1] <= 8 << 20


def test_mnist_is_learned(mnist):
    (x, y), (x_test, y_test) = mnist
    stack = [layers.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(512, "relu"),
             layers.Dropout(0.2), layers.Dense(10)]  # fmt: skip
    model = compiled("cuda", lambda: stack, "adam", SPARSE, ["accuracy"])
    model.fit(x, y, batch_size=128, epochs=5, verbose=0)
    # the floor of bench/bench_mnist.py, which the CPU reaches in as many epochs
    assert model.evaluate(x_test, y_test, verbose=0)[1] >= 0.978


@pytest.mark.parametrize("tool", TOOLS)
def test_the_sanitizer_finds_nothing(tool):
    """compute-sanitizer watches a training in both forms."""
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("there is no compute-sanitizer")
    case = f"{__file__}::test_a_classifier"
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m", "pytest", "-m", "gpu", case]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
