"""Tables of the positions of one shape's elements in another, which the loops of `templates.indexed` read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnet.engine.variable import Variable


@dataclass(frozen=True, eq=False)
class IndexMap:
    """An index for each element of a sample, and the elements of each index.

    Attributes:
        index: (width,) int32.
        members: (count, width // count) int32: the elements of each index, in order.
    """

    index: Variable
    members: Variable

    @classmethod
    def of(cls, index: np.ndarray, count: int) -> IndexMap:
        """From the index of each element; every index below ``count`` has as many elements as the others."""
        flat = index.ravel().astype(np.int32)
        members = np.argsort(flat, kind="stable").astype(np.int32).reshape(count, -1)
        return cls(Variable(flat, "index"), Variable(members, "members"))

    @classmethod
    def shared(cls, shape: Sequence[int], axes: Sequence[int]) -> IndexMap:
        """Elements that differ only along ``axes`` have one index."""
        sizes = [1 if axis in axes else size for axis, size in enumerate(shape)]
        count = int(np.prod(sizes, dtype=np.int64))
        return cls.of(np.broadcast_to(np.arange(count).reshape(sizes), shape), count)
