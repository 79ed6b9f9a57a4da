"""Many models in one launch of a GPU, a block of threads each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine.cuda.binder import Binder
from fastnet.engine.cuda.driver import Driver
from fastnet.engine.cuda.memory import DeviceArray, copied
from fastnet.engine.sources import Source
from fastnet.engine.variable import Variable
from fastnet.engine.view import SIZES, View


class Population:
    """Models of one plan, whose memory lies a stride apart: step block, buffers, weights and states.

    Every model has weights, seed and learning rate of its own. All read the same rows of float32 in the same order.

    Args:
        gpu: the driver of the GPU.
        models: compiled, and alike but for their numbers; a step must fit one block (`engine/cuda/executable.SMALL`).
        x, y: (rows, features) float32, (rows,) int64.
        batch: rows of a step.
    """

    def __init__(self, gpu: Driver, models: Sequence[Any], x: np.ndarray, y: np.ndarray, batch: int):
        self.gpu, self.models, self.x, self.y, self.batch = gpu, models, x, y, batch
        sources = Source(x), Source(y)
        self.steps = [model._trainer.plans.make("train", batch, sources) for model in models]
        first: Any = self.steps[0].executable
        self.places: dict[int, int] = {}
        self.start = -(-(first.step.nbytes + first.narrowed().nbytes) // 64) * 64  # of the buffers
        size = self.start + first.arena_bytes
        for variable in self._variables(0):
            self.places[id(variable)] = size = -(-size // 64) * 64
            size += variable.array.nbytes
        self.stride = -(-size // 256) * 256
        self.memory = DeviceArray(gpu, self.stride * len(models))
        self.data = [copied(gpu, array) for array in (x, y)]
        binder = Binder(gpu, first.plan, self.memory.address, self._address)
        binder.processors = 1
        first._binder, first._launches = binder, {}
        self.launch = binder.steps(first.launches_at(batch), batch, self.stride, len(models))

    def _variables(self, number: int) -> list[Variable]:
        plan = self.steps[number].plan
        found = {id(o): o for launch in plan.launches for o, _ in launch.access if isinstance(o, Variable)}
        return list(found.values())

    def _address(self, operand: Any) -> int:
        first = self.steps[0].executable
        if isinstance(operand, View):
            start = self.memory.address + self.start + first.offsets[operand.buffer]
            return start + operand.offset * SIZES[operand.dtype]
        if isinstance(operand, Variable):
            return self.memory.address + self.places[id(operand)]
        return self.memory.address + 8 * operand.index

    def send(self) -> None:
        """Copy weights, states and numbers of the models to the device; the next step is the first one of an epoch."""
        for number, step in enumerate(self.steps):
            base, block = self.memory.address + number * self.stride, step.executable.step
            for inlet, memory, array in zip((step.x, step.y), self.data, (self.x, self.y), strict=True):
                assert inlet is not None
                block[inlet.slots.index : inlet.slots.index + 4] = memory.address, array.strides[0], 0, 0
            block[abi.ROWS], block[abi.BATCH], block[abi.TOTAL] = self.batch, self.batch, len(self.x)
            block[abi.SEED] = self.models[number]._trainer.seed
            step.executable.scalars[abi.RATE] = self.models[number].optimizer.learning_rate
            self.gpu.upload(base, block)
            self.gpu.upload(base + block.nbytes, step.executable.narrowed())
            for place, variable in zip(self.places.values(), self._variables(number), strict=True):
                self.gpu.upload(base + place, variable.array)

    def run(self, steps: int) -> None:
        """Start this many steps of every model."""
        self.gpu.launch(self.launch.node(steps))

    def fetch(self) -> None:
        """Copy weights and states back."""
        for number in range(len(self.models)):
            for place, variable in zip(self.places.values(), self._variables(number), strict=True):
                self.gpu.download(variable.array, self.memory.address + number * self.stride + place)
