"""Samples: checked data that loops read, segment by segment. These are of arrays; `streams` has those of batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastnet.checks import warn
from fastnet.engine.sources import Batches, Source

Sources = tuple[Source, ...]  # of x, and of y and sample weights where there are any


def sources_of(arrays: Iterable[Any], kind: Callable[[Any], Source] = Source) -> Sources:
    """Sources of x, and of y and sample weights where there are any."""
    return tuple([kind(array) for array in arrays if array is not None])


class Batch(NamedTuple):
    """Rows of data, with their targets, their weights and the names of the columns of x where there are any."""

    x: Any
    y: Any = None
    sample_weight: Any = None
    columns: tuple[str, ...] | None = None


class Segment(NamedTuple):
    """Rows ``[first, total)`` of sources, which the runner reads in steps of ``batch_size``; the last may be shorter.

    Attributes:
        order: their permutation, or None.
        repeatable: whether the rows can be read again when a step must be repeated.
    """

    sources: Sources
    first: int
    total: int
    batch_size: int
    order: np.ndarray | None = None
    repeatable: bool = True

    def batch_at(self, first: int) -> Segment:
        """A segment of the one step that begins at row ``first``, of a segment made of batches."""
        sources = tuple(s.part(first // self.batch_size) if isinstance(s, Batches) else s for s in self.sources)
        rows = min(self.batch_size, self.total - first)
        return Segment(sources, 0, rows, rows, repeatable=False)


class Samples(Protocol):
    """Data that were adapted and checked once; each pass reads segments of them. A context manager, which ends passes.

    Attributes:
        sources: of the rows, or of the first batch; the plan is made for their signatures.
        batch_size: rows in a step.
        length: rows of arrays, batches of a stream; None if unknown.
        steps: steps of a pass; None if unknown.
    """

    sources: Sources
    batch_size: int
    length: int | None
    steps: int | None

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...

    def segments(self, one_step: bool = False) -> Generator[Segment, None, None]:
        """The segments of the next pass; with ``one_step`` each segment of a stream has one batch."""

    def restart(self) -> None:
        """Let the next pass begin with the first sample; an iterator continues at its position."""

    def position(self, steps: int) -> dict[str, Any]:
        """The position of a pass after ``steps`` steps, for `resume`; for 0 steps that of the next pass."""

    def resume(self, position: dict[str, Any]) -> None:
        """Let the next pass continue at a position."""


class ArraySamples:
    """Samples of arrays, see `Samples`.

    Args:
        sources: of x, y and sample weights.
        batch_size: rows in a step.
        steps: steps of a pass if it does not read all rows; the next pass continues after them. If the rows run out,
            the pass ends early with a warning, as in Keras.
        new_order: returns a permutation of so many rows; called when the rows start again.
    """

    def __init__(
        self, sources: Sources, batch_size: int, steps: int | None = None, new_order: Callable[[int], Any] | None = None
    ):
        self.sources, self.batch_size, self.new_order = sources, batch_size, new_order
        self.length: int | None = sources[0].rows
        self.rows = sources[0].rows
        self.steps: int | None = steps or -(-self.rows // batch_size)
        self.limit = steps
        self.next_row = 0  # of the next pass
        self.start_row = 0  # of this pass
        self.skipped_steps = 0  # steps of the next pass that are done already
        self.order: np.ndarray | None = None

    def __enter__(self) -> ArraySamples:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def restart(self) -> None:
        self.next_row = 0

    def segments(self, one_step: bool = False) -> Generator[Segment, None, None]:
        """Yield one segment."""
        if self.new_order is not None and (self.next_row == 0 or self.order is None):
            self.order = self.new_order(self.rows)
        wanted = self.rows if self.limit is None else self.next_row + self.limit * self.batch_size
        self.start_row, end = self.next_row, min(self.rows, wanted)
        self.next_row = 0 if end == self.rows else end
        first = min(self.start_row + self.skipped_steps * self.batch_size, end)
        self.skipped_steps = 0
        yield Segment(self.sources, first, end, self.batch_size, self.order)
        if wanted - self.rows >= self.batch_size:
            warn_exhausted(-(-(end - self.start_row) // self.batch_size), self.limit)

    def position(self, steps: int) -> dict[str, Any]:
        row = self.start_row if steps else self.next_row
        return {"at": row, "steps": steps, "rows": self.rows, "batch": self.batch_size}

    def resume(self, position: dict[str, Any]) -> None:
        self.next_row, self.skipped_steps = position["at"], position["steps"]
        if self.next_row and self.new_order is not None:
            self.order = self.new_order(self.rows)


def shuffled_within_batches(new_order: Callable[[int], np.ndarray], batch_size: int, rows: int) -> np.ndarray:
    """A permutation that moves each row within its batch."""
    order = new_order(rows)
    return np.ascontiguousarray(order[np.argsort(order // batch_size, kind="stable")])


def warn_exhausted(found: int, wanted: int | None) -> None:
    """Warn that a pass had fewer batches than requested."""
    counted = f"{found} batches" if wanted is None else f"{found} of the {wanted} batches"
    warn(
        f"The data ran out: this pass had {counted}. It goes on; give data for steps_per_epoch * epochs batches, or "
        "something that can be iterated again."
    )
