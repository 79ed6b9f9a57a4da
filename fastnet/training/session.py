"""A bound plan in the hands of one thread: what it reads, what it has counted and computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._arrays import kind_of
from fastnet._kernels import abi
from fastnet.engine.executable import Executable
from fastnet.engine.sources import Source
from fastnet.training.plan_cache import PlanCache
from fastnet.training.samples import Segment, Sources
from fastnet.training.step import MODES, Step


class Session:
    """A bound plan that no other thread uses meanwhile, as a context. Entering it builds the model where needed.

    A class, since a generator's context costs more at each step.

    Args:
        plans: of the network.
        mode: one of `step.MODES`.
        rows: the largest batch.
        sources: of x, y and sample weights.

    Raises:
        RuntimeError: on entry, where the mode changes weights and this model is being trained already.

    Attributes:
        step, executable: the bound plan now; `adopt` may exchange it.
        block, scalars: its step block, as integers and as float64.
        updates: whether its steps change weights.
        first_iteration: the optimizer's on entry.
    """

    __slots__ = (
        "_free", "_key", "_recent", "_version", "block", "executable", "first_iteration", "mode", "plans", "rows",
        "scalars", "sources", "step", "updates",
    )  # fmt: skip
    step: Step
    executable: Executable

    def __init__(self, plans: PlanCache, mode: str, rows: int, sources: Sources):
        self.plans, self.mode, self.rows, self.sources = plans, mode, rows, sources
        self.updates = MODES[mode].updates
        self._version: tuple | None = None
        self._recent: dict[tuple, Session] | None = None  # of calls, where it belongs under its key
        self._key: tuple = ()
        self._free: list[Step] = []

    @classmethod
    def of_call(cls, plans: PlanCache, mode: str, rows: int, sources: Sources) -> Session:
        """The session of a call with these data, which fit; `repeated` finds it for the next call like it."""
        session, recent = cls(plans, mode, rows, sources), plans.recent
        kind = kind_of(tuple([source.array for source in sources]))
        if kind is not None and rows == sources[0].rows and not plans.network.data_readers:
            session._recent, session._key = recent, (mode, kind)
            if len(recent) >= plans.most:
                recent.pop(next(iter(recent)), None)
        return session

    def __enter__(self) -> Session:
        plans = self.plans
        plans.renew_locks()
        if self.updates and not plans.training.acquire(blocking=False):
            raise RuntimeError(
                "This model is being trained already: by another thread, or by the fit that this callback belongs to. "
                "One training at a time; within a callback train a copy, copy.deepcopy(model)."
            )
        try:
            if not plans.network.built:
                plans.build(self.sources[0].signature[0])
            self._take()
        except BaseException:
            plans.undo_build()
            if self.updates:
                plans.training.release()
            raise
        if self.updates:
            self.first_iteration = plans.network.optimizer.iterations
        return self

    def __exit__(self, *error: object) -> None:
        self._free.append(self.step)
        if self.updates:
            self.plans.training.release()
        else:
            for variable in self.step.plan.assigned:
                variable.count_assignment()
        if self._recent is not None:
            self.sources = ()  # the arrays are the user's
            self._recent[self._key] = self  # last, as the one used last

    def _take(self) -> None:
        if self.updates:
            self.plans.start_optimizer()
        version = self.plans.version(self.mode)
        try:
            found = self._free.pop() if version == self._version else None
        except IndexError:  # another thread uses it
            found = None
        if found is None:
            found, self._free = self.plans.take(self.mode, self.rows, self.sources, version)
            self._version = version
        self._use(found)

    def _use(self, step: Step) -> None:
        self.step, self.executable = step, step.executable
        self.block, self.scalars = self.executable.step, self.executable.scalars
        self._connect(self.sources, None)

    def _connect(self, sources: Sources, order: np.ndarray | None) -> None:
        executable = self.executable
        for inlet, source in zip(self.step.inlets, sources):
            executable.connect(inlet, source)
        executable.place(abi.ORDER, order)

    @property
    def is_stale(self) -> bool:
        """Whether an argument of a layer, the loss or the optimizer has changed since the plan was made."""
        return self._version != self.plans.version(self.mode)

    @property
    def is_stepwise(self) -> bool:
        """Whether a metric written in Python must see each batch."""
        return bool(self.step.python_metrics)

    def connect(self, segment: Segment) -> None:
        """Read a segment from now on."""
        self.sources = segment.sources
        self._connect(segment.sources, segment.order)

    def adopt(self, segment: Segment) -> None:
        """`connect`, with another plan where the segment's batches are the largest yet or have another shape, or this
        plan is stale."""
        is_other = segment.sources[0].signature[0] != self.sources[0].signature[0]
        if segment.batch_size > self.rows or is_other or self.is_stale:
            self.rows, self.sources = max(segment.batch_size, self.rows), segment.sources
            totals, previous, free = self.totals(), self.step, self._free
            self._version = None  # plans that are free there are for other batches
            self._take()
            self.set_totals(totals)
            if previous.result is not None and self.step.result is not None:  # predictions go on into the same array
                self.executable.adopt_output(self.step.result.index, previous.executable, previous.result.index)
            free.append(previous)
        self.connect(segment)

    def probe(self, rows: int, order: np.ndarray | None) -> Session:
        """The same step for so many rows, with every layer's result in memory of its own; it is not entered."""
        probe = Session(self.plans, self.mode, rows, self.sources)
        probe._use(self.plans.make(self.mode, rows, self.sources, reuse=False))
        probe._connect(self.sources, order)
        return probe

    # ---- what the loss and the metrics count

    def reset(self) -> None:
        """Count from 0 on."""
        for total in self.step.totals:
            total.reset()

    def totals(self) -> list[np.ndarray]:
        """Copies of the numbers counted so far."""
        return [total.read().copy() for total in self.step.totals]

    def set_totals(self, values: Sequence[np.ndarray]) -> None:
        """Go on from what a plan of the same model and mode has counted."""
        for total, counted in zip(self.step.totals, values, strict=True):
            total.write(counted)

    def logs(self) -> dict[str, Any]:
        """The loss and the metrics so far, as numbers where they are one each; a dictionary gives its items."""
        logs: dict[str, Any] = {}
        for total in self.step.totals:
            result = total.result()
            logs.update(result if type(result) is dict else {total.name: result})
        return {name: value if type(value) is float else _plain(value) for name, value in logs.items()}

    def publish(self) -> None:
        """Give the metrics what they have counted in the pass that ends."""
        for total in self.step.totals:
            total.publish()

    def show(self, rows: int) -> None:
        """Show the batch that was run to the metrics that are written in Python: copies, which they may keep."""
        step, contents = self.step, self.executable.read
        if not step.python_metrics:
            return
        assert step.prediction is not None and step.target is not None
        y_true, y_pred = contents(step.target, rows).copy(), contents(step.prediction, rows).copy()
        shapes = (step.weights_shape, y_pred.shape[1:-1])
        weights, mask = (
            None if each is None else contents(each, rows).reshape(rows, *shape).copy()
            for each, shape in zip((step.sample_weight, step.mask), shapes)
        )
        for metric in step.python_metrics:
            metric.update(y_true, y_pred, weights, mask)

    def new_predictions(self, rows: int) -> np.ndarray:
        """A new array, to which the predictions of row 0 and those after it are written from now on."""
        assert self.step.result is not None
        last = self.step.plan.outputs[-1][1]
        result = np.empty((rows, *last.shape), last.dtype)
        self.executable.place_output(self.step.result.index, result)
        return result


def repeated(plans: PlanCache, mode: str, arrays: tuple) -> Session | None:
    """The session of an earlier call with arrays of these shapes and dtypes, which reads these from now on.

    It spares small batches what follows from shapes: conversions, checks, and the key of the plan. A prediction of
    64 rows by 4-64-64-2 takes 8 µs instead of 12, of which the step itself takes 4.5.
    """
    session = plans.recent.pop((mode, kind_of(arrays)), None)  # meanwhile no other thread finds it
    if session is not None:
        session.sources = tuple([Source(array) for array in arrays])
    return session


def _plain(value: Any) -> Any:
    """A float or an integer, where the value is one number, as in Keras."""
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and value.size == 1 else value
