"""Derivatives of traced formulas: reverse mode, of which each step is again a traced formula."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from fastnet.engine.variable import tracing
from fastnet.symbolic import folds, formulas
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.boundaries import IMAGE, LAYER
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rearrange import TAKE_ROWS
from fastnet.symbolic.reshape import FLAT, GROUND, TURNED, reshaped
from fastnet.symbolic.slices import SLICE
from fastnet.symbolic.weight_formulas import ASSIGNED, BATCH_SUM

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
        if node.operation is FLAT and gradient.per_row:
            gradient = _of_rows(gradient, node)
        for x, dx in _contributions(gradient, node):
            if dx is not None and id(x) in needing:
                dx = _as_operand(dx, x)
                found[id(x)] = dx if id(x) not in found else _added(found[id(x)], dx, x)
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
    if dx.per_row and not x.per_row and not tracing.is_whole:
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


def _added(a: SymbolicArray, b: SymbolicArray, x: SymbolicArray) -> SymbolicArray:
    """The sum of two gradients of an array; a weight that meets data of several shapes has them in its own shape."""
    if a.shape != b.shape and not x.per_row and not tracing.is_whole:
        a, b = _of_rows(a, x), _of_rows(b, x)
    return formulas.add(a, b)


def _of_rows(dx: SymbolicArray, x: SymbolicArray) -> SymbolicArray:
    """A gradient of a weight with an entry for each row of the batch, in the weight's shape: summed over other axes."""
    if not dx.per_row or dx.shape[1:] == x.shape:
        return dx
    ahead = max(0, dx.ndim - 1 - x.ndim)
    sizes = (*(1,) * (ahead + x.ndim + 1 - dx.ndim), *dx.shape[1:])
    wanted = (*(1,) * ahead, *x.shape)
    dx = reshaped(dx, (None, *sizes))
    axes = tuple(axis + 1 for axis, (size, new) in enumerate(zip(sizes, wanted, strict=True)) if size != new)
    return reshaped(folds.total(dx, axes, keepdims=True) if axes else dx, (None, *x.shape))


#: operations whose gradient is a matter of the tape, or that are another reading of a weight
NETWORK = (LAYER, IMAGE, TAKE_ROWS, GROUND, TURNED, BATCH_SUM, ASSIGNED)


def with_gradient(results: Iterable[SymbolicArray]) -> set[int]:
    """The ids of all arrays that a gradient reaches from results."""
    results = list(results)
    reached = {id(x) for x in results}
    for x in reversed(ordered(results)):
        operation = x.operation
        if id(x) not in reached or operation is None or (operation.adjoint is None and operation not in NETWORK):
            continue
        skipped = {"where": 0, "like": 1, "layer": 1, "take": 0}.get(operation.name)  # operands without a gradient
        reached.update(id(y) for i, y in enumerate(x.inputs) if i != skipped)
    return reached


def _contributions(dy: SymbolicArray, y: SymbolicArray) -> Iterator[tuple[SymbolicArray, SymbolicArray | None]]:
    """What the gradient of a result adds to those of others, mostly of its operands.

    A softmax y = e^u / Σ e^u gives its exponent y (dy - Σ dy y), which needs neither the exponentials again nor a
    quotient for each element. Where u = x - m with a number m of each row, such as the largest x, that is the gradient
    of x: the softmax does not depend on m.
    """
    if y.operation is formulas.divide and y.inputs[0].operation is formulas.exp:
        exponentials, total = y.inputs
        if total.operation is folds.total and total.inputs[0] is exponentials and total.ndim == y.ndim:
            (axes, keepdims), (exponent,) = total.settings, exponentials.inputs
            is_number = axes == (y.ndim - 1,) and exponent.operation is formulas.subtract
            if is_number and exponent.inputs[1].shape[-1:] == (1,):
                exponent = exponent.inputs[0]
            if exponent.shape == y.shape:
                yield exponent, formulas.multiply(y, dy - folds.total(formulas.multiply(dy, y), axes, keepdims))
                return
    assert y.operation is not None and y.operation.adjoint is not None
    yield from zip(y.inputs, y.operation.adjoint(dy, y, *y.inputs), strict=True)
