"""Which elements of a sample belong together: what the loops of `templates.places` read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastnet.engine.variable import Variable


@dataclass(frozen=True, eq=False)
class Places:
    """Where each element of one shape is found in another.

    Attributes:
        place: (width,) int32, the place of each element.
        members: (count * share,) int32, the elements of each place, in order.
        count: how many places there are.
        share: how many elements each has.
    """

    place: Variable
    members: Variable
    count: int
    share: int

    @classmethod
    def of(cls, place: np.ndarray, count: int) -> Places:
        """From the place of each element; every place has as many elements as the others."""
        flat = place.ravel().astype(np.int32)
        members = np.argsort(flat, kind="stable").astype(np.int32)
        return cls(Variable(flat, "place"), Variable(members, "members"), count, flat.size // max(count, 1))

    @classmethod
    def shared(cls, shape: Sequence[int], axes: Sequence[int]) -> Places:
        """Elements that differ only along ``axes`` have one place."""
        sizes = [1 if axis in axes else size for axis, size in enumerate(shape)]
        count = int(np.prod(sizes, dtype=np.int64))
        return cls.of(np.broadcast_to(np.arange(count).reshape(sizes), shape), count)
