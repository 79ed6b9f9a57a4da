"""The launches of an optimizer: as few passes over a weight as its arguments allow.

Where nothing needs the whole gradient, all that happens to a weight is one elementwise launch, which `engine/fuse.py`
may join to the product that makes the gradient. Where the weight's norm or that of its step is needed, the same launch
makes a direction, and a second one goes along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.rules import updates
from fastnet._kernels.rules import weights as rules
from fastnet._kernels.templates import penalties, reduce
from fastnet._kernels.templates.elementwise import UpdateTemplate
from fastnet.engine.plan import Buffer, Extent, Plan, Slot
from fastnet.engine.variable import Variable

if TYPE_CHECKING:
    from fastnet.optimizers.base import Optimizer

_BLOCK = 4096  # elements whose squares are summed at once
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


@dataclass
class Rule:
    """The optimizer's part of a pass over a weight.

    Attributes:
        f: ``f(w, g, *states, *scalars) -> w, *states``.
        states: what it changes beside the weight.
        scalars: where its numbers are.
    """

    f: Callable
    states: Sequence[Variable | Buffer]
    scalars: Sequence[Slot]


def start(optimizer: Optimizer, plan: Plan) -> Numbers:
    """Add the launches that compute what a step needs to know."""
    row, every = optimizer.row, optimizer.gradient_accumulation_steps or 1
    slots = [plan.slot() for _ in range(row.scalar_count + len(row.memory))]
    _step_scalars(plan, row.scalars, every, list(optimizer.parameters.values()), optimizer.memory, slots)
    named = {}
    if optimizer.use_ema or every > 1:
        named = {name: plan.slot() for name in ("keep", "due", "fresh")}
        numbers = [optimizer.ema_momentum, optimizer.ema_overwrite_frequency or _NEVER, every]
        _step_scalars(plan, rules.step_numbers, 1, numbers, [], list(named.values()))
    named["rate"] = Slot(abi.RATE)
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
    directions = []
    for (label, variable), gradient, factor in zip(weights, gradients, factors, strict=True):
        plan.label, row = label, optimizer.row_of(variable)
        before: list[Callable] = [rules.regularize] * (regularize and _regularized(variable))
        before += [rules.mean_gradient] * (every > 1) + [rules.scale_gradient] * (factor is not None)
        before += [rules.clip_gradient] * bool(optimizer.clipvalue) + [rules.decay] * optimizer.decays(variable)
        own = Rule(row.f, optimizer.states[variable][: len(row.states)], numbers.own)
        more = {"steps": every, "factor": factor, "limit": optimizer.clipvalue}
        if row.direction:
            u = plan.buffer(variable.shape, variable.dtype, per_row=False)
            own.states = [*own.states, u]
            template = UpdateTemplate((*before,))
            _launch(optimizer, plan, variable, gradient, template, numbers, own, every, **more)
            directions.append((label, variable, optimizer.redirect(plan, variable, u, numbers)))
        else:
            _finish(optimizer, plan, variable, gradient, before, numbers, own, **more)
    steps = _step_factors(optimizer, plan, directions, numbers)
    for (label, variable, u), factor in zip(directions, steps, strict=True):
        plan.label = label
        _finish(optimizer, plan, variable, u, [], numbers, Rule(updates.sgd, (), (factor,)))
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


def _finish(
    optimizer: Optimizer,
    plan: Plan,
    variable: Variable,
    gradient: Buffer | Variable,
    before: Sequence[Callable],
    numbers: Numbers,
    own: Rule,
    **more: Any,
) -> None:
    """Add the pass that changes a weight, and what follows it."""
    every = optimizer.gradient_accumulation_steps or 1
    after = _averaging(optimizer)
    merged = after if every == 1 else []  # an average follows every step, an update may not
    template = UpdateTemplate((*before,), (*merged,))
    _launch(optimizer, plan, variable, gradient, template, numbers, own, every, **more)
    if after and not merged:
        _launch(optimizer, plan, variable, gradient, UpdateTemplate((), (*after,), own=False), numbers)
    if variable.constraint is not None:
        variable.constraint.launch(plan, variable)


def _launch(
    optimizer: Optimizer,
    plan: Plan,
    variable: Variable,
    gradient: Buffer | Variable,
    template: UpdateTemplate,
    numbers: Numbers,
    own: Rule | None = None,
    period: int = 1,
    **more: Any,
) -> None:
    """Add one elementwise pass over a weight."""
    rule = () if own is None else (("f", own.f),)
    counts = () if own is None else (("states", len(own.states)), ("s", len(own.scalars)))
    kernel = Kernel(template, (*rule, *template.rules()), variable.dtype, counts)
    arguments = {"w": variable, "g": gradient, **numbers.named, **more}
    arguments |= {} if own is None else {"states": own.states, "s": own.scalars}
    arguments |= {"mean": optimizer.average(variable), "total": optimizer.gradient_sum(variable)}
    arguments["weight_decay"] = optimizer.decay_of(variable)
    if variable.regularizer is not None:
        arguments |= {"l1": variable.regularizer.l1, "l2": variable.regularizer.l2}
    cost = 100 + 100 * sum(kind in ("read", "update") for _, kind in kernel.parameters())
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
    """Add the launches of the gradients' norms; where what each gradient is multiplied with will be."""
    every = optimizer.gradient_accumulation_steps or 1
    squares = norm_squares(plan, [(label, g) for (label, _), g in zip(weights, gradients, strict=True)], every)
    together = bool(optimizer.global_clipnorm)
    limits = [optimizer.global_clipnorm or optimizer.clipnorm, every]
    kernel = Kernel(reduce.norm_factor, (("f", rules.clip_factor),), "float64", (("p", 2),))
    factors = [plan.slot() for _ in range(1 if together else len(weights))]
    for first, slot in enumerate(factors):
        plan.label = optimizer.name if together else weights[first][0]
        span = {"first": first, "count": len(weights) if together else 1}
        arguments = {"squares": squares, "factor": slot, "p": limits, **span}
        plan.launch(kernel, arguments, Extent(fixed=1), 1, 1000, period=every)
    return factors * len(weights) if together else factors


def _step_factors(optimizer, plan, directions, numbers) -> list[Slot]:
    """Add the launches of what each direction is multiplied with; where that will be."""
    every = optimizer.gradient_accumulation_steps or 1
    asking = [(label, v, u) for label, v, u in directions if optimizer.row_of(v).factor is not None]
    squares = norm_squares(plan, [(label, array) for label, v, u in asking for array in (v, u)], every)
    factors = {v: plan.slot() for _, v, _ in asking}
    for place, (label, variable, _) in enumerate(asking):
        plan.label = label
        rule, counts = optimizer.row_of(variable).factor, (("s", len(numbers.own)),)
        kernel = Kernel(reduce.step_factor, (("f", rule),), "float64", counts)
        arguments = {"squares": squares, "factor": factors[variable], "first": 2 * place, "size": variable.size}
        plan.launch(kernel, {**arguments, "s": numbers.own}, Extent(fixed=1), 1, 1000, period=every)
    return [factors.get(v, numbers.own[0]) for _, v, _ in directions]


def norm_squares(plan: Plan, arrays: Sequence[tuple[str, Buffer | Variable]], period: int = 1) -> Buffer:
    """Add the launches of the sum of squares of each array, given with its layer's name; these sums in order.

    Blocks are summed by all threads and then added in order, so that the bits do not depend on the threads.
    """
    squares = plan.buffer((len(arrays),), "float64", per_row=False)
    sizes = [math.prod(array.shape) for _, array in arrays]
    sums = [plan.buffer((-(-size // _BLOCK),), "float64", per_row=False) for size in sizes]
    for (label, array), size, total in zip(arrays, sizes, sums, strict=True):
        plan.label = label
        kernel = Kernel(penalties.stretch_sums, (("f", rules.square),), array.dtype)
        arguments = {"x": array, "sums": total, "width": _BLOCK, "size": size}
        plan.launch(kernel, arguments, Extent(fixed=total.width), 1, 150 * _BLOCK, period=period)
    for place, ((label, _), total) in enumerate(zip(arrays, sums, strict=True)):
        plan.label = label
        arguments = {"sums": total, "squares": squares, "blocks": total.width, "place": place}
        plan.launch(Kernel(reduce.sum_blocks, dtype="float64"), arguments, Extent(fixed=1), 1, 1000, period=period)
    return squares
