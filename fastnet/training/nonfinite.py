"""A number that is not finite: the weights go back to the last good ones, and the error says where it began."""

from __future__ import annotations

import operator
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine import changes

_assignments = operator.attrgetter("assignments")
_REMEDY = "Try a smaller learning rate, or scale the data."
_SHARE = 100  # a snapshot is taken when this many times its own cost has passed since the last one


class NonFiniteError(ArithmeticError):
    """NaN or infinity in the data, in a layer's result or in a weight; the model has the last good weights.

    Attributes:
        batch: number of the batch in its epoch, from 0, where `fit` found it.
    """

    batch = 0


class Snapshot:
    """A copy of all that training changes, renewed so seldom that it costs no more than 1 % of the time."""

    def __init__(self):
        self.variables: Sequence[Any] = ()
        self.seen: object = None  # the last assignment to any weight when these were looked through
        self.state = 0  # assignments from outside that the copies include
        self.copies: list[np.ndarray] = []
        self.iteration = self.first = None
        self.due = 0.0

    def consider(self, variables: Sequence[Any], iteration: int, first: int | None) -> bool:
        """Take a copy if one is due and every weight is finite; whether one was taken.

        One is due when this is a hundred times its cost later than the last one, or when a weight was set from outside
        since: a fit may so begin with a copy from the fit before.
        """
        now, seen = time.perf_counter(), changes.weights.now
        if variables is self.variables and seen is self.seen and now < self.due:
            return False
        state = sum(map(_assignments, variables))
        if variables is self.variables and state == self.state and now < self.due:
            self.seen = seen
            return False
        if not all(finite(v.array) for v in variables):
            if variables is not self.variables or state != self.state:
                self.copies.clear()  # somebody set them so: older values are not theirs
            return False
        if len(self.copies) != len(variables) or any(c.shape != v.shape for c, v in zip(self.copies, variables)):
            self.copies = [np.empty_like(v.array) for v in variables]
        self.variables, self.state, self.seen = variables, state, seen
        for copy, variable in zip(self.copies, variables, strict=True):
            np.copyto(copy, variable.array)
        self.iteration, self.first = iteration, first
        end = time.perf_counter()
        self.due = end + _SHARE * (end - now)
        return True

    def restore(self) -> None:
        """Give the variables the values they had."""
        for copy, variable in zip(self.copies, self.variables, strict=True):
            np.copyto(variable.array, copy)


def finite(array: np.ndarray) -> bool:
    """Whether every element is finite. The sum says so at memory speed; where it overflows, a closer look does."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def report(trainer: Any, ready: Any, first: int, total: int, batch: int, order: np.ndarray | None) -> NonFiniteError:
    """The error for a step whose loss is not finite, with the last good weights put back."""
    optimizer = trainer.network.optimizer
    at = optimizer.iterations
    if not all(finite(v.array) for v in trainer.variables()):
        return _overflow(trainer, ready, first, total, batch, at)
    rows = min(batch, total - first)
    where = _first_bad(trainer, first, rows, order)
    loss = ready.numbers[abi.LOSS]
    told = "" if np.isfinite(loss) else f"the loss is {loss}. "
    return NonFiniteError(f"Step {at + 1}: {told}{where} The weights are those before this step.")


def _overflow(trainer, ready, first, total, batch, at) -> NonFiniteError:
    """A weight is not finite: go back to the snapshot, and from there to the last good step."""
    snapshot, optimizer = trainer.snapshot, trainer.network.optimizer
    names = {id(v): v.path for v in trainer.network.variables}
    bad = next(
        (names[id(v)] for v in trainer.variables() if id(v) in names and not finite(v.array)), "the optimizer's state"
    )
    if not snapshot.copies:
        return _unknown(at, bad)
    start = snapshot.first
    if start is None or start > first or snapshot.iteration + (first - start) // batch != at:
        # Only within one epoch can the steps from the snapshot on be done again.
        return overflow_at_end(trainer)
    snapshot.restore()
    optimizer.iterations = snapshot.iteration
    good = 0
    while start + good * batch < first and all(finite(v.array) for v in trainer.variables()):
        trainer.repeat(ready, start + good * batch, total, batch)
        good += 1
    snapshot.restore()
    optimizer.iterations = snapshot.iteration
    for step in range(good - 1):
        trainer.repeat(ready, start + step * batch, total, batch)
    return NonFiniteError(
        f"Step {optimizer.iterations + 1}: a gradient overflowed, and {bad} became infinite or NaN (seen at step "
        f"{at + 1}). The weights are those before step {optimizer.iterations + 1}. {_REMEDY}"
    )


def _unknown(at: int, bad: str) -> NonFiniteError:
    return NonFiniteError(f"Step {at + 1}: {bad} is not finite, and no earlier weights are known. Set them anew.")


def overflow_at_end(trainer: Any) -> NonFiniteError:
    """The error for weights that the last steps of training broke."""
    snapshot, optimizer = trainer.snapshot, trainer.network.optimizer
    at = optimizer.iterations
    if not snapshot.copies:
        return _unknown(at, "a weight")
    snapshot.restore()
    optimizer.iterations = snapshot.iteration
    return NonFiniteError(
        f"A gradient overflowed in one of the steps {snapshot.iteration + 1} to {at}. The weights are those before "
        f"step {snapshot.iteration + 1}. {_REMEDY}"
    )


def _first_bad(trainer, first: int, rows: int, order: np.ndarray | None) -> str:
    """The first place of the forward pass that is not finite, found by running it again with every buffer kept."""
    probe = trainer.make("train", rows, *trainer.sources, reuse=False)
    probe.connect(*trainer.sources)
    trainer.prepare(probe, order)
    probe.step[abi.ITERATION] = trainer.network.optimizer.iterations
    probe.bound.execution.run(first, first + rows, rows, 1, 0.0)
    low = probe.low
    inputs = probe.bound.read(low.input, rows)
    if not finite(inputs):
        return (
            f"The data is not finite: {_bad_row(inputs, first, order)} of x holds NaN or infinity, as {inputs.dtype}."
        )
    for layer, output in low.outputs:
        if not finite(probe.bound.read(output, rows)):
            return f"The first layer whose result is not finite is {layer.name!r} ({type(layer).__name__})."
    targets = probe.bound.read(low.target, rows)
    if targets.dtype.kind == "f" and not finite(targets):
        return f"The targets are not finite: {_bad_row(targets, first, order)} of y holds NaN or infinity."
    return _of_loss(trainer.network.loss, probe.numbers[abi.LOSS])


def _of_loss(loss: Any, value: float) -> str:
    """What to say of a loss that is not finite where all that it reads is."""
    if np.isinf(value):
        return f"Every layer's result is finite: the loss itself overflowed. {_REMEDY}"
    told = f"Every layer's result is finite, but the loss {loss.name!r} is not defined for what the last one gives."
    if getattr(loss, "from_logits", None) is False:
        told += " It takes probabilities: give the last layer softmax or sigmoid, or the loss from_logits=True."
    return told


def _bad_row(batch: np.ndarray, first: int, order: np.ndarray | None) -> str:
    """The first row of a batch that is not finite, by its number in the data."""
    row = first + int(np.argwhere(~np.isfinite(batch.reshape(len(batch), -1)).all(1))[0, 0])
    return f"row {row if order is None else int(order[row])}"
