"""Runs plans over data: epochs, batches, evaluation and prediction, and what happens when a number is not finite."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine.cpu import Bound
from fastnet.engine.data import Source, permutation
from fastnet.engine.lower import Lowered, lower
from fastnet.engine.nonfinite import Snapshot, finite, overflow_at_end, report

CHUNK_SECONDS = 0.1  # how long the runner may work before Python looks in: progress, Ctrl-C
KEPT = 8  # bound plans a model keeps
OK, CHECKED, NONFINITE_STEP = 0, 1, 2


class Ready:
    """A plan bound to memory, with its handles."""

    def __init__(self, low: Lowered, rows: int, reuse: bool = True):
        pinned = [low.target] if low.target is not None else []
        self.low, self.bound = low, Bound(low.plan, rows, pinned, reuse)
        self.step, self.numbers = self.bound.step, self.bound.numbers

    def connect(self, x: Source, y: Source | None) -> None:
        """Read from these arrays from now on."""
        self.low.x.connect(self.step, x)
        if self.low.y is not None and y is not None:
            self.low.y.connect(self.step, y)
        self.step[abi.ORDER] = 0

    def reset(self) -> None:
        """Start the totals of the loss and the metrics anew."""
        for _, slot in self.low.totals:
            self.numbers[slot.index : slot.index + 2] = 0.0

    def logs(self) -> dict[str, float]:
        """The means so far."""
        out = {}
        for name, slot in self.low.totals:
            total, count = self.numbers[slot.index : slot.index + 2]
            out[name] = float(total / count) if count else 0.0
        return out


class Lease:
    """A plan that no other thread uses meanwhile; a class, since a generator's context costs more at each step."""

    __slots__ = ("free", "mode", "ready", "rows", "trainer", "x", "y")

    def __init__(self, trainer: Trainer, mode: str, rows: int, x: Source, y: Source | None):
        self.trainer, self.mode, self.rows, self.x, self.y = trainer, mode, rows, x, y

    def __enter__(self) -> Ready:
        trainer = self.trainer
        if self.mode == "train" and not trainer.alone.acquire(blocking=False):
            raise RuntimeError("This model is being trained by another thread. Train it in one thread at a time.")
        try:
            self.ready, self.free = trainer.take(self.mode, self.rows, self.x, self.y)
        except BaseException:
            if self.mode == "train":
                trainer.alone.release()
            raise
        if self.mode == "train":
            trainer.sources = self.x, self.y
        return self.ready

    def __exit__(self, *error: object) -> None:
        self.free.append(self.ready)
        if self.mode == "train":
            self.trainer.sources = None  # the model does not keep its data alive
            self.trainer.alone.release()


class Trainer:
    """The plans of one network and what runs them.

    Args:
        network: gives ``layers_to_run``, ``loss``, ``metrics_for(...)`` and ``optimizer`` (a `Sequential`).
        draw_seed: gives the seed of its permutations and masks.
    """

    def __init__(self, network: Any, draw_seed: Callable[[], int]):
        self.network = network
        self.ready: dict[tuple, list[Ready]] = {}
        self.seed = draw_seed()
        self.epochs_done = 0
        self.snapshot = Snapshot()
        self.sources: tuple[Source, Source | None] | None = None
        self.alone = threading.Lock()  # held while the model is trained
        self._known = -1  # weights with optimizer state when `variables` was asked for last
        self._variables: list[Any] = []

    def finish(self) -> None:
        """End training; what the last step did to the weights is looked at too."""
        weights = (v for layer in self.network.layers_to_run for v in layer.trainable_weights)
        if not all(finite(v.array) for v in weights):
            raise overflow_at_end(self)

    def forget(self) -> None:
        """The network has changed: its plans are void."""
        self.ready.clear()
        self._known = -1

    def lease(self, mode: str, rows: int, x: Source, y: Source | None = None) -> Lease:
        """A plan for batches of ``rows`` that no other thread uses meanwhile, as a context.

        Raises:
            RuntimeError: on entry, where ``mode`` is "train" and another thread trains this model.
        """
        return Lease(self, mode, rows, x, y)

    def take(self, mode: str, rows: int, x: Source, y: Source | None) -> tuple[Ready, list[Ready]]:
        """A plan that is free, and the list it goes back to."""
        trainable = tuple([layer.trainable for layer in self.network.layers_to_run])
        key = (mode, rows, x.signature, None if y is None else y.signature, trainable)
        free = self.ready.pop(key, [])
        self.ready[key] = free  # last, as the one used last
        try:
            ready = free.pop()
        except IndexError:
            ready = self.make(mode, rows, x, y)
            if len(self.ready) > KEPT:
                self.ready.pop(next(iter(self.ready)), None)
        ready.connect(x, y)
        return ready, free

    def make(self, mode: str, rows: int, x: Source, y: Source | None, reuse: bool = True) -> Ready:
        """A new plan with its memory and kernels."""
        network = self.network
        layers = network.layers_to_run
        loss, optimizer, metrics = None, None, ()
        if mode != "predict":
            loss = network.loss
            metrics = network.metrics_for(layers[-1].output_shape)
        if mode == "train":
            optimizer = network.optimizer
            optimizer.build([v for layer in layers for v in layer.trainable_weights])
        low = lower(
            layers, mode, rows, x.signature, None if y is None else y.signature, loss, metrics, optimizer, reuse
        )
        return Ready(low, rows, reuse)

    def train_epoch(
        self, ready: Ready, total: int, batch: int, order: np.ndarray | None, each: Callable, one_step: bool
    ):
        """One pass over the data; ``each(steps, logs)`` is called between chunks, or steps where ``one_step``."""
        ready.reset()
        self._prepare(ready, order)
        variables = self.variables()
        first = steps = 0
        while first < total and not self.network.stop_training:
            self.snapshot.consider(variables, self.network.optimizer.iterations, first)
            most = 1 if one_step else -(-(total - first) // batch)
            done, status = self._run(ready, first, total, batch, most)
            first, steps = first + done * batch, steps + done
            if status == CHECKED:
                raise report(self, ready, first, total, batch, order)
            each(steps, ready.logs)
        return ready.logs()

    def _prepare(self, ready: Ready, order: np.ndarray | None) -> None:
        ready.step[abi.SEED] = self.seed
        ready.step[abi.ORDER] = 0 if order is None else order.ctypes.data

    def _run(self, ready: Ready, first: int, total: int, batch: int, most: int) -> tuple[int, int]:
        """Train for a chunk of at most ``most`` steps."""
        optimizer = self.network.optimizer
        ready.step[abi.ITERATION] = optimizer.iterations
        rate = optimizer.learning_rate
        if callable(rate):
            rates = optimizer.rates(min(most, 10_000))
            ready.step[abi.RATES], ready.step[abi.RATES_COUNT] = rates.ctypes.data, len(rates)
            most = len(rates)
        else:
            ready.numbers[abi.RATE], ready.step[abi.RATES] = rate, 0
        done, status = ready.bound.execution.run(first, total, batch, most, CHUNK_SECONDS)
        optimizer.iterations += done
        return done, status

    def train_batch(self, ready: Ready, rows: int) -> dict[str, float]:
        """One step on the rows that are connected."""
        ready.reset()
        self._prepare(ready, None)
        self.snapshot.consider(self.variables(), self.network.optimizer.iterations, None)
        _, status = self._run(ready, 0, rows, rows, 1)
        if status == CHECKED:
            raise report(self, ready, 0, rows, rows, None)
        return ready.logs()

    def run_all(
        self, ready: Ready, total: int, batch: int, each: Callable | None = None, one_step: bool = False
    ) -> None:
        """Evaluate or predict every row."""
        first = steps = 0
        while first < total:
            most = 1 if one_step else -(-(total - first) // batch)
            done, _ = ready.bound.execution.run(first, total, batch, most, CHUNK_SECONDS)
            first, steps = first + done * batch, steps + done
            if each is not None:
                each(steps, ready.logs)

    def order(self, rows: int) -> np.ndarray:
        """A fresh permutation."""
        return permutation(rows, self.seed, self.epochs_done)

    def variables(self) -> Sequence[Any]:
        """All that training changes: weights and optimizer state."""
        states = self.network.optimizer.states
        if len(states) != self._known:
            weights = [v for layer in self.network.layers_to_run for v in layer.variables]
            self._variables = [v for weight in weights for v in (weight, *states.get(weight, ()))]
            self._known = len(states)
        return self._variables

    def profile(self, ready: Ready, total: int, batch: int, seconds: float) -> tuple[np.ndarray, int]:
        """Train for some time; (seconds of each launch, steps)."""
        times, steps, end = np.zeros(len(ready.low.plan.launches)), 0, time.perf_counter() + seconds
        optimizer = self.network.optimizer
        self._prepare(ready, None)
        while steps == 0 or time.perf_counter() < end:
            ready.step[abi.ITERATION] = optimizer.iterations
            ready.numbers[abi.RATE] = optimizer.rates(1)[0]
            done, status = ready.bound.execution.run(0, total, batch, -(-total // batch), seconds, times)
            if status == CHECKED:
                raise report(self, ready, done * batch, total, batch, None)
            optimizer.iterations += done
            steps += done
        return times, steps
