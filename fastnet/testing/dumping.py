"""The code of a model's step on a device, without running it and without the device."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnet import checks, models, warmup
from fastnet._kernels.cuda.ptx import LEVELS
from fastnet._kernels.errors import quoted
from fastnet.engine import dump as dumping
from fastnet.engine.cuda import current
from fastnet.engine.cuda.driver import Driver, Node


class _NoDriver(Driver):
    """A GPU that has addresses, and runs nothing."""

    name, processors = "no GPU", 132

    def __init__(self, level: str):
        self.level, self._next = level, 1 << 32

    def allocate(self, size: int) -> int:
        address, self._next = self._next, self._next + -(-size // 256) * 256
        return address

    def free(self, address: int) -> None:
        pass

    def memory(self) -> tuple[int, int]:
        return 1 << 40, 1 << 40

    def page_locked(self, size: int) -> np.ndarray:
        return np.empty(size, np.uint8)

    def upload(self, address: int, array: np.ndarray) -> None:
        pass

    def upload_beside(self, address: int, array: np.ndarray) -> None:
        pass

    def download(self, array: np.ndarray, address: int) -> None:
        pass

    def load(self, ptx: str, name: str) -> Any:
        return name

    def launch(self, node: Node) -> None:
        raise AssertionError("it runs nothing")

    def capture(self, nodes: Sequence[Node]) -> Any:
        return nodes

    def replay(self, graph: Any, count: int) -> None:
        raise AssertionError("it runs nothing")

    def times(self, nodes: Sequence[Node]) -> list[float]:
        raise AssertionError("it runs nothing")

    def synchronize(self) -> None:
        pass


def dump(model: Any, folder: str | os.PathLike[str], device: str = "cpu", batch_size: int = 32) -> Path:
    """Write the launches of a training step, and their code as text, to a folder; see `engine.dump.dump`.

    Args:
        model: a compiled model that knows the shape of a sample.
        folder: is made.
        device: "cpu", or "cuda:LEVEL" with a level of NVIDIA's architecture, such as "cuda:sm_90"; no GPU is needed.
        batch_size: rows in a step.

    Raises:
        ValueError: the device is unknown, the batch has no rows, or the model is not compiled, or does not know the
            shape of a sample.

    Example:
        >>> model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> import tempfile
        >>> folder = testing.dump(model, tempfile.mkdtemp(), device="cuda:sm_75")
        >>> any(path.suffix == ".ptx" for path in folder.iterdir())
        True
    """
    levels = {"cpu": None, "cuda": "sm_90", **{f"cuda:{level}": level for level in LEVELS}}
    if device not in levels:
        raise ValueError(
            f"dump: the device must be 'cpu' or 'cuda:LEVEL' with one of {', '.join(LEVELS)}, received "
            f"{quoted(device)}."
        )
    rows = checks.integer("dump: batch_size", batch_size)
    twin = models.clone_model(model)
    if (arguments := model.get_compile_config()) is not None:
        twin.compile_from_config(arguments)
    twin.device = device.partition(":")[0]
    mode, sources = warmup.training_of(twin, rows)
    level = levels[device]
    with contextlib.nullcontext() if level is None else current.used(_NoDriver(level)):
        return dumping.dump(twin._trainer.plans.make(mode, rows, sources).executable, folder)
