"""Matrix products within a formula, of data and a weight or of two results, and sums that run along an axis."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.templates import row_matrices
from fastnet.engine.variable import tracing
from fastnet.engine.view import View
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, broadcast, refusal, shown
from fastnet.symbolic.boundaries import Boundary
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.rearrange import expanded, repeated, transposed
from fastnet.symbolic.reshape import FLAT, GROUND, TURNED, reshaped
from fastnet.symbolic.weight_formulas import grounded, in_memory, is_of_weights, lifted, under_shape


class _MatMul(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        y, (is_turned, _) = lowering.buffer(x), x.settings
        data, weight = lowering.view(x.inputs[0]), lowering.weight(x.inputs[1])
        lowering.plan.product(data, weight, y, transpose_b=is_turned)
        return y


class _RowProducts(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        a, b = (lowering.view(each) for each in x.inputs)
        y = lowering.buffer(x)
        (*lead, height, depth), width = a.shape, b.shape[-1]
        views = {"a": lowering.plan.reshaped(a, (*lead, height * depth))}
        views |= {"b": lowering.plan.reshaped(b, (*lead, depth * width)), "c": y.view((*lead, height * width))}
        lowering.plan.call(row_matrices.products, **views, height=height, depth=depth, width=width)
        return y


class _Product(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        (a, a_is_turned), (b, b_is_turned) = (lowering.factor(each) for each in x.inputs)
        y = lowering.buffer(x)
        lowering.plan.product(a, b, y, transpose_a=a_is_turned, transpose_b=b_is_turned)
        return y


class _RunningSum(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        source, y, (from_end,) = lowering.view(x.inputs[0]), lowering.buffer(x), x.settings
        template = row_matrices.running_sum_from_end if from_end else row_matrices.running_sum
        lowering.plan.call(template, x=source, y=y)
        return y


def _matmul_adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray, w: SymbolicArray) -> tuple:
    """For a constant; the product with a weight is an operation of the tape."""
    is_turned, shape = y.settings
    return SymbolicArray(MATMUL, (dy, w), x.shape, settings=(not is_turned, shape)), None


def _row_products_adjoint(dy: SymbolicArray, y: SymbolicArray, a: SymbolicArray, b: SymbolicArray) -> tuple:
    return products_of_rows(dy, turned(b)), products_of_rows(turned(a), dy)


def _running_sum_adjoint(dy: SymbolicArray, y: SymbolicArray, x: SymbolicArray) -> tuple:
    return (running_sum(dy, not y.settings[0]),)


MATMUL = _MatMul("matmul", _matmul_adjoint)
ROW_PRODUCTS = _RowProducts("matmul of rows", _row_products_adjoint)
PRODUCT = _Product("matmul of matrices")  # of arrays without a batch, in updates
RUNNING_SUM = _RunningSum("cumsum", _running_sum_adjoint)


def product(x: Any, w: Any) -> SymbolicArray:
    """x @ w: of data (n, ..., k) and a weight or an array (k, m), or of two arrays of the batch (n, ..., a, k) and
    (n, ..., k, b). Other weights and arrays are repeated for each row.

    Raises:
        TracingError: other operands, or sizes that do not fit.
    """
    x, w = constant(x), constant(w)
    if tracing.is_update and not (x.per_row or w.per_row):
        return _without_batch(x, w)
    if x.ndim == 1 and not x.per_row and w.ndim > 1:
        y = product(under_shape(x, (1, *x.shape)), w)
        return under_shape(y, (*y.shape[:-2], y.shape[-1]))
    if w.ndim == 1 and not w.per_row and x.ndim > 1:
        _check_sizes(x.shape, (*w.shape, 1))
        y = product(x, under_shape(w, (*w.shape, 1)))
        return under_shape(y, x.shape[:-1])
    if x.per_row and w.per_row and min(x.ndim, w.ndim) > 2:
        return _of_results(x, w)
    if w.per_row and w.ndim > 2 and not x.per_row and x.ndim == 2:
        return turned(product(turned(w), turned(x)))
    if not x.per_row and not w.per_row and any(map(is_of_weights, (x, w))):
        return grounded(product(*(lifted(each) if is_of_weights(each) else each for each in (x, w))))
    if x.per_row != w.per_row and min(x.ndim, w.ndim) > 2:
        return _of_results(_for_each_row(x, w), _for_each_row(w, x))
    return _by_matrix(x, w)


def _by_matrix(x: SymbolicArray, w: SymbolicArray) -> SymbolicArray:
    """Data by a weight or an array of two axes.

    Raises:
        TracingError: they are something else.
    """
    if is_of_weights(w) and w.operation not in (None, FLAT, GROUND, TURNED):
        w = grounded(lifted(w))
    if w.operation is FLAT and (w.inputs[0].operation is not None or w.inputs[0].ndim < 3):
        w = grounded(lifted(w))  # a product reads matrices under their own shape
    is_turned = w.operation is TURNED
    if is_turned:
        (w,) = w.inputs
    weight = w.inputs[0] if w.operation is FLAT else w
    if not x.per_row or x.ndim < 2 or w.per_row or w.ndim != 2 or weight.operation not in (None, GROUND):
        raise refusal(
            f"matmul of arrays of shape {shown(x.shape)} and {shown(w.shape)}",
            "multiply data (n, ..., k) by a weight or an array (k, m), as it is: ops.matmul(x, w)", ShapeError,
        )  # fmt: skip
    depth, width = w.shape[::-1] if is_turned else w.shape
    _check_sizes(x.shape, (depth, width))
    return SymbolicArray(MATMUL, (x, weight), (*x.shape[:-1], width), settings=(is_turned, w.shape))


def _without_batch(x: SymbolicArray, w: SymbolicArray) -> SymbolicArray:
    """x @ w as in NumPy, of arrays without a batch."""
    if not (x.ndim and w.ndim):
        raise refusal("matmul of a number", "write x * y", ShapeError)
    a = reshaped(x, (1, *x.shape)) if x.ndim == 1 else x
    b = reshaped(w, (*w.shape, 1)) if w.ndim == 1 else w
    _check_sizes(a.shape, b.shape)
    if a.ndim == b.ndim == 2:
        y = SymbolicArray(PRODUCT, (a, b), (a.shape[0], b.shape[1]))
    else:
        lead = broadcast("matmul", a.shape[:-2], b.shape[:-2])
        given = (reshaped(each, (*(1,) * (len(lead) + 2 - each.ndim), *each.shape)) for each in (a, b))
        y = grounded(products_of_rows(*(repeated(lifted(each), (None, *lead, *each.shape[-2:])) for each in given)))
    shape = y.shape[:-2] + y.shape[-2:-1] * (x.ndim > 1) + y.shape[-1:] * (w.ndim > 1)
    return reshaped(y, shape)


def _for_each_row(x: SymbolicArray, other: SymbolicArray) -> SymbolicArray:
    """A weight or an array of several axes as an array of the batch, with as many axes as another one; data as they
    are."""
    if x.per_row:
        return x
    if x.ndim == other.ndim and x.shape[0] == 1:
        x = under_shape(x, x.shape[1:])
    if x.ndim >= other.ndim:
        raise refusal(
            f"matmul of arrays of shape {shown(x.shape)} and {shown(other.shape)} would move the axis of the batch",
            "give the data as many axes and one more, for the batch", ShapeError,
        )  # fmt: skip
    return reshaped(expanded(in_memory(x)), (None, *(1,) * (other.ndim - 1 - x.ndim), *x.shape))


def turned(x: SymbolicArray) -> SymbolicArray:
    """An array whose last two axes are exchanged."""
    if x.value is not None:
        return constant(x.value.swapaxes(-1, -2))
    if x.per_row:
        return transposed(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
    if x.operation is TURNED:
        return x.inputs[0]
    if tracing.is_update and x.ndim > 2:
        return grounded(turned(lifted(x)))
    if x.operation not in (None, FLAT, GROUND) and not tracing.is_update:
        x = grounded(lifted(x))
    if x.ndim != 2:
        raise refusal(f"transpose of weights of shape {shown(x.shape)}", "transpose those of two axes", ShapeError)
    return SymbolicArray(TURNED, (x,), x.shape[::-1])


def running_sum(x: SymbolicArray, from_end: bool = False) -> SymbolicArray:
    """The sum of the elements up to each one along the last axis, or from each one on."""
    return SymbolicArray(RUNNING_SUM, (x,), x.shape, settings=(from_end,))


def _of_results(a: SymbolicArray, b: SymbolicArray) -> SymbolicArray:
    _check_sizes(a.shape, b.shape)
    lead = broadcast("matmul", a.shape[:-2], b.shape[:-2])
    if a.ndim != b.ndim:
        raise refusal(
            f"matmul of arrays of shape {shown(a.shape)} and {shown(b.shape)}", "give both as many axes", ShapeError
        )
    return products_of_rows(repeated(a, (*lead, *a.shape[-2:])), repeated(b, (*lead, *b.shape[-2:])))


def products_of_rows(a: SymbolicArray, b: SymbolicArray) -> SymbolicArray:
    """a b for each sample, or part of one: (n, ..., a, k) and (n, ..., k, b) of the same first axes."""
    return SymbolicArray(ROW_PRODUCTS, (a, b), (*a.shape[:-1], b.shape[-1]))


def _check_sizes(a: Shape, b: Shape) -> None:
    if a[-1] != b[-2]:
        raise refusal(
            f"matmul: {shown(a)} and {shown(b)} differ in the size that is summed", "give fitting sizes",
            ShapeError,
        )  # fmt: skip
