"""A plan bound to memory, and the lease by which one thread has it for a training, an evaluation or a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine.bind import bind
from fastnet.engine.sources import Source
from fastnet.engine.step import Step
from fastnet.training.samples import Part

if TYPE_CHECKING:
    from fastnet.training.trainer import Trainer


class Ready:
    """A plan bound to memory, with its handles."""

    def __init__(self, low: Step, rows: int, reuse: bool = True):
        self.watched = low.watched
        self.version = 0  # of the optimizer's arguments
        self.low, self.bound = low, bind(low.plan, rows, reuse=reuse)
        self.step, self.numbers = self.bound.step, self.bound.numbers
        for tally in low.totals:
            tally.bind(self.numbers)

    def connect(self, *sources: Source) -> None:
        """Read from these from now on: x, y, sample weights."""
        for inlet, source in zip((self.low.x, self.low.y, self.low.weights), sources):
            if inlet is not None:
                inlet.connect(self.step, source)
        self.step[abi.ORDER] = 0

    def take_over(self, other: Ready) -> None:
        """Go on with the totals of another plan of the same model and mode."""
        if self.low.totals:  # a prediction has none
            self.set_totals(other.totals())

    def totals(self) -> list[np.ndarray]:
        """What the loss and the metrics have counted so far: copies."""
        return [tally.read().copy() for tally in self.low.totals]

    def set_totals(self, values: Sequence[np.ndarray]) -> None:
        """Go on with what another plan of the same model and mode has counted."""
        for tally, counted in zip(self.low.totals, values, strict=True):
            tally.write(counted)

    def reset(self) -> None:
        """Start the totals of the loss and the metrics anew."""
        for tally in self.low.totals:
            tally.reset()

    def tell(self) -> None:
        """Give the metrics what they have counted in the pass that ends."""
        for tally in self.low.totals:
            tally.tell()

    def logs(self) -> dict[str, Any]:
        """The loss and the metrics so far."""
        return {tally.name: tally.result() for tally in self.low.totals}

    def show(self, rows: int) -> None:
        """Show the batch that was run to the metrics that are written in Python: copies, which they may keep."""
        if not self.watched:
            return
        low, read = self.low, self.bound.read
        assert low.prediction is not None and low.target is not None
        y_true, y_pred = read(low.target, rows).copy(), read(low.prediction, rows).copy()
        weights, mask = (
            None if each is None else read(each, rows).reshape(y_pred.shape[:-1] or rows).copy()
            for each in (low.each, low.mask)
        )
        for tally in self.watched:
            tally.see(y_true, y_pred, weights, mask)


class Lease:
    """A plan that no other thread uses meanwhile; a class, since a generator's context costs more at each step."""

    __slots__ = ("free", "mode", "ready", "rows", "sources", "trainer")

    def __init__(self, trainer: Trainer, mode: str, rows: int, sources: tuple[Source, ...]):
        self.trainer, self.mode, self.rows, self.sources = trainer, mode, rows, sources

    def __enter__(self) -> Ready:
        trainer = self.trainer
        trainer.renew_locks()
        if self.mode == "train" and not trainer.alone.acquire(blocking=False):
            raise RuntimeError(
                "This model is being trained already: by another thread, or by the fit that this callback belongs to. "
                "One training at a time; within a callback train a copy, copy.deepcopy(model)."
            )
        try:
            self.ready, self.free = trainer.take(self.mode, self.rows, self.sources)
        except BaseException:
            if self.mode == "train":
                trainer.alone.release()
            raise
        if self.mode == "train":
            trainer.sources, trainer.began = self.sources, trainer.network.optimizer.iterations
        return self.ready

    @property
    def stale(self) -> bool:
        """Whether an argument of the optimizer has changed since the plan was made."""
        return self.mode == "train" and self.ready.version != self.trainer.network.optimizer.version

    def connect(self, part: Part) -> Ready:
        """The plan, reading from this part; another one where its batches are the largest so far, or it is stale."""
        trainer = self.trainer
        if part.batch > self.rows or self.stale:
            self.rows = max(part.batch, self.rows)
            ready, free = trainer.take(self.mode, self.rows, part.sources)
            ready.take_over(self.ready)
            self.free.append(self.ready)
            self.ready, self.free = ready, free
        self.ready.connect(*part.sources)
        trainer.prepare(self.ready, part.order)
        if self.mode == "train":
            trainer.sources = part.sources
        return self.ready

    def __exit__(self, *error: object) -> None:
        self.free.append(self.ready)
        if self.mode == "train":
            self.trainer.sources = None  # the model does not keep its data alive
            self.trainer.alone.release()
