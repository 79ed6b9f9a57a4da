"""Many models in one launch, a block of threads each, with their own weights, seeds and rates."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, optimizers, testing
from fastnet._kernels import abi
from fastnet.engine.cuda.binder import Binder
from fastnet.engine.sources import Source
from fastnet.engine.variable import Variable
from fastnet.engine.view import SIZES, View

RATES = [0.1, 0.01, 0.3]
ROWS, BATCH = 20, 5


def model(number):
    made = fastnet.Sequential(
        [layers.Input((6,)), layers.Dense(9, "relu"), layers.Dropout(0.2), layers.Dense(3)], seed=number
    )
    made.compile(optimizers.Adam(RATES[number]), losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 6)).astype("f"), rng.integers(0, 3, ROWS)


class Population:
    """Models of one plan, whose memory lies a stride apart: step block, buffers, weights and states."""

    def __init__(self, gpu, models, x, y):
        self.gpu, self.models = gpu, models
        sources = Source(x), Source(y)
        self.steps = [m._trainer.plans.make("train", BATCH, sources) for m in models]
        first = self.steps[0].executable
        self.places, size = {}, first.step.nbytes + first.arena_bytes
        for variable in self.variables(0):
            self.places[id(variable)] = size = -(-size // 64) * 64
            size += variable.array.nbytes
        self.stride = -(-size // 256) * 256
        self.memory = gpu.allocate(self.stride * len(models))
        self.data = [gpu.allocate(array.nbytes) for array in (x, y)]
        for address, array in zip(self.data, (x, y), strict=True):
            gpu.upload(address, array)

    def variables(self, number):
        plan = self.steps[number].plan
        found = {id(o): o for launch in plan.launches for o, _ in launch.access if isinstance(o, Variable)}
        return list(found.values())

    def address(self, operand):
        first = self.steps[0].executable
        if isinstance(operand, View):
            start = first.step.nbytes + first.offsets[operand.buffer]
            return self.memory + start + operand.offset * SIZES[operand.dtype]
        if isinstance(operand, Variable):
            return self.memory + self.places[id(operand)]
        return self.memory + 8 * operand.index

    def run(self, steps):
        for number, step in enumerate(self.steps):
            base, block = self.memory + number * self.stride, step.executable.step
            for inlet, address, row in zip((step.x, step.y), self.data, (24, 8), strict=True):
                block[inlet.slots.index : inlet.slots.index + 4] = address, row, 0, 0
            block[abi.ROWS], block[abi.BATCH], block[abi.TOTAL] = BATCH, BATCH, ROWS
            block[abi.SEED] = self.models[number]._trainer.seed
            step.executable.scalars[abi.RATE] = RATES[number]
            self.gpu.upload(base, block)
            for place, variable in zip(self.places.values(), self.variables(number), strict=True):
                self.gpu.upload(base + place, variable.array)
        first = self.steps[0].executable
        binder = Binder(self.gpu, self.memory, self.address)
        binder.processors = 1
        first._binder, first._launches = binder, {}
        self.gpu.launch(binder.steps(first.launches_at(BATCH), BATCH, self.stride, len(self.models)).node(steps))
        for number in range(len(self.models)):
            for place, variable in zip(self.places.values(), self.variables(number), strict=True):
                self.gpu.download(variable.array, self.memory + number * self.stride + place)


@pytest.mark.parametrize("count", [1, 3])
def test_models_train_side_by_side(count):
    x, y = data()
    alone = [model(number) for number in range(count)]
    for each in alone:
        each.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    with testing.machine_gpu() as gpu:
        together = [model(number) for number in range(count)]
        for each in together:
            each.device = "cuda"
        Population(gpu, together, x, y).run(ROWS // BATCH)
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            assert np.array_equal(a, b)
