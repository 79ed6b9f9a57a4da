"""Runs sessions over samples: the steps of an epoch, of an evaluation, of a prediction, of a profile."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine import _runner
from fastnet.engine.sources import permutation
from fastnet.training import nonfinite, own_steps
from fastnet.training.plan_cache import PlanCache
from fastnet.training.samples import Samples, Segment, Sources
from fastnet.training.session import Session

CHUNK_SECONDS = 0.1  # how long the runner may work before Python looks in: progress, Ctrl-C


@dataclass(frozen=True)
class Hooks:
    """Functions called between chunks of steps.

    Args:
        one_step: whether a chunk is one step, before which ``before(step)`` is called.
        before: see ``one_step``.
        after: ``after(steps, logs)`` is called after each chunk; ``logs()`` gives the loss and the metrics.
        limit: gives the most steps until ``after`` must be called; None for any number.
        stopped: whether an evaluation or a prediction must end here.
        own: the method of the model's class that makes each step; None where it defines none.
    """

    one_step: bool = False
    before: Callable[[int], Any] = lambda step: None
    after: Callable[[int, Callable], Any] = lambda steps, logs: None
    limit: Callable[[], int | None] = lambda: None
    stopped: Callable[[], bool] = lambda: False
    own: str | None = None


class Trainer:
    """Runs the plans of one network, and knows what a training depends on beside its weights.

    Args:
        network: a `Sequential`.
        seed: of its permutations and masks.

    Attributes:
        plans: the network's bound plans.
        epochs_done: epochs that used the seed.
        ordered_epoch: the epoch whose permutation was asked for last.
        is_advised: whether the model was looked at for mistakes (`advice`).
        snapshot: of all that training changes.
        rates: the learning rates since the snapshot, each with the iteration from which it held.
    """

    def __init__(self, network: Any, seed: int):
        self.network = network
        self.plans = PlanCache(network)
        self.seed = seed
        self.epochs_done = 0
        self.ordered_epoch = 0
        self.is_advised = False
        self.snapshot = nonfinite.Snapshot()
        self.rates: list[tuple[int, float]] = []
        self._own_logs: dict[str, Any] = {}  # of the last step that the model's own method made
        self._variables: list[Any] = []
        self._states_known = -1  # weights with optimizer state when `variables` was asked for last

    def forget(self) -> None:
        """Drop all that follows from the network as it was: it has changed."""
        self.plans.forget()
        self._states_known = -1

    def session(self, mode: str, rows: int, sources: Sources) -> Session:
        """A plan for batches of ``rows``, see `Session`."""
        return Session(self.plans, mode, rows, sources)

    def order(self, rows: int) -> np.ndarray:
        """A new permutation."""
        self.ordered_epoch = self.epochs_done
        return permutation(rows, self.seed, self.ordered_epoch)

    def variables(self) -> Sequence[Any]:
        """All that training changes: weights and optimizer state."""
        optimizer = self.network.optimizer
        states = optimizer.states
        if len(states) != self._states_known:
            weights = self.network.variables
            self._variables = [v for weight in weights for v in (weight, *states.get(weight, ()))] + optimizer.memory
            self._states_known = len(states)
        return self._variables

    # ---- training

    def train_epoch(self, session: Session, samples: Samples, hooks: Hooks, steps: int = 0) -> dict[str, float]:
        """One pass over samples, or its remainder after ``steps``; the loss and the metrics, none without a batch."""
        if not steps:
            session.reset()
        with contextlib.closing(samples.segments(hooks.one_step)) as segments:
            for segment in segments:
                steps = self._train_segment(session, segment, steps, hooks)
                if self.network.stop_training:
                    break
        session.publish()
        return self.pass_logs(session, hooks) if steps else {}

    def pass_logs(self, session: Session, hooks: Hooks) -> dict[str, Any]:
        """The logs of a pass: those of the model's own method, as in Keras, where it adds or leaves out some."""
        logs = session.logs()
        return logs if hooks.own is None or self._own_logs.keys() == logs.keys() else self._own_logs

    def _own_step(
        self, session: Session, segment: Segment, first: int, method: str, run: Callable[[], tuple[int, int]]
    ) -> tuple[int, int]:
        """Let the model's own method make a step, which ``run`` runs; what ``run`` gives."""
        results: list[tuple[int, int]] = []

        def step() -> dict[str, Any]:
            results.append(run())
            if results[0][0]:
                session.show(min(segment.batch_size, segment.total - first))
            return session.logs()

        self._own_logs = own_steps.run_step(self.network, method, own_steps.rows_of(segment, first), step)
        return results[0]

    def _logs(self, session: Session, hooks: Hooks) -> Callable[[], dict[str, Any]]:
        """The function that gives the logs after a step."""
        return session.logs if hooks.own is None else lambda: self._own_logs

    def _train_segment(self, session: Session, segment: Segment, steps: int, hooks: Hooks) -> int:
        self._adopt(session, segment)
        first = segment.first
        while first < segment.total and not (steps and self.network.stop_training):
            self._snapshot(self.variables(), first if segment.repeatable else None)
            if hooks.one_step:
                hooks.before(steps)
                self._renew(session, segment)
            # As in Keras, an epoch that begins has a step, wherever a callback said that training should stop.
            limit = 1 if self.network.stop_training else _steps_ahead(session, segment, first, hooks)
            limit = min(limit, hooks.limit() or limit)
            if hooks.own is None:
                done, status = self._run(session, first, segment.total, segment.batch_size, limit)
                if done:
                    session.show(min(segment.batch_size, segment.total - first))
            else:
                run = functools.partial(self._run, session, first, segment.total, segment.batch_size, 1)
                done, status = self._own_step(session, segment, first, hooks.own, run)
            first, steps = first + done * segment.batch_size, steps + done
            if status != _runner.OK:
                error = nonfinite.error_of_step(self, session, segment, first)
                error.batch = steps
                raise error
            hooks.after(steps, self._logs(session, hooks))
            self._renew(session, segment)
        return steps

    def train_batch(self, session: Session) -> dict[str, float]:
        """One step on the rows that the session reads."""
        rows = session.rows
        session.reset()
        session.block[abi.SEED] = self.seed
        self._snapshot(self.variables(), None)
        _, status = self._run(session, 0, rows, rows, 1)
        if status != _runner.OK:
            raise nonfinite.error_of_step(self, session, Segment(session.sources, 0, rows, rows), 0)
        if not session.step.totals:  # a step on a gradient counts nothing
            return {}
        session.show(rows)
        session.publish()
        return session.logs()

    def _adopt(self, session: Session, segment: Segment) -> None:
        session.adopt(segment)
        session.block[abi.SEED] = self.seed

    def _renew(self, session: Session, segment: Segment) -> None:
        """Take another plan where a callback has changed what plans follow from."""
        if session.is_stale:
            self._adopt(session, segment)
            self.snapshot.due = 0.0

    def _snapshot(self, variables: Sequence[Any], first: int | None) -> None:
        if self.snapshot.renew_if_due(variables, self.network.optimizer.iterations, first):
            self.rates.clear()

    def _run(
        self, session: Session, first: int, total: int, batch_size: int, limit: int, rate: float | None = None,
        times: Any = None,
    ) -> tuple[int, int]:  # fmt: skip
        """Train on rows ``[first, total)`` for a chunk of at most ``limit`` steps; (steps, status).

        Args:
            rate: the learning rate, where it is not the optimizer's.
            times: gets the seconds of each launch added.
        """
        optimizer, block = self.network.optimizer, session.block
        first_iteration = optimizer.iterations
        block[abi.ITERATION] = first_iteration
        if optimizer.scheduled:
            rates = optimizer.rates(min(limit, 10_000))
            session.executable.place(abi.RATES, rates)
            block[abi.RATES_COUNT] = len(rates)
            limit = len(rates)
        else:
            if rate is None:
                rate = optimizer.fixed_rate
                if not self.rates or rate != self.rates[-1][1]:
                    self.rates.append((first_iteration, rate))
            session.scalars[abi.RATE], block[abi.RATES] = rate, 0
        try:
            done, status = session.executable.run(first, total, batch_size, limit, CHUNK_SECONDS, times)
            if status == _runner.NONFINITE_STEP:  # nothing is trained: the step changed no weight, and is not counted
                done, block[abi.ITERATION] = done - 1, block[abi.ITERATION] - 1
            return done, status
        finally:  # Ctrl-C arrives when the runner is back, before its answer does: its steps count all the same
            block[abi.RATES] = 0  # they live no longer than this call
            optimizer.advance(int(block[abi.ITERATION]) - first_iteration)

    def repeat(self, session: Session, segment: Segment, first: int, rate: float | None = None) -> None:
        """Repeat one step, with the learning rate that it had unless another is given."""
        now = self.network.optimizer.iterations
        rate = rate or next((rate for since, rate in reversed(self.rates) if since <= now), None)
        self._run(session, first, segment.total, segment.batch_size, 1, rate)

    def finish(self, session: Session) -> None:
        """End a training: check what the last step did to the weights, and give them their final values."""
        weights, optimizer = self.network.trainable_weights, self.network.optimizer
        if optimizer.iterations != session.first_iteration and not all(nonfinite.is_finite(v.current) for v in weights):
            raise nonfinite.overflow_since_snapshot(self)
        optimizer.finalize_variable_values(weights)

    # ---- evaluation and prediction

    def run_all(
        self, session: Session, samples: Samples, hooks: Hooks, enter: Callable[[Segment], Any] = lambda segment: None
    ) -> int:
        """Evaluate or predict a pass over samples; its steps. ``enter`` is called before each segment."""
        steps = 0
        with contextlib.closing(samples.segments(hooks.one_step)) as segments:
            for segment in segments:
                self._adopt(session, segment)
                enter(segment)
                steps = self.run_segment(session, segment, steps, hooks)
                if hooks.stopped():
                    break
        session.publish()
        return steps

    def predict_batches(self, session: Session) -> np.ndarray:
        """Predictions of the rows that the session reads, without hooks."""
        first, rows, size = 0, session.sources[0].rows, session.rows
        result = session.new_predictions(rows)
        while first < rows:
            done, _ = session.executable.run(first, rows, size, rows, CHUNK_SECONDS)
            first += done * size
        return result

    def run_segment(self, session: Session, segment: Segment, steps: int, hooks: Hooks) -> int:
        """Evaluate or predict the rows of a segment, which the session reads."""
        first = segment.first
        while first < segment.total:
            if hooks.one_step:
                hooks.before(steps)
                self._renew(session, segment)
            limit = _steps_ahead(session, segment, first, hooks)
            run, size = session.executable.run, segment.batch_size
            if hooks.own is None:
                done, _ = run(first, segment.total, size, limit, CHUNK_SECONDS)
                session.show(min(size, segment.total - first))
            else:
                step = functools.partial(run, first, segment.total, size, 1, CHUNK_SECONDS)
                done, _ = self._own_step(session, segment, first, hooks.own, step)
            first, steps = first + done * size, steps + done
            hooks.after(steps, self._logs(session, hooks))
            self._renew(session, segment)
            if hooks.stopped():
                break
        return steps

    # ---- profiles

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Restore what training within it changed; not after a `NonFiniteError`, which tells what the weights are."""
        variables, iterations = self.variables(), self.network.optimizer.iterations
        copies = [v.numpy() for v in variables]
        with contextlib.ExitStack() as stack:
            stack.callback(self._restore, variables, copies, iterations)
            try:
                yield
            except nonfinite.NonFiniteError:
                stack.pop_all()
                raise

    def _restore(self, variables: Sequence[Any], copies: Sequence[np.ndarray], iterations: int) -> None:
        for variable, copy in zip(variables, copies, strict=True):
            np.copyto(variable.array, copy)
        self.network.optimizer.iterations = iterations
        self.snapshot.due = 0.0  # it is of steps that are undone

    def profile(self, session: Session, total: int, batch_size: int, seconds: float) -> tuple[np.ndarray, int]:
        """Train for some time; (seconds of each launch, steps)."""
        segment = Segment(session.sources, 0, total, batch_size)
        times = np.zeros(len(session.executable.plan.launches))
        steps, end = 0, time.perf_counter() + seconds
        session.block[abi.SEED] = self.seed
        while steps == 0 or time.perf_counter() < end:
            self._snapshot(self.variables(), 0)
            first = 0
            while first < total and (steps == 0 or time.perf_counter() < end):
                done, status = self._run(session, first, total, batch_size, total, times=times)
                first, steps = first + done * batch_size, steps + done
                if status != _runner.OK:
                    raise nonfinite.error_of_step(self, session, segment, first)
        return times, steps


def _steps_ahead(session: Session, segment: Segment, first: int, hooks: Hooks) -> int:
    """The most steps until Python must look in: one where a hook or a metric must see each batch."""
    if hooks.one_step or session.is_stepwise:
        return 1
    return -(-(segment.total - first) // segment.batch_size)
