"""Penalties and constraints written as array code: of a weight, or of a layer's result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet._kernels.rules import penalties as rules
from fastnet._kernels.templates import elementwise, folds
from fastnet._kernels.templates import weight_penalties as loops
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, shown
from fastnet.symbolic.gradient import Parts, gradients
from fastnet.symbolic.launches import add_parts, part_results
from fastnet.symbolic.leaves import constant, whole_arrays
from fastnet.symbolic.rows import element_rule
from fastnet.symbolic.whole import WholeFormula, WholeLowering


class TracedPenalty:
    """A penalty: a function from an array to a number.

    Args:
        function: of the array.
        name: of the regularizer.
    """

    def __init__(self, function: Callable[..., Any], name: str):
        self.function, self.name = function, name

    def of_weight(self, plan: Plan, variable: Variable) -> tuple[View, int]:
        """Add the launches of the sums of chunks whose sum is the penalty; these, and how many elements were summed."""
        return self._sums(plan, variable, self._form_of(plan, variable))

    def of_activity(self, plan: Plan, y: View) -> tuple[View, int]:
        """The same for the result of a layer."""
        return self._sums(plan, y, self._form_of(plan, y))

    def add_gradient(self, plan: Plan, variable: Variable, gradient: View) -> None:
        """Add the launches that add the gradient of the penalty to that of a weight."""
        form = self._form_of(plan, variable)
        if (element := form.element()) is not None:
            plan.call(loops.add_gradient, df=self._slope(form, element), w=variable, g=gradient, p=[])
            return
        for _, slope in _parts(form):
            found = plan.buffer(variable.shape, variable.dtype, per_row=False)
            self._lowering(plan, variable, form).store(slope, found)
            plan.call(elementwise.accumulate, x=found, y=gradient)

    def activity_gradient(self, plan: Plan, dy: View, y: View) -> View:
        """Add the launches of dy + the gradient of the penalty over the rows of the batch."""
        form, dx = self._form_of(plan, y), plan.like(y)
        if (element := form.element()) is not None:
            df, saved = self._slope(form, element), y
        else:
            df, saved = rules.same, plan.like(y)
            parts = _parts(form)
            results = part_results(plan, saved, parts)
            lowering = self._lowering(plan, y, form)
            for (_, slope), result in zip(parts, results, strict=True):
                lowering.store(slope, result)
            add_parts(plan, saved, parts, results)
        plan.call(loops.add_activity_gradient, df=df, y=saved, dy=dy, dx=dx, p=[], batch=-1)
        return dx

    def _form_of(self, plan: Plan, x: Variable | View) -> WholeFormula:
        """The penalty of a weight, or of the result of the layer at which the plan is."""
        shape: Shape = x.shape if isinstance(x, Variable) else (None, *x.shape)
        whose = repr(x.path) if isinstance(x, Variable) else f"the result of {plan.label!r}"
        form = WholeFormula(self.function, [shape], f"The regularizer {self.name!r} of {whose}")
        if any(size != 1 for size in form.result.shape):
            raise ShapeError(
                f"{form.what} gives an array of shape {shown(form.result.shape)} for one of shape {shown(shape)}; it "
                "must give one number: ops.sum(...) over all axes."
            )
        return form

    def _sums(self, plan: Plan, x: Variable | View, form: WholeFormula) -> tuple[View, int]:
        if (element := form.element()) is not None:
            rule = element_rule(self._rule_name, element, {id(form.arguments[0]): "x"})
            return plan.sums(folds.sum_rule, f=rule, x=x, p=[])
        return self._lowering(plan, x, form).sums(form.result)

    def _slope(self, form: WholeFormula, element: SymbolicArray) -> Callable[..., Any]:
        """The rule of the derivative of a penalty that is a sum over elements."""
        x = form.arguments[0]
        slopes = [slope for _, slope in gradients(element, _one(element), [x])]
        return element_rule(f"{self._rule_name}_slope", slopes[0] if slopes else constant(0.0), {id(x): "x"})

    def _lowering(self, plan: Plan, x: Variable | View, form: WholeFormula) -> WholeLowering:
        return WholeLowering(plan, form, self._rule_name, {id(form.arguments[0]): x}, x.dtype)

    @property
    def _rule_name(self) -> str:
        return self.name if self.name.isidentifier() else "penalty"


def _parts(form: WholeFormula) -> Parts:
    """The argument and its slices, with their gradients."""
    with whole_arrays(form.rows):
        return gradients(form.result, _one(form.result), form.arguments)


def _one(y: SymbolicArray) -> SymbolicArray:
    """1, with as many axes as an array has."""
    return constant(np.ones((1,) * y.ndim))


def project(plan: Plan, function: Callable[..., Any], name: str, variable: Variable) -> None:
    """Add the launches that make a weight a function of it.

    Args:
        plan: gets them.
        function: from the weight to an array of its shape.
        name: of the constraint.
        variable: the weight.

    Raises:
        TracingError: the function cannot be compiled.
    """
    form = WholeFormula(function, [variable.shape], f"The constraint {name!r} of {variable.path!r}")
    y, w = form.result, form.arguments[0]
    if y.shape != w.shape:
        raise ShapeError(
            f"{form.what} gives an array of shape {shown(y.shape)} for a weight of shape {shown(w.shape)}; it must "
            "keep the shape: fold with keepdims=True."
        )
    rule_name = name if name.isidentifier() else "constraint"
    if form.is_of_elements(y):
        plan.call(loops.project, f=element_rule(rule_name, y, {id(w): "w"}), w=variable, p=[])
        return
    found = plan.buffer(variable.shape, variable.dtype, per_row=False)
    WholeLowering(plan, form, rule_name, {id(w): variable}, variable.dtype).store(y, found)
    plan.call(elementwise.copy, x=found, y=variable)
