"""Finds numbers that are not finite: restores the last good weights, and names the origin in the error."""

from __future__ import annotations

import operator
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine import changes
from fastnet.training.advice import scaling
from fastnet.training.samples import Segment
from fastnet.training.session import Session
from fastnet.training.step import MODES

_REMEDY = "Try a smaller learning rate, or scale the data."
_assignments = operator.attrgetter("assignments")
_UNDEFINED = (
    "A smaller learning rate does not help: the derivative of the loss or of a layer is not defined at some number, as "
    "that of a root at 0 is."
)
_EITHER = (
    "Try a smaller learning rate, or scale the data; or a derivative is not defined, as that of a root at 0 is not."
)
_LARGE = 1e6  # weights that a learning rate may have driven so far
_TINY_RATE = 1e-30
_COST_RATIO = 100  # a snapshot is taken when this many times its own cost has passed since the last one


class NonFiniteError(ArithmeticError):
    """NaN or infinity in the data, in a layer's result or in a weight; the model has the last good weights.

    Attributes:
        batch: the number of the batch in its epoch, from 0, if `fit` found it.
    """

    batch = 0


class Snapshot:
    """A copy of everything that training changes, renewed so rarely that it costs at most 1 % of the time.

    Attributes:
        copies: the values; empty if none are known.
        iteration: the optimizer's iteration at the copy.
        first: the row at which the next step began; None if its rows cannot be read again.
        due: the time of the next copy.
    """

    def __init__(self) -> None:
        self.copies: list[np.ndarray] = []
        self.iteration = 0
        self.first: int | None = None
        self.due = 0.0
        self._variables: Sequence[Any] = ()
        self._assignments = 0  # of weights, by users, that the copies include
        self._last_assignment: object = None  # token of the last assignment at that count

    def renew_if_due(self, variables: Sequence[Any], iteration: int, first: int | None) -> bool:
        """Take a copy if one is due and every weight is finite; return whether one was taken.

        A copy is due when a hundred times its cost has passed since the last one, or when a user has set a weight
        since. A fit may therefore begin with a copy from the fit before.
        """
        now, last = time.perf_counter(), changes.weights.token
        if variables is self._variables and last is self._last_assignment and now < self.due:
            return False
        assignments = sum(map(_assignments, variables))
        if variables is self._variables and assignments == self._assignments and now < self.due:
            self._last_assignment = last
            return False
        if not all(is_finite(v.current) for v in variables):
            if variables is not self._variables or assignments != self._assignments:
                self.copies.clear()  # a user set them so: older values must not return
            return False
        if len(self.copies) != len(variables) or any(c.shape != v.shape for c, v in zip(self.copies, variables)):
            self.copies = [np.empty_like(v.current) for v in variables]
        self._variables, self._assignments, self._last_assignment = variables, assignments, last
        for copy, variable in zip(self.copies, variables, strict=True):
            np.copyto(copy, variable.current)
        self.iteration, self.first = iteration, first
        end = time.perf_counter()
        self.due = end + _COST_RATIO * (end - now)
        return True

    def restore(self, optimizer: Any) -> None:
        """Restore the values of the variables and the optimizer's iterations."""
        for copy, variable in zip(self.copies, self._variables, strict=True):
            np.copyto(variable.array, copy)
        optimizer.iterations = self.iteration


def is_finite(array: np.ndarray) -> bool:
    """Whether every element is finite. The sum tells it at memory speed; if it overflows, each element is tested."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def error_of_step(trainer: Any, session: Session, segment: Segment, first: int) -> NonFiniteError:
    """The error for the step at row ``first``, whose loss is not finite; the last good weights are restored."""
    if not segment.repeatable:
        segment, first = segment.batch_at(first), 0
        session.connect(segment)
    step = trainer.network.optimizer.iterations + 1
    if not all(is_finite(v.current) for v in trainer.variables()):
        return _overflow(trainer, session, segment, first, step)
    found = _first_nonfinite(trainer, session, segment, first)
    loss = session.scalars[abi.LOSS]
    cause = "" if np.isfinite(loss) else f"the loss is {loss}. "
    return NonFiniteError(f"Step {step}: {cause}{found} The weights are those before this step.")


def _overflow(trainer: Any, session: Session, segment: Segment, first: int, step: int) -> NonFiniteError:
    """The error for a weight that is not finite; restores the snapshot, and repeats steps up to the last good one."""
    snapshot, optimizer = trainer.snapshot, trainer.network.optimizer
    names = {id(v): v.path for v in trainer.network.variables}
    bad = next(
        (names[id(v)] for v in trainer.variables() if id(v) in names and not is_finite(v.current)),
        "the optimizer's state",
    )
    if not snapshot.copies:
        return _unknown(step, bad)
    start, size = snapshot.first, segment.batch_size
    if start is None or start > first or snapshot.iteration + (first - start) // size != step - 1:
        # Steps can be repeated only if they are of the snapshot's epoch.
        return overflow_since_snapshot(trainer)
    snapshot.restore(optimizer)
    good = 0
    while start + good * size < first and all(is_finite(v.current) for v in trainer.variables()):
        trainer.repeat(session, segment, start + good * size)
        good += 1
    snapshot.restore(optimizer)
    for k in range(good - 1):
        trainer.repeat(session, segment, start + k * size)
    number = optimizer.iterations + 1
    cause, remedy = "a gradient overflowed", _remedy(session)
    if _is_undefined(trainer, session, segment, start + (good - 1) * size):
        cause, remedy = "a gradient is not finite", _UNDEFINED
    return NonFiniteError(
        f"Step {number}: {cause}, and {bad} became infinite or NaN (seen at step {step}). The weights are those before "
        f"step {number}. {remedy}"
    )


def _is_undefined(trainer: Any, session: Session, segment: Segment, first: int) -> bool:
    """Whether the step breaks weights that are not large with a tiny learning rate too."""
    variables, optimizer = trainer.variables(), trainer.network.optimizer
    if optimizer.scheduled or _are_large(variables):
        return False
    copies, iterations = [v.numpy() for v in variables], optimizer.iterations
    trainer.repeat(session, segment, first, _TINY_RATE)
    broken = not all(is_finite(v.current) for v in variables)
    for variable, copy in zip(variables, copies, strict=True):
        np.copyto(variable.array, copy)
    optimizer.iterations = iterations
    return broken


def _are_large(variables: Sequence[Any]) -> bool:
    return any(v.size and np.abs(v.current).max() > _LARGE for v in variables)


def _unknown(step: int, bad: str) -> NonFiniteError:
    return NonFiniteError(f"Step {step}: {bad} is not finite, and no earlier weights are known. Set them anew.")


def overflow_since_snapshot(trainer: Any) -> NonFiniteError:
    """The error for weights that a step since the snapshot broke; the snapshot is restored."""
    snapshot, optimizer = trainer.snapshot, trainer.network.optimizer
    last = optimizer.iterations
    if not snapshot.copies:
        return _unknown(last + 1, "a weight")
    snapshot.restore(optimizer)
    return NonFiniteError(
        f"A gradient overflowed in one of the steps {snapshot.iteration + 1} to {last}. The weights are those before "
        f"step {snapshot.iteration + 1}. {_REMEDY if _are_large(trainer.variables()) else _EITHER}"
    )


def _first_nonfinite(trainer: Any, session: Session, segment: Segment, first: int) -> str:
    """The sentence that names the first row, layer or target that is not finite: the step runs again to find it."""
    rows = min(segment.batch_size, segment.total - first)
    order = segment.order
    probe = session.probe(rows, order)
    probe.block[abi.SEED] = trainer.seed
    probe.block[abi.ITERATION] = trainer.network.optimizer.iterations
    probe.executable.run(first, first + rows, rows, 1, 0.0)
    step, contents = probe.step, probe.executable.read
    assert step.input is not None and step.target is not None
    inputs = contents(step.input, rows)
    if not is_finite(inputs):
        found = _nonfinite_element("x", inputs, first, order, trainer.network.columns)
        return f"The data is not finite: {found}, as {inputs.dtype}."
    for layer, output in step.plan.outputs:
        if not is_finite(contents(output, rows)):
            return f"The first layer whose result is not finite is {layer.name!r} ({type(layer).__name__})."
    targets = contents(step.target, rows)
    if targets.dtype.kind == "f" and not is_finite(targets):
        what, array = ("targets are", "y") if MODES[session.mode].loss else ("gradient is", "gradient")
        return f"The {what} not finite: {_nonfinite_element(array, targets, first, order)}."
    is_first = trainer.network.optimizer.iterations == 0
    remedy = _remedy(session, "Scale the data." if is_first else _REMEDY)
    return _of_loss(trainer.network.loss_of_steps, probe.scalars[abi.LOSS], remedy)


def _remedy(session: Session, advice: str = _REMEDY) -> str:
    """How to keep a training finite whose numbers grew too large."""
    unscaled = scaling(session.sources[0].array)
    return advice if unscaled is None else f"{advice} Here {unscaled}."


def _of_loss(loss: Any, value: float, remedy: str) -> str:
    """The sentence for a loss that is not finite, although all its operands are."""
    if np.isinf(value):
        return f"Every layer's result is finite: the loss itself overflowed. {remedy}"
    message = f"Every layer's result is finite, but the loss {loss.name!r} is not defined for what the last one gives."
    if getattr(loss, "from_logits", None) is False:
        message += " It takes probabilities: give the last layer softmax or sigmoid, or the loss from_logits=True."
    return message


def _nonfinite_element(
    name: str, batch: np.ndarray, first: int, order: np.ndarray | None, columns: Sequence[str] | None = None
) -> str:
    """Text for errors: the row in the data and the column of the first element of a batch that is not finite.

    Args:
        name: of the data.
        batch: (rows, ...).
        first, order: the number of its first row, and the permutation of the epoch.
        columns: the names of the columns.
    """
    row, *index = (int(i) for i in np.argwhere(~np.isfinite(batch))[0])
    row = row + first if order is None else int(order[row + first])
    column: Any = tuple(index) if len(index) > 1 else columns[index[0]] if columns else index[0] if index else 0
    return f"row {row} of {name} holds NaN or infinity" + (f" in column {column!r}" if batch[0].size > 1 else "")
