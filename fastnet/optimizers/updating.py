"""The launches of an optimizer: as few passes over a weight as its arguments allow.

Where nothing needs the whole gradient, all that happens to a weight is one elementwise launch, which `engine/fuse.py`
may join to the product that makes the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.rules import weights as rules
from fastnet._kernels.templates import reduce
from fastnet._kernels.templates.elementwise import UpdateTemplate
from fastnet.engine.plan import Buffer, Extent, Plan, Slot
from fastnet.engine.variable import Variable

if TYPE_CHECKING:
    from fastnet.optimizers.base import Optimizer

_BLOCK = 4096  # elements of `reduce.square_sums`
_NEVER = float(1 << 60)  # updates


@dataclass
class Numbers:
    """Where the numbers of a step are.

    Attributes:
        own: those of the optimizer's rule.
        memory: what the rule hands on to the next step.
        named: those of `rules/weights.py`, by the names its rules have for them.
    """

    own: list[Slot]
    memory: list[Slot]
    named: dict[str, Slot]


def start(optimizer: Optimizer, plan: Plan) -> Numbers:
    """Add the launches that compute what a step needs to know."""
    row, every = optimizer.row, optimizer.gradient_accumulation_steps or 1
    slots = [plan.slot() for _ in range(row.scalar_count + len(row.memory))]
    _step_scalars(plan, row.scalars, every, list(optimizer.parameters.values()), optimizer.memory, slots)
    named = {}
    if optimizer.weight_decay or optimizer.use_ema or every > 1:
        named = {name: plan.slot() for name in ("share", "keep", "due", "fresh")}
        frequency = optimizer.ema_overwrite_frequency or _NEVER
        numbers = [optimizer.weight_decay or 0.0, optimizer.ema_momentum, frequency, every]
        _step_scalars(plan, rules.step_numbers, 1, numbers, [], list(named.values()))
    return Numbers(slots[: row.scalar_count], slots[row.scalar_count :], named)


def _step_scalars(
    plan: Plan, rule: Callable, every: int, numbers: Sequence[float], memory: Sequence[Variable], slots: Sequence[Slot]
) -> None:
    counts = (("p", len(numbers)), ("memory", len(memory)), ("s", len(slots)))
    kernel = Kernel(reduce.step_scalars, (("f", rule),), "float64", counts)
    plan.once(
        kernel, rate=Slot(abi.RATE), iteration=Slot(abi.ITERATION), every=every, p=numbers, memory=memory, s=slots
    )


def apply(optimizer: Optimizer, plan: Plan, weights: Sequence[tuple[str, Variable]], numbers: Numbers) -> None:
    """Add the launches that change the weights, layer by layer."""
    every = optimizer.gradient_accumulation_steps or 1
    gradients: list[Buffer | Variable] = [plan.gradients[v] for _, v in weights]
    for label, variable in weights:
        if variable.regularizer is not None:
            plan.label = label
            variable.regularizer.add_gradient(plan, variable, plan.gradients[variable])
    regularize = every == 1  # else that is done where gradients are added up
    if every > 1:
        gradients = _accumulate(optimizer, plan, weights, gradients, numbers)
    factors: list[Slot | None] = [None] * len(weights)
    if optimizer.clipnorm or optimizer.global_clipnorm:
        if regularize:
            _regularize(plan, weights, gradients)
            regularize = False
        factors = _factors(optimizer, plan, weights, gradients)
    for (label, variable), gradient, factor in zip(weights, gradients, factors, strict=True):
        plan.label = label
        before: list[Callable] = [rules.regularize] * (regularize and _regularized(variable))
        before += [rules.mean_gradient] * (every > 1) + [rules.scale_gradient] * (factor is not None)
        before += [rules.clip_gradient] * bool(optimizer.clipvalue) + [rules.decay] * optimizer.decays(variable)
        after = _averaging(optimizer)
        merged = after if every == 1 else []  # an average follows every step, an update may not
        more = {"steps": every, "factor": factor, "limit": optimizer.clipvalue}
        _launch(optimizer, plan, variable, gradient, UpdateTemplate((*before,), (*merged,)), numbers, every, **more)
        if after and not merged:
            _launch(optimizer, plan, variable, gradient, UpdateTemplate((), (*after,), own=False), numbers)
        if variable.constraint is not None:
            variable.constraint.launch(plan, variable)
    if numbers.memory:
        counts = (("s", len(numbers.memory)), ("memory", len(numbers.memory)))
        kernel = Kernel(reduce.remember, (), "float64", counts)
        plan.launch(kernel, {"s": numbers.memory, "memory": optimizer.memory}, Extent(fixed=1), period=every)


def _regularized(variable: Variable) -> bool:
    return variable.regularizer is not None and bool(variable.regularizer.l1 or variable.regularizer.l2)


def _averaging(optimizer: Optimizer) -> list[Callable]:
    return [rules.average] * optimizer.use_ema + [rules.overwrite] * (
        optimizer.use_ema and bool(optimizer.ema_overwrite_frequency)
    )


def _launch(
    optimizer: Optimizer,
    plan: Plan,
    variable: Variable,
    gradient: Buffer | Variable,
    template: UpdateTemplate,
    numbers: Numbers,
    period: int = 1,
    **more: Any,
) -> None:
    """Add one elementwise pass over a weight."""
    states = optimizer.states[variable][: len(optimizer.row.states)]
    own = (("f", optimizer.row.f),) if template.own else ()
    counts = (("states", len(states)), ("s", len(numbers.own))) if template.own else ()
    kernel = Kernel(template, (*own, *template.rules()), variable.dtype, counts)
    arguments = {"w": variable, "g": gradient, "states": states, "s": numbers.own, **numbers.named, **more}
    arguments |= {"mean": optimizer.average(variable), "total": optimizer.gradient_sum(variable)}
    if variable.regularizer is not None:
        arguments |= {"l1": variable.regularizer.l1, "l2": variable.regularizer.l2}
    cost = 100 + 100 * sum(kind in ("read", "update") for _, kind in kernel.parameters()) + 100 * len(states)
    plan.launch(kernel, arguments, Extent(fixed=variable.size), 1024, cost, period=period)


def _accumulate(optimizer, plan, weights, gradients, numbers) -> list[Buffer | Variable]:
    """Add each gradient to its sum; the sums."""
    for (label, variable), gradient in zip(weights, gradients, strict=True):
        plan.label = label
        before: tuple[Callable, ...] = (*[rules.regularize] * _regularized(variable), rules.accumulate)
        _launch(optimizer, plan, variable, gradient, UpdateTemplate(before, own=False), numbers)
    return [optimizer.gradient_sum(variable) for _, variable in weights]


def _regularize(plan, weights, gradients) -> None:
    """Add the gradients of the penalties where the whole gradient is needed."""
    template = UpdateTemplate((rules.regularize,), own=False)
    for (label, variable), gradient in zip(weights, gradients, strict=True):
        if _regularized(variable):
            plan.label = label
            kernel = Kernel(template, template.rules(), variable.dtype)
            arguments = {"w": variable, "g": gradient, "l1": variable.regularizer.l1, "l2": variable.regularizer.l2}
            plan.launch(kernel, arguments, Extent(fixed=variable.size), 1024, 300)


def _factors(optimizer, plan, weights, gradients) -> list[Slot | None]:
    """Add the launches of the gradients' norms; where what each gradient is multiplied with will be.

    Blocks are summed by all threads and then added in order, so that the bits do not depend on the threads.
    """
    every = optimizer.gradient_accumulation_steps or 1
    squares = plan.buffer((len(weights),), "float64", per_row=False)
    blocks = [-(-v.size // _BLOCK) for _, v in weights]
    sums = [plan.buffer((count,), "float64", per_row=False) for count in blocks]
    for (label, variable), gradient, total, count in zip(weights, gradients, sums, blocks, strict=True):
        plan.label = label
        kernel = Kernel(reduce.square_sums, dtype=variable.dtype)
        arguments = {"x": gradient, "sums": total, "size": variable.size}
        plan.launch(kernel, arguments, Extent(fixed=count), 1, 150 * _BLOCK, period=every)
    for place, ((label, _), total, count) in enumerate(zip(weights, sums, blocks, strict=True)):
        plan.label = label
        arguments = {"sums": total, "squares": squares, "blocks": count, "place": place}
        plan.launch(Kernel(reduce.sum_blocks, dtype="float64"), arguments, Extent(fixed=1), 1, 1000, period=every)
    together = bool(optimizer.global_clipnorm)
    limit = optimizer.global_clipnorm or optimizer.clipnorm
    kernel = Kernel(reduce.clip_factor, (("f", rules.clip_factor),), "float64")
    factors = [plan.slot() for _ in range(1 if together else len(weights))]
    for first, slot in enumerate(factors):
        plan.label = optimizer.name if together else weights[first][0]
        span = {"first": first, "count": len(weights) if together else 1}
        arguments = {"squares": squares, "factor": slot, "limit": limit, "steps": every, **span}
        plan.launch(kernel, arguments, Extent(fixed=1), 1, 1000, period=every)
    return factors * len(weights) if together else factors
