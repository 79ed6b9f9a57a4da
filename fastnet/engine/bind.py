"""Binds a plan to memory and to a device's machine code: weights then have addresses.

A plan may be bound many times, also to other weights than those that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastnet.engine.cpu import CPUExecutable
from fastnet.engine.dump import dump_if_asked
from fastnet.engine.executable import Executable
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

DEVICES = ("cpu", "cuda")


def bind(
    plan: Plan, rows: int | None = None, device: str = "cpu", pinned: Sequence[View] = (), reuse: bool = True,
    weights: Mapping[Variable, Variable] | None = None,
) -> Executable:  # fmt: skip
    """Make a plan ready to run.

    Args:
        plan: the launches of a step.
        rows: the largest batch, at most the plan's; by default the plan's.
        device: "cpu" or "cuda".
        pinned: views whose contents are read after a step, besides the plan's results.
        reuse: whether buffers may share memory.
        weights: weight of the plan → the weight of the same shape to use instead.

    Raises:
        ValueError: ``rows`` is negative or larger than the plan's; the device is unknown; a weight has another shape
            or dtype than the one it is used for.
    """
    rows = plan.rows if rows is None else rows
    if not 0 <= rows <= plan.rows:
        raise ValueError(f"A plan for at most {plan.rows} rows cannot be bound for {rows}.")
    if device not in DEVICES:
        raise ValueError(f"There is no device {device!r}; there is {', '.join(map(repr, DEVICES))}.")
    for named, used in (weights or {}).items():
        if (named.shape, named.dtype) != (used.shape, used.dtype):
            raise ValueError(
                f"The weight {named.path!r} of shape {named.shape} ({named.dtype}) cannot be replaced by {used.path!r} "
                f"of shape {used.shape} ({used.dtype})."
            )
    kind: type[Executable] = CPUExecutable
    if device == "cuda":
        from fastnet.engine.cuda.executable import CUDAExecutable

        kind = CUDAExecutable
    bound = kind(plan, rows, pinned, reuse, weights or {})
    dump_if_asked(bound)
    return bound


def run_once(
    plan: Plan, inputs: Mapping[View, np.ndarray], result: View, step: Mapping[int, int] | None = None,
    device: str = "cpu",
) -> np.ndarray:  # fmt: skip
    """Run a plan for one batch of given views; return a copy of the result.

    Args:
        plan: the launches.
        inputs: view → its contents.
        result: the view to read afterwards.
        step: index → integer of the step block, such as the seed of random numbers; 0 where not named.
        device: "cpu" or "cuda".

    Raises:
        ValueError: no view is given, whose length would be that of the batch.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float64")
        >>> x = plan.buffer((2,))
        >>> y = plan.like(x)
        >>> _ = plan.call(extend.scale, x=x, y=y, factor=10.0)
        >>> extend.run_once(plan, {x: np.array([[1.0, 2.0]])}, y).tolist()
        [[10.0, 20.0]]
    """
    return read_once(plan, inputs, [result], step, device)[0]


def read_once(
    plan: Plan, inputs: Mapping[View, np.ndarray], results: Sequence[View], step: Mapping[int, int] | None = None,
    device: str = "cpu",
) -> list[np.ndarray]:  # fmt: skip
    """Copies of several results of one batch; see `run_once`."""
    if not inputs:
        raise ValueError("run_once takes the number of rows from its inputs, and received none.")
    rows = len(next(iter(inputs.values())))
    bound = bind(plan, rows, device, pinned=[*inputs, *results])
    for view, value in inputs.items():
        bound.write(view, rows, value)
    for index, number in (step or {}).items():
        bound.step[index] = number
    bound.run(0, rows, rows, 1, 0.0)
    return [bound.read(result, rows).copy() for result in results]
