"""Products of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.symbolic import equations, formulas
from fastnet.symbolic.array import SymbolicArray, refusal
from fastnet.symbolic.folds import total
from fastnet.symbolic.products import product


def matmul(x1: Any, x2: Any) -> Any:
    """x1 @ x2; in a formula of data, weights and arrays, where those of more than two axes are repeated for each row.

    Example:
        >>> ops.matmul([[1.0, 2.0]], [[3.0], [4.0]]).tolist()
        [[11.0]]
    """
    if isinstance(x1, SymbolicArray) or isinstance(x2, SymbolicArray):
        return product(x1, x2)
    return np.matmul(*_arrays(x1, x2))


def dot(x1: Any, x2: Any) -> Any:
    """x1 · x2, over the last axis of x1; in a formula of data and a weight or an array, as `matmul`.

    Example:
        >>> ops.dot([[1.0, 2.0]], [[3.0], [4.0]]).tolist()
        [[11.0]]
    """
    if isinstance(x1, SymbolicArray) or isinstance(x2, SymbolicArray):
        if all(isinstance(x, SymbolicArray) and x.is_flat for x in (x1, x2)):
            return total(x1 * x2)
        if np.ndim(x2) > 2:
            raise refusal("ops.dot with an array of more than two axes mixes samples", "write ops.matmul or ops.einsum")
        return product(x1, x2)
    return np.dot(*_arrays(x1, x2))


def einsum(subscripts: str, *operands: Any) -> Any:
    """The sums of products that an equation names; in a formula the batch comes first.

    Of more than two arrays, one is multiplied after the other.

    Example:
        >>> ops.einsum("bi,bi->b", [[1.0, 2.0]], [[3.0, 4.0]]).tolist()
        [11.0]
    """
    if any(isinstance(x, SymbolicArray) for x in operands):
        return equations.einsum(subscripts, *operands)
    return np.einsum(subscripts, *_arrays(*operands))


def _arrays(*operands: Any) -> list[Any]:
    return formulas.of_one_kind([*map(formulas.as_floats, operands)])


FUNCTIONS = {f.__name__: f for f in (matmul, dot, einsum)}
