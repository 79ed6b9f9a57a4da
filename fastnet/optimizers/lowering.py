"""The launches of an optimizer.

The update of a weight is a sequence of formulas, which `engine/fuse.py` joins into one pass, and this to the product
that computes the gradient. If the norm of a weight or of its step is needed, the first pass computes a direction, and a
second one goes along it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnet._kernels import abi
from fastnet._kernels.registry import Update
from fastnet._kernels.rules import update_stages as stages
from fastnet._kernels.rules.scalars import unchanged
from fastnet._kernels.rules.updates.sgd_update import sgd
from fastnet._kernels.templates import folds, step_scalars, update
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View

if TYPE_CHECKING:
    from fastnet.optimizers.optimizer import Optimizer

_NEVER = float(1 << 60)  # updates


@dataclass
class StepScalars:
    """The slots of the numbers of a step.

    Attributes:
        rule: those of the optimizer's rule.
        memory: those that the rule hands on to the next step.
        rate: that of the learning rate.
        ema_decay, overwrite_now, first_gradient: those of `update.average`, `update.overwrite` and `update.accumulate`,
            if they are needed.
    """

    rule: list[Slot]
    memory: list[Slot]
    rate: Slot
    ema_decay: Slot | None = None
    overwrite_now: Slot | None = None
    first_gradient: Slot | None = None


def start(optimizer: Optimizer, plan: Plan, rate: Slot) -> StepScalars:
    """Add the launches that compute the numbers of a step."""
    row, accumulation_steps = optimizer.step_row, _period(optimizer)
    slots = [plan.slot() for _ in range(row.scalar_count + len(row.memory))]
    parameters = list((optimizer.parameters if row is optimizer.row else row.parameters).values())
    _step_scalars(plan, row.scalars, rate, accumulation_steps, parameters, optimizer.memory, slots)
    scalars = StepScalars(slots[: row.scalar_count], slots[row.scalar_count :], rate)
    if optimizer.use_ema or accumulation_steps > 1:
        scalars.ema_decay, scalars.overwrite_now, scalars.first_gradient = found = [plan.slot() for _ in range(3)]
        parameters = [optimizer.ema_momentum, optimizer.ema_overwrite_frequency or _NEVER, accumulation_steps]
        _step_scalars(plan, stages.stage_scalars, rate, 1, parameters, [], found)
    return scalars


def _step_scalars(
    plan: Plan,
    rule: Callable,
    rate: Slot,
    accumulation_steps: int,
    parameters: Sequence[float],
    memory: Sequence[Variable],
    slots: Sequence[Slot],
) -> None:
    given = {"rate": rate, "iteration": Slot(abi.ITERATION), "accumulation_steps": accumulation_steps}
    plan.call(step_scalars.step_scalars, f=rule, p=parameters, memory=memory, scalars=slots, dtype="float64", **given)


def _period(optimizer: Optimizer) -> int:
    return optimizer.gradient_accumulation_steps or 1


def launch(optimizer: Optimizer, plan: Plan, given: Sequence[tuple[str, Variable, View]], scalars: StepScalars) -> None:
    """Add the launches that change the weights, layer by layer."""
    period = _period(optimizer)
    weights = [(label, variable) for label, variable, _ in given]
    gradients = [_accumulated(optimizer, plan, *each, scalars) for each in given]
    _clip(optimizer, plan, weights, gradients)
    directions = []
    _decay(optimizer, plan, weights, scalars)
    sums = _sums(optimizer, plan, weights, gradients, scalars)
    staged = _staged(optimizer, plan, weights, gradients, scalars)
    for (label, variable), g in zip(weights, gradients, strict=True):
        plan.label, row = label, optimizer.row_of(variable)
        states = optimizer.states[variable][: len(row.states)]
        if row.whole is not None:
            row.whole.launch(plan, row.name, variable, g, states, scalars.rule, period)
            _finish(optimizer, plan, variable, scalars)
            continue
        operands = {"f": row.f, "w": variable, "g": g, "states": states}
        numbers = staged[variable][: len(staged[variable]) - len(row.carried)]
        operands["scalars"] = [*scalars.rule, *sums.get(variable, ()), *numbers]
        if not row.direction:
            plan.call(update.apply_update, period=period, **operands)
            _finish(optimizer, plan, variable, scalars)
            continue
        direction = plan.buffer(variable.shape, variable.dtype, per_row=False)
        plan.call(update.find_direction, direction=direction, period=period, **operands)
        directions.append((label, variable, optimizer.redirect(plan, variable, direction, scalars)))
    factors = _step_factors(optimizer, plan, directions, scalars)
    for (label, variable, direction), factor in zip(directions, factors, strict=True):
        plan.label = label
        operands = {"f": sgd, "w": variable, "g": direction, "states": [], "scalars": [factor]}
        plan.call(update.apply_update, period=period, **operands)
        _finish(optimizer, plan, variable, scalars)
    _remember(optimizer, plan, scalars, staged)


def _remember(optimizer: Optimizer, plan: Plan, scalars: StepScalars, staged: Mapping[Variable, list[Slot]]) -> None:
    """Add the launches that store the numbers for the next step."""
    pairs = [(scalars.memory, optimizer.memory)]
    for variable, numbers in staged.items():
        memory = _carried(optimizer, variable, optimizer.row_of(variable))
        pairs.append((numbers[len(numbers) - len(memory) :], memory))
    for slots, memory in pairs:
        if memory:
            operands = {"scalars": slots, "memory": memory, "period": _period(optimizer)}
            plan.call(step_scalars.remember, dtype="float64", **operands)


def _decay(optimizer: Optimizer, plan: Plan, weights: Sequence[tuple[str, Variable]], scalars: StepScalars) -> None:
    """Add the launches of weight decay."""
    for label, variable in weights:
        if optimizer.decays(variable):
            plan.label = label
            operands = {"w": variable, "rate": scalars.rate, "weight_decay": optimizer.decay_of(variable)}
            plan.call(update.decay, **operands, period=_period(optimizer))


def _sums(
    optimizer: Optimizer,
    plan: Plan,
    weights: Sequence[tuple[str, Variable]],
    gradients: Sequence[View],
    scalars: StepScalars,
) -> dict[Variable, list[Slot]]:
    """Add the launches of the sums that a row asks for; the slots of each weight's, and of those of all weights."""
    row, period = optimizer.row, _period(optimizer)
    if not (row.sums or row.total_sums):
        return {}
    found: dict[Variable, list[Slot]] = {variable: [] for _, variable in weights}
    for rule, together in [*((f, False) for f in row.sums.values()), *((f, True) for f in row.total_sums.values())]:
        folded = [
            _sum(optimizer, label, variable, g, rule, scalars.rule)
            for (label, variable), g in zip(weights, gradients, strict=True)
        ]
        totals = _totals(plan, folded, period)
        slots = [plan.slot() for _ in range(1 if together else len(weights))]
        for first, slot in enumerate(slots):
            plan.label = optimizer.label if together else weights[first][0]
            _read_total(plan, totals, first, len(weights) if together else 1, slot, period)
        for (_, variable), slot in zip(weights, slots * len(weights) if together else slots):
            found[variable].append(slot)
    return found


def _sum(
    optimizer: Optimizer, label: str, variable: Variable, g: View, rule: Callable, scalars: Sequence[Slot]
) -> tuple[str, Any, dict[str, Any]]:
    """A sum over a weight, for `_totals`."""
    states = optimizer.states[variable][: len(optimizer.row_of(variable).states)]
    return label, update.sum_of_update, {"f": rule, "w": variable, "g": g, "states": states, "scalars": scalars}


def _read_total(plan: Plan, totals: View, first: int, count: int, slot: Slot, period: int) -> None:
    """Add the launch that adds so many sums from the first on."""
    operands = {"squares": totals, "factor": slot, "first": first, "count": count, "p": []}
    plan.call(step_scalars.norm_factor, f=unchanged, period=period, **operands)


def _sum_slots(plan: Plan, folded: Sequence[tuple[str, Any, dict[str, Any]]], period: int) -> list[Slot]:
    """Add the launches of sums; their slots."""
    if not folded:
        return []
    totals = _totals(plan, folded, period)
    slots = [plan.slot() for _ in folded]
    for first, ((plan.label, *_), slot) in enumerate(zip(folded, slots, strict=True)):
        _read_total(plan, totals, first, 1, slot, period)
    return slots


def _staged(
    optimizer: Optimizer,
    plan: Plan,
    weights: Sequence[tuple[str, Variable]],
    gradients: Sequence[View],
    scalars: StepScalars,
) -> dict[Variable, list[Slot]]:
    """Add the launches of the stages of rows; the slots of the numbers of each weight."""
    period = _period(optimizer)
    found: dict[Variable, list[Slot]] = {variable: [] for _, variable in weights}
    rows = [optimizer.row_of(variable) for _, variable in weights]
    for depth in range(max((len(row.stages) for row in rows), default=0)):
        present = [
            (label, variable, g, row)
            for (label, variable), g, row in zip(weights, gradients, rows, strict=True)
            if depth < len(row.stages)
        ]
        folded = [
            _sum(optimizer, label, variable, g, rule, [*scalars.rule, *found[variable]])
            for label, variable, g, row in present
            for rule in row.stages[depth].sums
        ]
        slots = iter(_sum_slots(plan, folded, period))
        for label, variable, _, row in present:
            stage, plan.label = row.stages[depth], label
            sums = [next(slots) for _ in stage.sums]
            numbers = [plan.slot() for _ in range(stage.count)]
            given = {"p": stage.parameters, "scalars": [*scalars.rule, *found[variable], *sums]}
            memory = _carried(optimizer, variable, row)
            plan.call(step_scalars.weight_numbers, f=stage.f, memory=memory, numbers=numbers, dtype="float64", **given)
            found[variable] += numbers
    return found


def _carried(optimizer: Optimizer, variable: Variable, row: Update) -> list[Variable]:
    """The numbers that a weight hands on from step to step; they stand behind its states."""
    return optimizer.states[variable][len(row.states) : len(row.states) + len(row.carried)]


def _accumulated(
    optimizer: Optimizer, plan: Plan, label: str, variable: Variable, g: View, scalars: StepScalars
) -> View:
    """The gradient of a weight; the mean of several steps if gradients are accumulated."""
    plan.label = label
    total, period = optimizer.gradient_sum(variable), _period(optimizer)
    if total is None:
        return g
    plan.call(update.accumulate, total=total, g=g, first_gradient=scalars.first_gradient)
    mean = plan.buffer(variable.shape, variable.dtype, per_row=False)
    plan.call(update.mean_gradient, total=total, g=mean, steps=period, period=period)
    return mean


def _clip(optimizer: Optimizer, plan: Plan, weights: Sequence[tuple[str, Variable]], gradients: Sequence[View]) -> None:
    """Add the launches that clip gradients, by their norms or element by element."""
    period = _period(optimizer)
    factors: list[Slot | None] = [None] * len(weights)
    if optimizer.clipnorm or optimizer.global_clipnorm:
        factors = _norm_factors(optimizer, plan, weights, gradients)
    for (label, _), g, factor in zip(weights, gradients, factors, strict=True):
        plan.label = label
        if factor is not None:
            plan.call(update.scale_gradient, g=g, factor=factor, period=period)
        if optimizer.clipvalue:
            plan.call(update.clip_gradient, g=g, limit=optimizer.clipvalue, period=period)


def _finish(optimizer: Optimizer, plan: Plan, variable: Variable, scalars: StepScalars) -> None:
    """Add the launches after the update of a weight: its average changes in every step, even without an update."""
    average = optimizer.average(variable)
    if average is not None:
        plan.call(update.average, mean=average, w=variable, ema_decay=scalars.ema_decay)
        if optimizer.ema_overwrite_frequency:
            plan.call(update.overwrite, w=variable, mean=average, overwrite_now=scalars.overwrite_now)
    if variable.constraint is not None:
        variable.constraint.launch(plan, variable)


def _norm_factors(optimizer, plan, weights, gradients) -> list[Slot | None]:
    """Add the launches of the gradients' norms; return the slots of the factors of the gradients."""
    period = _period(optimizer)
    squares = norm_squares(plan, [(label, g) for (label, _), g in zip(weights, gradients, strict=True)], period)
    together = bool(optimizer.global_clipnorm)
    limits = [optimizer.global_clipnorm or optimizer.clipnorm, 1]
    factors: list[Slot | None] = [plan.slot() for _ in range(1 if together else len(weights))]
    for first, slot in enumerate(factors):
        plan.label = optimizer.label if together else weights[first][0]
        span = {"first": first, "count": len(weights) if together else 1}
        operands = {"squares": squares, "factor": slot, "p": limits, **span}
        plan.call(step_scalars.norm_factor, f=stages.clip_factor, period=period, **operands)
    return factors * len(weights) if together else factors


def _step_factors(optimizer, plan, directions, scalars) -> list[Slot]:
    """Add the launches of the factors of directions; return their slots."""
    period = _period(optimizer)
    asking = [(label, v, u) for label, v, u in directions if optimizer.row_of(v).factor is not None]
    squares = norm_squares(plan, [(label, array) for label, v, u in asking for array in (v, u)], period)
    factors = {v: plan.slot() for _, v, _ in asking}
    for index, (label, variable, _) in enumerate(asking):
        plan.label = label
        operands = {"squares": squares, "factor": factors[variable], "first": 2 * index, "size": variable.size}
        rule = optimizer.row_of(variable).factor
        plan.call(step_scalars.step_factor, f=rule, scalars=scalars.rule, period=period, **operands)
    return [factors.get(v, scalars.rule[0]) for _, v, _ in directions]


def norm_squares(plan: Plan, arrays: Sequence[tuple[str, View | Variable]], period: int = 1) -> View:
    """Add the launches of the sum of squares of each array, given with its layer's name; return the sums in order."""
    operands = {"f": stages.square, "p": []}
    return _totals(plan, [(label, folds.sum_rule, {**operands, "x": array}) for label, array in arrays], period)


def _totals(plan: Plan, folded: Sequence[tuple[str, Any, dict[str, Any]]], period: int) -> View:
    """Add the launches of folds over everything, each given with its layer's name; return the sums in order."""
    totals = plan.buffer((len(folded),), "float64", per_row=False)
    sums = []
    for label, template, operands in folded:
        plan.label = label
        sums.append(plan.sums(template, **operands, period=period))
    for index, ((label, _, _), (chunk_sums, count)) in enumerate(zip(folded, sums, strict=True)):
        plan.label = label
        operands = {"chunk_sums": chunk_sums, "count": count, "result": totals.slice(0, index, index + 1), "p": []}
        plan.call(folds.total_of, f=unchanged, period=period, **operands)
    return totals
