"""Sums of products that an equation names: `einsum`, as one matrix product for two arrays."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.engine.variable import tracing
from fastnet.symbolic import folds
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, refusal, shown
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.products import product, products_of_rows, turned
from fastnet.symbolic.rearrange import expanded, numbered, rearranged, transposed
from fastnet.symbolic.reshape import reshaped
from fastnet.symbolic.weight_formulas import grounded, in_memory, is_of_weights, lifted, under_shape


def einsum(equation: str, *operands: Any) -> SymbolicArray:
    """The sums of products of arrays, of which one is of the batch, its first axis; of several one product after the
    other. A label that an array has twice names its diagonal.

    Raises:
        TracingError: the equation does not fit the arrays, or sums over the batch.
    """
    arrays = list(map(constant, operands))
    parts, result = _labels(equation, arrays)
    if any(map(is_of_weights, arrays)) and not any(x.per_row for x in arrays):
        return _of_weights(equation, arrays, parts, result)
    if (batch := _batch(arrays, parts)) not in result and (tracing.is_whole or tracing.rows is not None):
        return _over_batch(equation, arrays, parts, result, batch)
    _check(equation, arrays, parts, result)
    terms = [_diagonal(x, labels) for x, labels in zip(arrays, parts, strict=True)]
    x, labels = terms.pop(next(i for i, (array, _) in enumerate(terms) if array.per_row))
    if not terms:
        return _ordered(*_summed(x, labels, result), result)
    while terms:
        shared = (i for i, (_, others) in enumerate(terms) if set(labels) & set(others) - {batch})
        y, second = terms.pop(next(shared, 0))
        wanted = result + "".join(others for _, others in terms)
        kept = "".join(c for c in dict.fromkeys(labels + second) if c in wanted) if terms else result
        x, labels = _of_two(x, labels, y, second, kept), kept
    return x


def _batch(arrays: list[SymbolicArray], parts: list[str]) -> str:
    """The label of the batch."""
    return next((labels[0] for x, labels in zip(arrays, parts) if x.per_row and labels), "")


def _over_batch(equation: str, arrays: list[SymbolicArray], parts: list[str], result: str, batch: str) -> SymbolicArray:
    """The sums over the batch of products that have an entry for each row, such as covariances, in losses."""
    sizes = _check_sizes(equation, arrays, parts)
    if not set(result) <= set(sizes) or any(len(set(labels)) != len(labels) for labels in parts):
        raise refusal(f"the equation {quoted(equation)} sums over the batch", "name each axis once, as 'bi,bj->ij'")
    order = batch + result + "".join(c for c in sizes if c not in batch + result)
    product: Any = None
    for x, labels in zip(arrays, parts):
        lead = order if x.per_row else order[1:]
        axes = [labels.index(c) for c in lead if c in labels]
        if axes != sorted(axes) and x.value is not None:
            x = constant(x.value.transpose(axes))
        elif axes != sorted(axes):
            if not x.per_row:
                raise refusal(f"the equation {quoted(equation)} moves axes of what has no batch", "name them in order")
            x = transposed(x, axes)
        x = reshaped(x, tuple(sizes[c] if c in labels else 1 for c in lead))
        product = x if product is None else product * x
    return folds.total(product, tuple(i for i, c in enumerate(order) if c not in result))


def _diagonal(x: SymbolicArray, labels: str) -> tuple[SymbolicArray, str]:
    """An array with each of its labels once: of axes that share one, the elements of equal indices."""
    once = "".join(dict.fromkeys(labels))
    if once == labels:
        return x, labels
    if x.value is not None:
        return constant(np.einsum(f"{labels}->{once}", x.value)), once
    if not x.per_row:
        sample, _ = _diagonal(lifted(x), _unused(labels)[0] + labels)
        return grounded(sample), once
    return rearranged(x, np.einsum(f"{labels[1:]}->{once[1:]}", numbered(x))), once


def _of_two(x: SymbolicArray, first: str, y: SymbolicArray, second: str, result: str) -> SymbolicArray:
    """The sums of products of data and another array."""
    x, first = _summed(x, first, result + second)
    if not y.per_row and (y.operation is not None or not _is_matrix(first, second, result)):
        y, second = expanded(in_memory(y)), first[0] + second
    if y.per_row:
        y, second = _summed(y, second, result + first)
    return _product(x, first, y, second, result)


def _of_weights(equation: str, arrays: list[SymbolicArray], parts: list[str], result: str) -> SymbolicArray:
    """The same of weights alone, each as one sample."""
    _check_sizes(equation, arrays, parts)
    sample = _unused("".join(parts))[0]
    given = [sample + labels if is_of_weights(x) else labels for x, labels in zip(arrays, parts, strict=True)]
    samples = [lifted(x) if is_of_weights(x) else x for x in arrays]
    return grounded(einsum(f"{','.join(given)}->{sample}{result}", *samples))


def _product(x: SymbolicArray, first: str, y: SymbolicArray, second: str, result: str) -> SymbolicArray:
    """The product of arrays with these labels: rows are what both have and keep, of each a matrix."""
    sizes = dict(zip(first + second, x.shape + y.shape))
    shared = [c for c in second if c in first and c not in result]
    kept = [c for c in first if c in second and c in result]
    left, right = [c for c in first if c not in second], [c for c in second if c not in first]

    def size(labels: Iterable[str]) -> int:
        return math.prod(sizes[c] or 0 for c in labels)

    lead = tuple(sizes[c] for c in kept)
    if y.per_row:
        a = reshaped(_ordered(x, first, kept + left + shared), (*lead, size(left), size(shared)))
        b = reshaped(_ordered(y, second, kept + shared + right), (*lead, size(shared), size(right)))
        c = products_of_rows(a, b)
    else:
        is_turned = [*second] != shared + right
        a = reshaped(_ordered(x, first, left + shared), (*(sizes[c] for c in left), size(shared)))
        w = under_shape(y, (size(right), size(shared)) if is_turned else (size(shared), size(right)))
        c = product(a, turned(w) if is_turned else w)
    return _ordered(reshaped(c, tuple(sizes[c] for c in kept + left + right)), "".join(kept + left + right), result)


def _is_matrix(first: str, second: str, result: str) -> bool:
    """Whether a weight's axes are those that are summed, then those that the result gets from it, or the reverse."""
    shared, kept = [c for c in second if c in first and c not in result], [c for c in second if c in result]
    return not set(kept) & set(first) and [*second] in (shared + kept, kept + shared)


def _labels(equation: str, arrays: list[SymbolicArray]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, letters instead of an ellipsis."""
    given, arrow, result = equation.replace(" ", "").partition("->")
    parts = given.split(",")
    if not arrow:
        letters = [c for c in given if c.isalpha()]
        result = "..." * ("..." in given) + "".join(sorted(c for c in letters if letters.count(c) == 1))
    is_fit = len(parts) == len(arrays) and all(
        re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", part) for part in (*parts, result)
    )
    counts = [x.ndim - len(part.replace("...", "")) for x, part in zip(arrays, parts)]
    most = max([0, *(count for count, part in zip(counts, parts) if "..." in part)])
    if is_fit and min(counts) >= 0:
        free = _unused(equation)[:most]
        parts = [part.replace("...", free[most - count :]) for count, part in zip(counts, parts)]
        result = result.replace("...", free)
    if not is_fit or len(set(result)) != len(result):
        raise refusal(
            f"the equation {quoted(equation)} for {len(arrays)} arrays",
            "name the axes of each array by letters, and those of the result each once: 'bik,bkj->bij'",
        )
    return parts, result


def _unused(equation: str) -> str:
    """Letters that an equation does not use."""
    return "".join(c for c in string.ascii_letters if c not in equation)


def _check(equation: str, arrays: list[SymbolicArray], parts: list[str], result: str) -> None:
    """Check that labels fit the arrays, and that the batch stays in front.

    Raises:
        TracingError: they do not.
    """
    sizes = _check_sizes(equation, arrays, parts)
    batch = _batch(arrays, parts)
    kind = ShapeError if "..." in equation else TracingError  # of an ellipsis, the number of axes decides
    if any(size is None for label, size in sizes.items() if label != batch):
        raise refusal(
            f"the equation {quoted(equation)} compares the rows of the batch with each other",
            "name the batch by one letter, first in each array; losses.Circle has such a comparison",
            kind,
        )
    if not batch or result[:1] != batch or not set(result) <= set(sizes):
        raise refusal(
            f"the equation {quoted(equation)} moves the axis of the batch, or sums over it",
            "begin with it: 'bi->b'", kind,
        )  # fmt: skip


def _check_sizes(equation: str, arrays: list[SymbolicArray], parts: list[str]) -> dict[str, Any]:
    """The size of each label.

    Raises:
        ShapeError: an array has other axes, or a label two sizes.
    """
    sizes: dict[str, Any] = {}
    for x, labels in zip(arrays, parts):
        if x.ndim != len(labels) or any(sizes.setdefault(c, size) != size for c, size in zip(labels, x.shape)):
            given = " and ".join(shown(each.shape) for each in arrays)
            raise refusal(f"the equation {quoted(equation)} does not fit shapes {given}", "name each axis", ShapeError)
    return sizes


def _summed(x: SymbolicArray, labels: str, kept: str) -> tuple[SymbolicArray, str]:
    """An array without the axes that nothing else names, which are summed."""
    axes = tuple(axis for axis, c in enumerate(labels) if c not in kept)
    return (folds.total(x, axes) if axes else x), "".join(c for c in labels if c in kept)


def _ordered(x: SymbolicArray, labels: str, order: Iterable[str]) -> SymbolicArray:
    return transposed(x, [labels.index(c) for c in order])
