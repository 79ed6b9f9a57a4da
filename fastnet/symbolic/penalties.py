"""Regularizers and constraints written as array code."""

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
from fastnet.symbolic import formulas
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, TracingError, shown
from fastnet.symbolic.gradient import Parts, gradients
from fastnet.symbolic.launches import add_parts, part_results
from fastnet.symbolic.leaves import constant, returned, whole_arrays
from fastnet.symbolic.lowering import Lowering
from fastnet.symbolic.rows import element_rule
from fastnet.symbolic.trace import traced
from fastnet.symbolic.weight_formulas import lifted
from fastnet.symbolic.whole import WholeFormula, WholeLowering


class LiftedFormula:
    """A function of one weight, as a formula of one sample that holds the weight (`weight_formulas`): it may have
    products, slices, and folds of any axes. Its loops have one row, and run on one thread.

    Args:
        function: of the weight.
        variable: the weight.
        what: the function is, for errors.

    Raises:
        TracingError: the function cannot be compiled.
    """

    def __init__(self, function: Callable[..., Any], variable: Variable, what: str):
        (leaf,), y, _ = traced(function, [variable.shape], what)
        self.variable, self.argument = variable, lifted(leaf)
        self.result = y if y.value is not None else lifted(y)

    def value(self, plan: Plan, name: str) -> View:
        """Add the launches of the result."""
        return self._lowering(plan, name).view(self.result)

    def gradient(self, plan: Plan, name: str) -> View:
        """Add the launches of the gradient of a number."""
        parts = gradients(self.result, formulas.like(1.0, self.result), [self.argument])
        found = plan.buffer(self.variable.shape, self.variable.dtype, per_row=False)
        results = part_results(plan, found, parts)
        self._lowering(plan, f"{name}_gradient").add([slope for _, slope in parts], results)
        add_parts(plan, found, parts, results)
        return found

    def _lowering(self, plan: Plan, name: str) -> Lowering:
        view = plan.buffer(self.variable.shape, self.variable.dtype, per_row=False)
        plan.call(elementwise.copy, x=self.variable, y=view)
        return Lowering(plan, name, {id(self.argument): view}, per_row=False)


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

        def lifted_sums() -> tuple[View, int]:
            x = LiftedFormula(self._number, variable, self._what(variable)).value(plan, self._rule_name)
            return plan.sums(folds.sum_rule, f=rules.same, x=x, p=[])

        return _either(plan, lambda: self._sums(plan, variable, self._form_of(plan, variable)), lifted_sums)

    def of_activity(self, plan: Plan, y: View) -> tuple[View, int]:
        """The same for the result of a layer."""
        return self._sums(plan, y, self._form_of(plan, y))

    def add_gradient(self, plan: Plan, variable: Variable, gradient: View) -> None:
        """Add the launches that add the gradient of the penalty to that of a weight."""

        def whole() -> None:
            form = self._form_of(plan, variable)
            if (element := form.element()) is not None:
                plan.call(loops.add_gradient, df=self._slope(form, element), w=variable, g=gradient, p=[])
                return
            for _, slope in _parts(form):
                found = plan.buffer(variable.shape, variable.dtype, per_row=False)
                self._lowering(plan, variable, form).store(slope, found)
                plan.call(elementwise.accumulate, x=found, y=gradient)

        def of_sample() -> None:
            formula = LiftedFormula(self._number, variable, self._what(variable))
            plan.call(elementwise.accumulate, x=formula.gradient(plan, self._rule_name), y=gradient)

        _either(plan, whole, of_sample)

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
        what = self._what(x) if isinstance(x, Variable) else self._of(f"the result of {plan.label!r}")
        return WholeFormula(self._number, [shape], what)

    def _number(self, x: SymbolicArray) -> SymbolicArray:
        """The penalty of a symbolic array.

        Raises:
            ShapeError: it is not one number.
        """
        y = returned(self.function(x))
        if any(size != 1 for size in y.shape):
            raise ShapeError(
                f"it gives an array of shape {shown(y.shape)} for one of shape {shown(x.shape)}, and must give one "
                "number: ops.sum(...) over all axes."
            )
        return y

    def _of(self, whose: str) -> str:
        return f"The regularizer {self.name!r} of {whose}"

    def _what(self, variable: Variable) -> str:
        return self._of(repr(variable.path))

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
    what, rule_name = f"The constraint {name!r} of {variable.path!r}", name if name.isidentifier() else "constraint"
    found = plan.buffer(variable.shape, variable.dtype, per_row=False)

    def checked(w: SymbolicArray) -> SymbolicArray:
        y = returned(function(w))
        if y.shape != w.shape:
            raise ShapeError(
                f"it gives an array of shape {shown(y.shape)} for a weight of shape {shown(w.shape)}, and must keep "
                "the shape: fold with keepdims=True."
            )
        return y

    def whole() -> None:
        form = WholeFormula(checked, [variable.shape], what)
        y, w = form.result, form.arguments[0]
        if form.is_of_elements(y):
            plan.call(loops.project, f=element_rule(rule_name, y, {id(w): "w"}), w=variable, p=[])
            return
        WholeLowering(plan, form, rule_name, {id(w): variable}, variable.dtype).store(y, found)
        plan.call(elementwise.copy, x=found, y=variable)

    def of_sample() -> None:
        y = LiftedFormula(checked, variable, what).value(plan, rule_name)
        plan.call(elementwise.copy, x=y, y=variable)

    _either(plan, whole, of_sample)


def _either(plan: Plan, whole: Callable[[], Any], of_sample: Callable[[], Any]) -> Any:
    """Add the launches of a formula of a whole array, or, of what that cannot have, those of a formula of a sample. An
    error is that of the second way, which allows all that formulas of weights may do."""
    count = len(plan.launches)
    try:
        return whole()
    except TracingError:
        del plan.launches[count:]
    return of_sample()
