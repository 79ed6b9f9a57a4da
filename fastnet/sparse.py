"""Sparse matrices of scipy as data: rows that become dense when a batch is gathered. scipy is not imported."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_sparse(value: Any) -> bool:
    """Whether the value is a sparse matrix of any format."""
    return hasattr(value, "tocsr")


class SparseRows:
    """Rows of a matrix in the CSR format, with the interface of an array as far as data need it.

    Args:
        values: the elements that are not 0, row after row.
        columns: the column of each; int32 or int64.
        starts: the index of the first element of each row, and the end of the last one (n + 1,); as ``columns``.
        width: the number of columns.
    """

    ndim = 2

    def __init__(self, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int):
        self.values, self.columns, self.starts = values, columns, starts
        self.shape, self.dtype = (len(starts) - 1, width), values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> SparseRows:
        """Consecutive rows, without a copy."""
        first, last, _ = part.indices(len(self))
        return SparseRows(self.values, self.columns, self.starts[first : last + 1], self.shape[1])


def csr_parts(matrix: Any, argument: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Values, columns, starts and width of a sparse matrix; see `SparseRows`. A matrix in another format is converted.

    Raises:
        ValueError: the matrix has not two axes, or its indices point outside of it.
    """
    if len(matrix.shape) != 2:
        raise ValueError(f"{argument} must have rows and columns if it is sparse; received shape {matrix.shape}.")
    csr = matrix.tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    index = np.int32 if csr.indices.dtype == csr.indptr.dtype == np.int32 else np.int64
    columns, starts = (np.ascontiguousarray(a, index) for a in (csr.indices, csr.indptr))
    rows, width = csr.shape
    inside = not columns.size or (columns.min() >= 0 and columns.max() < width)
    ordered = len(starts) == rows + 1 and starts[0] >= 0 and (np.diff(starts) >= 0).all() and starts[-1] <= len(columns)
    if not inside or not ordered or len(csr.data) < starts[-1]:
        raise ValueError(f"{argument}: the indices of the sparse matrix of shape {csr.shape} point outside of it.")
    return csr.data, columns, starts, width
