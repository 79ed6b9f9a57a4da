"""Activations written as array code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastnet._kernels import registry
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.symbolic.added_losses import check_samples
from fastnet.symbolic.array import ShapeError, SymbolicArray, shown
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.gradient import gradients
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rows import element_rule, is_number
from fastnet.symbolic.segments import Segment
from fastnet.symbolic.trace import traced


def _is_of_element(root: SymbolicArray, x: SymbolicArray) -> bool:
    """Whether a result is a formula of one element of the argument."""
    for node in ordered([root]):
        is_leaf = node is x or (node.value is not None and is_number(node))
        if not (is_leaf or isinstance(node.operation, Formula)):
            return False
    return True


class TracedActivation:
    """A function of an array of data.

    Args:
        function: ``x -> y``.
        name: of the activation.
        keeps_axes: whether the result must have the axes of x, but for the size of the last one.
    """

    def __init__(self, function: Callable[..., Any], name: str, keeps_axes: bool = True):
        self.function, self.name, self.keeps_axes = function, name, keeps_axes
        self.forms: dict[tuple[int, ...], tuple[SymbolicArray, SymbolicArray]] = {}

    def form(self, shape: tuple[int, ...]) -> tuple[SymbolicArray, SymbolicArray]:
        """The argument and the result for samples of this shape, traced once.

        Raises:
            TracingError: the function cannot be compiled.
        """
        if shape not in self.forms:
            what = f"The activation {self.name!r}"
            (x,), y, _ = traced(self.function, [(None, *shape)], what)
            if not self.keeps_axes:
                check_samples(what, y)
            elif y.shape[:-1] != x.shape[:-1] or not y.shape[1:]:
                raise ShapeError(
                    f"{what} gives an array of shape {shown(y.shape)} for one of shape {shown(x.shape)}: keep the axes."
                )
            self.forms[shape] = x, y
        return self.forms[shape]

    def element_row(self) -> registry.Activation | None:
        """The row of the registry where each result is a formula of one element; else None.

        Raises:
            TracingError: the function cannot be compiled.
        """
        found = [self._rules(shape) for shape in ((6,), (7,), (5, 6))]
        if found[0] is None or any(rules != found[0] for rules in found):  # of one text, rules are the same
            return None
        return registry.Activation(self.name, *found[0])

    def _rules(self, shape: tuple[int, ...]) -> tuple[Callable, Callable] | None:
        """The rules of an element and of its slope for samples of a shape, where a result is of one element."""
        try:
            x, y = self.form(shape)
        except ShapeError:
            return None
        if not _is_of_element(y, x):
            return None
        slopes = [slope for _, slope in gradients(y, constant(1.0), [x])] or [constant(0.0)]
        if not _is_of_element(slopes[0], x):  # of a custom gradient
            return None
        value, slope = (element_rule(name, root, {id(x): "x"}) for name, root in zip(self._names, (y, slopes[0])))
        return value, slope

    @property
    def _names(self) -> tuple[str, str]:
        return self.name, f"{self.name}_slope"

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a result for samples of this shape."""
        return tuple(size or 0 for size in self.form(shape)[1].shape[1:])

    def forward(self, plan: Plan, x: View) -> View:
        """Add the launch of y."""
        return self._segment(x).forward(plan, x)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        """Add the launches of dx, which a layer that applies the activation to its own numbers always needs."""
        return self._segment(x).backward(plan, dy, replace(x, needs_gradient=True), y)[0]

    def _segment(self, x: View) -> Segment:
        argument, result = self.form(x.shape)
        return Segment(self.name, result, [argument], {})
