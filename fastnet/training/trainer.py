"""Runs plans over data: epochs, batches, evaluation and prediction, and what happens when a number is not finite."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine import changes
from fastnet.engine.step import lower
from fastnet.layers.base import all_parts
from fastnet.engine.sources import Source, permutation
from fastnet.training.nonfinite import NonFiniteError, Snapshot, finite, overflow_at_end, report
from fastnet.training.samples import Part
from fastnet.training.session import Lease, Ready

CHUNK_SECONDS = 0.1  # how long the runner may work before Python looks in: progress, Ctrl-C
KEPT = 8  # bound plans a model keeps
OK, CHECKED, NONFINITE_STEP = 0, 1, 2


@dataclass(frozen=True)
class Watch:
    """Who looks on: ``end(steps, logs)`` is called after each chunk of steps, ``begin(step)`` before it where `single`.

    Attributes:
        single: whether a chunk is one step.
        most: gives the most steps until `end` must be called; None for any number.
    """

    single: bool = False
    begin: Callable[[int], Any] = lambda step: None
    end: Callable[[int, Callable], Any] = lambda steps, logs: None
    most: Callable[[], int | None] = lambda: None


SILENT = Watch()


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
        self.ordered = 0  # epoch whose permutation was asked for last
        self.snapshot = Snapshot()
        self.rates: list[tuple[int, float]] = []  # since the snapshot: the iteration from which on, the learning rate
        self.sources: tuple[Source, ...] | None = None
        self.process: object = None
        self.renew_locks()
        self.fits: dict[tuple, int] = {}  # shapes of a sample and its targets that fit: classes, 0 without labels
        self.began = 0  # iteration at which this training began
        self.before_build: Any = None  # what a build for the first data changed, until there is a plan for these
        self._known = -1  # weights with optimizer state when `variables` was asked for last
        self._variables: list[Any] = []
        self._structure: tuple[object, tuple] = (None, ())  # what it was found at, and what it was

    def renew_locks(self) -> None:
        """Make locks of this process's own: in a forked child no thread would ever give its parent's back."""
        if self.process is not changes.process.now:
            self.alone = threading.Lock()  # held while the model is trained
            self.taking = threading.Lock()  # held while plans are looked up
            self.process = changes.process.now  # last: another thread that sees it finds the new locks

    def must_be_idle(self) -> None:
        """Raise where the model is being trained: neither its layers nor how it is compiled may change then."""
        self.renew_locks()
        if self.alone.locked():
            raise RuntimeError(
                "This model is being trained: by another thread, or by the fit that this callback belongs to. Compile "
                "it, add and remove layers before or after; within a callback do so with a copy, copy.deepcopy(model)."
            )

    def finish(self) -> None:
        """End training; what the last step did to the weights is looked at too."""
        weights = self.network.trainable_weights
        if self.network.optimizer.iterations != self.began and not all(finite(v.array) for v in weights):
            raise overflow_at_end(self)
        self.network.optimizer.finalize_variable_values(weights)

    def take_back_build(self) -> None:
        """Unbuild what was built for the first data, where there was no plan for them."""
        before, self.before_build = self.before_build, None
        if before is not None:
            before.restore()

    def forget(self) -> None:
        """The network has changed: its plans are void."""
        self.ready.clear()
        self.fits.clear()
        self._known = -1
        self._structure = (None, ())

    def lease(self, mode: str, rows: int, *sources: Source) -> Lease:
        """A plan for batches of ``rows`` that no other thread uses meanwhile, as a context.

        Raises:
            RuntimeError: on entry, where ``mode`` is "train" and this model is being trained already.
        """
        return Lease(self, mode, rows, sources)

    def take(self, mode: str, rows: int, sources: tuple[Source, ...]) -> tuple[Ready, list[Ready]]:
        """A plan that is free, and the list it goes back to."""
        optimizer = self.network.optimizer if mode == "train" else None
        version = (optimizer, optimizer.version) if optimizer is not None else None
        key = (mode, rows, tuple([source.signature for source in sources]), self.structure(), version)
        with self.taking:
            free = self.ready.pop(key, [])
            self.ready[key] = free  # last, as the one used last
            if len(self.ready) > KEPT:
                del self.ready[next(iter(self.ready))]
            ready = free.pop() if free else None
        if ready is None:
            ready = self.make(mode, rows, *sources)
            self.before_build = None
        ready.connect(*sources)
        return ready, free

    def structure(self) -> tuple:
        """All of the network that decides what its plans are, but for the layers themselves."""
        now = changes.arguments.now
        if self._structure[0] is not now:
            self._structure = now, tuple([(part.trainable, part.changes) for part in all_parts(self.network)])
        return self._structure[1]

    def make(
        self,
        mode: str,
        rows: int,
        x: Source,
        y: Source | None = None,
        weights: Source | None = None,
        *,
        reuse: bool = True,
    ) -> Ready:
        """A new plan with its memory and kernels."""
        network = self.network
        loss, optimizer, metrics = None, None, ()
        if mode != "predict":
            loss = network.loss
            metrics = network.metrics_for(network.sample_output_shape(x.signature[0]))
        if mode == "train":
            optimizer = network.optimizer
            optimizer.build(network.trainable_weights)
        low = lower(
            network, mode, rows, x.signature, y.signature if y else None, loss, metrics, optimizer, reuse,
            weights.signature if weights else None,
        )  # fmt: skip
        ready = Ready(low, rows, reuse)
        ready.version = 0 if optimizer is None else optimizer.version
        return ready

    def train_epoch(self, lease: Lease, feed: Any, watch: Watch, steps: int = 0) -> dict[str, float]:
        """One pass over the data of a feed (`feeding`), or what is left after ``steps``; the loss and the metrics.

        Empty where there was no batch.
        """
        if not steps:
            lease.ready.reset()
        with contextlib.closing(feed.parts(watch.single)) as parts:
            for part in parts:
                steps = self._train_part(lease, part, steps, watch)
                if self.network.stop_training:
                    break
        lease.ready.tell()
        return lease.ready.logs() if steps else {}

    def _train_part(self, lease: Lease, part: Part, steps: int, watch: Watch) -> int:
        ready = lease.connect(part)
        variables, first = self.variables(), part.first
        while first < part.total and not (steps and self.network.stop_training):
            if self.snapshot.consider(variables, self.network.optimizer.iterations, first if part.kept else None):
                self.rates.clear()
            if watch.single:
                watch.begin(steps)
            # As in Keras, an epoch that begins has a step, wherever a callback said that training should stop.
            most = 1 if self.network.stop_training else _steps_ahead(ready, part, first, watch)
            most = min(most, watch.most() or most)
            done, status = self._run(ready, first, part.total, part.batch, most)
            if done:
                ready.show(min(part.batch, part.total - first))
            first, steps = first + done * part.batch, steps + done
            if status == CHECKED:
                if not part.kept:
                    part, first = part.alone(first), 0
                    self.sources = part.sources
                    ready.connect(*part.sources)
                error = report(self, ready, first, part.total, part.batch, part.order)
                error.batch = steps
                raise error
            watch.end(steps, ready.logs)
            if lease.stale:  # a callback has changed an argument of the optimizer
                ready = lease.connect(part)
                self.snapshot.due = 0.0
        return steps

    def prepare(self, ready: Ready, order: np.ndarray | None) -> None:
        """Give a plan the seed of its masks and the order of its rows."""
        ready.step[abi.SEED] = self.seed
        ready.step[abi.ORDER] = 0 if order is None else order.ctypes.data

    def _run(
        self, ready: Ready, first: int, total: int, batch: int, most: int, rate: float | None = None, times: Any = None
    ) -> tuple[int, int]:
        """Train for a chunk of at most ``most`` steps; ``times`` gets the seconds of each launch added."""
        optimizer = self.network.optimizer
        ready.step[abi.ITERATION] = optimizer.iterations
        if optimizer.scheduled:
            rates = optimizer.rates(min(most, 10_000))
            ready.step[abi.RATES], ready.step[abi.RATES_COUNT] = rates.ctypes.data, len(rates)
            most = len(rates)
        else:
            if rate is None:
                rate = optimizer.fixed_rate
                if not self.rates or rate != self.rates[-1][1]:
                    self.rates.append((optimizer.iterations, rate))
            ready.numbers[abi.RATE], ready.step[abi.RATES] = rate, 0
        before = optimizer.iterations
        try:
            return ready.bound.execution.run(first, total, batch, most, CHUNK_SECONDS, times)
        finally:  # Ctrl-C arrives when the runner is back, before its answer does: its steps count all the same
            ready.step[abi.RATES] = 0  # they live no longer than this call
            optimizer.advance(int(ready.step[abi.ITERATION]) - before)

    def repeat(self, ready: Ready, first: int, total: int, batch: int) -> None:
        """Do one step again, with the learning rate it had."""
        at = self.network.optimizer.iterations
        rate = next((rate for since, rate in reversed(self.rates) if since <= at), None)
        self._run(ready, first, total, batch, 1, rate)

    def train_batch(self, ready: Ready, rows: int) -> dict[str, float]:
        """One step on the rows that are connected."""
        ready.reset()
        self.prepare(ready, None)
        self.snapshot.consider(self.variables(), self.network.optimizer.iterations, None)
        _, status = self._run(ready, 0, rows, rows, 1)
        if status == CHECKED:
            raise report(self, ready, 0, rows, rows, None)
        ready.show(rows)
        ready.tell()
        return ready.logs()

    def run_all(self, lease: Lease, feed: Any, watch: Watch, enter: Callable | None = None) -> int:
        """Evaluate or predict a pass of a feed; its steps. ``enter(ready, part)`` is called before each part."""
        steps = 0
        with contextlib.closing(feed.parts(watch.single)) as parts:
            for part in parts:
                ready = lease.connect(part)
                if enter is not None:
                    enter(ready, part)
                steps = self.run_part(ready, part, steps, watch)
        lease.ready.tell()
        return steps

    def run_part(self, ready: Ready, part: Part, steps: int = 0, watch: Watch = SILENT) -> int:
        """Evaluate or predict the rows of a part, which is connected."""
        first = part.first
        while first < part.total:
            if watch.single:
                watch.begin(steps)
            most = _steps_ahead(ready, part, first, watch)
            done, _ = ready.bound.execution.run(first, part.total, part.batch, most, CHUNK_SECONDS)
            ready.show(min(part.batch, part.total - first))
            first, steps = first + done * part.batch, steps + done
            watch.end(steps, ready.logs)
        return steps

    def order(self, rows: int) -> np.ndarray:
        """A fresh permutation."""
        self.ordered = self.epochs_done
        return permutation(rows, self.seed, self.ordered)

    def variables(self) -> Sequence[Any]:
        """All that training changes: weights and optimizer state."""
        optimizer = self.network.optimizer
        states = optimizer.states
        if len(states) != self._known:
            weights = self.network.variables
            self._variables = [v for weight in weights for v in (weight, *states.get(weight, ()))] + optimizer.memory
            self._known = len(states)
        return self._variables

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Put back what training within it changed; not after a `NonFiniteError`, which tells what the weights are."""
        variables, iterations = self.variables(), self.network.optimizer.iterations
        kept = [v.array.copy() for v in variables]
        with contextlib.ExitStack() as stack:
            stack.callback(self._put_back, variables, kept, iterations)
            try:
                yield
            except NonFiniteError:
                stack.pop_all()
                raise

    def _put_back(self, variables: Sequence[Any], arrays: Sequence[np.ndarray], iterations: int) -> None:
        for variable, array in zip(variables, arrays, strict=True):
            np.copyto(variable.array, array)
        self.network.optimizer.iterations = iterations
        self.snapshot.due = 0.0  # it is of steps that were not

    def profile(self, ready: Ready, total: int, batch: int, seconds: float) -> tuple[np.ndarray, int]:
        """Train for some time; (seconds of each launch, steps)."""
        times, steps, end = np.zeros(len(ready.low.plan.launches)), 0, time.perf_counter() + seconds
        optimizer = self.network.optimizer
        self.prepare(ready, None)
        while steps == 0 or time.perf_counter() < end:
            if self.snapshot.consider(self.variables(), optimizer.iterations, 0):
                self.rates.clear()
            first = 0
            while first < total and (steps == 0 or time.perf_counter() < end):
                done, status = self._run(ready, first, total, batch, total, times=times)
                first, steps = first + done * batch, steps + done
                if status == CHECKED:
                    raise report(self, ready, first, total, batch, None)
        return times, steps


def _steps_ahead(ready: Ready, part: Part, first: int, watch: Watch) -> int:
    """The most steps until Python must look in: one where somebody wants to see each batch."""
    return 1 if watch.single or ready.watched else -(-(part.total - first) // part.batch)
