"""Derivatives of traced formulas: reverse mode, of which each step is again a traced formula."""

from __future__ import annotations

from collections.abc import Container, Iterable

from fastnet.symbolic import folds, formulas
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.leaves import whole
from fastnet.symbolic.order import ordered
from fastnet.symbolic.reshape import reshaped
from fastnet.symbolic.slices import SLICE

Parts = list[tuple[SymbolicArray, SymbolicArray]]  # of arguments, each with its gradient


def gradients(
    y: SymbolicArray, dy: SymbolicArray, arguments: Iterable[SymbolicArray], leaves: Container[int] = ()
) -> Parts:
    """The arguments and their slices that ``y`` depends on, with the gradient of each: ``[(part, gradient), ...]``.

    The gradient of a weight has an entry for each row of the batch, whose sum is still to be taken.

    Args:
        y: the result.
        dy: its gradient.
        arguments: what gradients are wanted of.
        leaves: ids of results of other formulas, which are read as arguments are.
    """
    wanted = {id(argument) for argument in arguments}
    nodes = ordered([y], leaves=leaves)
    needing = set(wanted)
    for node in nodes:
        if any(id(x) in needing for x in node.inputs):
            needing.add(id(node))
    found: dict[int, SymbolicArray] = {id(y): dy}
    parts = []
    for node in reversed(nodes):
        gradient = found.pop(id(node), None)
        if gradient is None or id(node) not in needing:
            continue
        if _is_part(node, leaves):
            parts.append((node, gradient))
            continue
        if node.operation is None or node.operation.adjoint is None:
            continue
        contributions = node.operation.adjoint(gradient, node, *node.inputs)
        for x, dx in zip(node.inputs, contributions, strict=True):
            if dx is not None and id(x) in needing:
                dx = _as_operand(dx, x)
                found[id(x)] = dx if id(x) not in found else formulas.add(found[id(x)], dx)
    return parts


def _is_part(x: SymbolicArray, leaves: Container[int]) -> bool:
    """Whether an array is an argument, the result of another formula, or a slice of one along the last axis."""
    if x.operation is None or id(x) in leaves:
        return True
    if x.operation is not SLICE or any(cut != (0, n) for cut, n in zip(x.settings[1:-1], x.inputs[0].shape[1:])):
        return False
    return x.inputs[0].operation is None or id(x.inputs[0]) in leaves


def _as_operand(dx: SymbolicArray, x: SymbolicArray) -> SymbolicArray:
    """A gradient summed over the axes along which its operand was repeated; a weight keeps the rows."""
    if dx.per_row and not x.per_row and whole.rows is None:
        if dx.shape[1:] == x.shape:
            return dx
        if (x.shape or (1,))[-1] == 1:
            return folds.total(dx, -1, keepdims=True) if dx.ndim > 1 and dx.shape[-1] != 1 else dx
        return dx if dx.shape[-1] == x.shape[-1] else formulas.like(dx, x)
    extra = dx.ndim - x.ndim
    axes = tuple(range(extra)) + tuple(
        axis + extra for axis, size in enumerate(x.shape) if size == 1 and dx.shape[axis + extra] != 1
    )
    if axes:
        dx = folds.total(dx, axes, keepdims=True)
    if dx.shape != x.shape and extra > 0 and dx.shape[extra:] == x.shape and set(dx.shape[:extra]) == {1}:
        dx = reshaped(dx, x.shape)
    if dx.shape != x.shape:  # the gradient did not depend on all that its operand has
        dx = formulas.like(dx, x)
    return dx


def of_quotient(parts: Parts, y: SymbolicArray) -> Parts:
    """Gradients that read y and S of a softmax y = e / S in place of e = y S; other gradients as they are.

    Both are in memory, and e would be computed again. Where e and S are infinite, y is NaN already.
    """
    if y.operation is not formulas.divide or y.inputs[0].operation is not formulas.exp:
        return parts
    exponential, total = y.inputs
    if total.operation is not folds.total or total.inputs[0] is not exponential:
        return parts
    known = {id(y): y, id(total): total, id(exponential): formulas.multiply(y, total)}
    return [(part, _replaced(gradient, known)) for part, gradient in parts]


def _replaced(root: SymbolicArray, known: dict[int, SymbolicArray]) -> SymbolicArray:
    """A formula in which others stand for some of its parts."""
    for x in ordered([root], leaves=dict(known)):
        if id(x) not in known:
            inputs = tuple(known[id(y)] for y in x.inputs)
            is_same = all(a is b for a, b in zip(inputs, x.inputs))
            known[id(x)] = x if is_same else SymbolicArray(x.operation, inputs, x.shape, x.is_bool, x.settings, x.value)
    return known[id(root)]
