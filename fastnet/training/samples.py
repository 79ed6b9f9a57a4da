"""What a pass over data is to the trainer: parts to run through at one go, from arrays or from batches as they come.

A feed has ``batch`` (rows of the plan), ``sources`` (what the plan is made for), ``steps`` of a pass (None where nobody
knows), and ``parts(single)``, one pass.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastnet.arrays import as_array
from fastnet.engine.sources import Batches, Source
from fastnet.training.prefetch import Prefetch

Arrays = tuple[np.ndarray | None, ...]  # x, y, sample weights
Sources = tuple[Source, ...]  # of the same

_DEPTH, _BYTES = 8, 2**26  # batches pulled ahead: at most so many, and at most so many bytes once there are two
_SHARE, _WINDOW = 0.1, 4  # batches are pulled ahead once pulling took more of the time than this, in so many steps
_MANY = 100_000  # batches of a pass of unknown length after which somebody is told how to end it


class Part(NamedTuple):
    """Rows ``[first, total)``, which the runner goes through in steps of ``batch``, the last one perhaps shorter.

    Attributes:
        order: their permutation, or None.
        kept: whether they are there when a step must be done again.
    """

    sources: Sources
    first: int
    total: int
    batch: int
    order: np.ndarray | None = None
    kept: bool = True

    def alone(self, first: int) -> Part:
        """The batch that begins at row ``first``, where rows came as batches."""
        sources = tuple(s.part(first // self.batch) if isinstance(s, Batches) else s for s in self.sources)
        rows = min(self.batch, self.total - first)
        return Part(sources, 0, rows, rows, kept=False)


class ArrayFeed:
    """Arrays, all rows at hand.

    Args:
        sources: of x, y and sample weights.
        batch: rows in a step.
        steps: steps of a pass where it is not all rows: the next one goes on from there, and where the rows run out it
            ends early with a warning, as in Keras.
        new_order: gives the permutation of the rows; called when they begin anew.
    """

    def __init__(
        self, sources: Sources, batch: int, steps: int | None = None, new_order: Callable[[int], Any] | None = None
    ):
        self.sources, self.batch, self.limit, self.new_order = sources, batch, steps, new_order
        self.rows = sources[0].rows
        self.steps: int | None = steps or -(-self.rows // batch)
        self.at = 0  # row where the next pass begins
        self.began = 0  # row where this one began
        self.skip = 0  # steps of the next pass that are done already
        self.order: np.ndarray | None = None

    def __enter__(self) -> ArrayFeed:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to give back."""

    def reset(self) -> None:
        """Begin with the first row again."""
        self.at = 0

    def parts(self, single: bool = False) -> Iterator[Part]:
        """The parts of a pass: one."""
        if self.new_order is not None and (self.at == 0 or self.order is None):
            self.order = self.new_order(self.rows)
        wanted = self.rows if self.limit is None else self.at + self.limit * self.batch
        self.began, end = self.at, min(self.rows, wanted)
        self.at = 0 if end == self.rows else end
        first, self.skip = min(self.began + self.skip * self.batch, end), 0
        yield Part(self.sources, first, end, self.batch, self.order)
        if wanted - self.rows >= self.batch:
            _warn_short(-(-(end - self.began) // self.batch), self.limit)

    def place(self, steps: int) -> dict[str, Any]:
        """Where a pass is of which so many steps are done, for `resume`; with 0, where the next one begins."""
        return {"at": self.began if steps else self.at, "steps": steps, "rows": self.rows, "batch": self.batch}

    def resume(self, place: dict[str, Any]) -> None:
        """Go on there with the next pass."""
        self.at, self.skip = place["at"], place["steps"]
        if self.at and self.new_order is not None:
            self.order = self.new_order(self.rows)


class StreamFeed:
    """Batches as an iterable yields them; pulled ahead by a thread where they are slow to come.

    The first one is pulled when the feed is made: it says what the plan reads. Rows of a batch that is pulled ahead
    are copied while the iterable waits, since it may use its arrays again; not so those of a list, or of a PyTorch
    DataLoader, which makes new ones.

    Args:
        dataset: see `is_stream`.
        check: (x, y, sample weights) of a batch as the model reads them.
        steps: batches of a pass, where it is not all of them.
        new_order: gives the permutation of a PyDataset's batches.

    Raises:
        ValueError: there is no batch, the first one does not fit, or the batches never end.
    """

    def __init__(
        self,
        dataset: Any,
        check: Callable[[Arrays], Arrays],
        steps: int | None = None,
        new_order: Callable[[int], Any] | None = None,
    ):
        self.dataset, self.check, self.limit, self.new_order = dataset, check, steps, new_order
        self.name = type(dataset).__name__
        self.length = _length(dataset)
        self.once = hasattr(dataset, "__next__")
        self.steps: int | None = steps or self.length
        if self.steps is None and (isinstance(dataset, (itertools.cycle, itertools.count)) or is_indexed(dataset)):
            raise ValueError(
                f"The {self.name} never ends: say how many batches make an epoch (steps_per_epoch, steps)."
            )
        self.trusted = isinstance(dataset, (list, tuple)) or _is_a(dataset, "DataLoader")
        self.ahead = False  # whether a thread pulls
        self.iterator: Iterator[Any] | None = None
        self.seen = self.number = 0  # batches of this iterator; of all
        self.kinds: list[tuple | None] | None = None  # what the arrays of a batch are like
        self.begun = False
        self.skip = 0  # batches of the next pass that are done already
        self._peek()

    def _peek(self) -> None:
        self._begin()
        iterator = self._open()
        try:
            batch = next(iterator)
        except StopIteration:
            raise ValueError(f"The {self.name} yields no batch; at least one is needed.") from None
        first = self._checked(batch)
        x = first[0]
        assert x is not None
        self.batch = len(x)
        size = max(1, sum(a.nbytes for a in first if a is not None))
        self.depth = max(2, min(getattr(self.dataset, "max_queue_size", _DEPTH), _BYTES // size))
        self.sources: Sources = _sources(Source, first)
        self.iterator, self.number = itertools.chain([batch], iterator), 0

    def __enter__(self) -> StreamFeed:
        return self

    def __exit__(self, *error: object) -> None:
        """Let the iterator go; one that was given as such stays the user's."""
        self.reset()

    def reset(self) -> None:
        """Begin anew; an iterator goes on where it is."""
        if not self.once and self.iterator is not None and self.number:
            self.iterator, self.seen = None, 0

    def parts(self, single: bool = False) -> Iterator[Part]:
        """The parts of a pass: what has come meanwhile, one batch where ``single``."""
        self._begin()
        pulled, self.skip = self.skip, 0
        most = None if self.steps is None else self.steps - pulled
        for taken in self._take(self._pull(most), 1 if single else self.depth):
            pulled += len(taken)
            if self.steps is None and pulled >= _MANY > pulled - len(taken):
                _warn(
                    f"The {self.name} has yielded {pulled} batches and has not ended. If it never does, say how "
                    "many make an epoch (steps_per_epoch, steps)."
                )
            yield from _parts(taken)
        self.seen += pulled
        if pulled < (self.steps or 1):
            _warn_short(pulled, self.steps)
        if not self.once and (self.steps is None or pulled < self.steps or self.seen == self.length):
            self.iterator, self.seen = None, 0
        self._end()

    def _take(self, batches: Iterator[Any], most: int) -> Iterator[list[Arrays]]:
        """Batches one by one, each when the step before is done, so that nothing is copied and no thread takes a core
        from the step; once that takes long, as many as a thread has pulled meanwhile. Of a list, many at once."""
        if isinstance(self.dataset, (list, tuple)):
            checked = map(self._checked, batches)
            while taken := list(itertools.islice(checked, most)):
                yield taken
            return
        window = itertools.count(1)
        pulling, began = 0.0, perf_counter()
        while not self.ahead:
            asked = perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            arrays = self._checked(batch)
            pulling += perf_counter() - asked
            yield [arrays]
            if next(window) % _WINDOW == 0:
                now = perf_counter()
                self.ahead = pulling > _SHARE * (now - began)
                pulling, began = 0.0, now
        with Prefetch(map(self._checked, batches), self.depth) as queue:
            while taken := queue.take(most):
                yield taken

    def place(self, steps: int) -> dict[str, Any]:
        """Where a pass is of which so many batches are done, for `resume`; with 0, where the next one begins."""
        return {"at": self.seen, "steps": steps, "rows": self.length, "batch": self.batch}

    def resume(self, place: dict[str, Any]) -> None:
        """Go on there with the next pass: the batches before are pulled once more and dropped."""
        self.seen, self.skip = place["at"], place["steps"]
        dropped = self.seen + self.skip
        if not self.once:  # where nothing is dropped the next pass opens it, in the order of its own epoch
            self.iterator = self._open() if dropped else None
        if self.iterator is not None:
            next(itertools.islice(self.iterator, dropped, dropped), None)

    def _pull(self, most: int | None) -> Iterator[Any]:
        """The next batches; from the beginning where none are left and the dataset can be iterated again."""
        got = False
        while not got and most != 0:
            fresh = self.iterator is None
            if self.iterator is None:
                self.iterator, self.seen = self._open(), 0
            for batch in itertools.islice(self.iterator, most):
                got = True
                yield batch
            if fresh or self.once:
                return
            if not got:
                self.iterator = None

    def _open(self) -> Iterator[Any]:
        if not is_indexed(self.dataset):
            return iter(self.dataset)
        if self.length is None:
            return _fetched(self.dataset, itertools.count())
        order = range(self.length) if self.new_order is None else self.new_order(self.length).tolist()
        return _fetched(self.dataset, order)

    def _begin(self) -> None:
        if not self.begun and is_indexed(self.dataset):
            getattr(self.dataset, "on_epoch_begin", int)()
        self.begun = True

    def _end(self) -> None:
        if self.begun and is_indexed(self.dataset):
            getattr(self.dataset, "on_epoch_end", int)()
        self.begun = False

    def _checked(self, batch: Any) -> Arrays:
        """A batch as arrays, like the first one in all but the number of rows; the feed's own if pulled ahead."""
        self.number += 1
        try:
            arrays = self.check(_unpacked(batch))
            kinds = [None if a is None else (a.dtype, a.shape[1:]) for a in arrays]
            if kinds != self.kinds:
                self.kinds = self.kinds or kinds
                _check_kinds(kinds, self.kinds)
        except ValueError as error:
            raise ValueError(f"Batch {self.number} of the {self.name}: {error}") from None
        return tuple([None if a is None else self._own(a) for a in arrays])

    def _own(self, array: np.ndarray) -> np.ndarray:
        return np.array(array, order="C") if self.ahead and not self.trusted else np.ascontiguousarray(array)


def is_stream(x: Any) -> bool:
    """Whether x yields batches, rather than being data: PyDatasets, iterables, lists of tuples of arrays."""
    if isinstance(x, (list, tuple)):
        return len(x) > 0 and isinstance(x[0], (tuple, list)) and len(x[0]) > 0 and _is_array(x[0][0])
    if isinstance(x, (dict, str, bytes)) or _is_array(x):
        return False
    return is_indexed(x) or hasattr(x, "__iter__")


def is_indexed(x: Any) -> bool:
    """Whether x is a PyDataset, fastnet's or Keras's."""
    return _is_a(x, "PyDataset")


def _is_a(x: Any, name: str) -> bool:
    """Whether x is of a class of this name; others' classes are known without importing them."""
    return any(kind.__name__ == name for kind in type(x).__mro__)


def _is_array(x: Any) -> bool:
    return hasattr(x, "__array__") or hasattr(x, "__dlpack__")


def _length(dataset: Any) -> int | None:
    """Batches of a pass, None where it does not say."""
    if is_indexed(dataset):
        return dataset.num_batches
    try:
        return len(dataset)
    except TypeError:  # no __len__, or one that says so, as a DataLoader's over an iterable
        return None


def _fetched(dataset: Any, indices: Iterable[int]) -> Iterator[Any]:
    """The batches of a PyDataset in order; its ``workers``, where there are several, work ahead."""
    workers = getattr(dataset, "workers", 1)
    if workers <= 1:
        yield from map(dataset.__getitem__, indices)
        return
    indices = iter(indices)
    with ThreadPoolExecutor(workers, "fastnet-worker") as pool:
        ahead = deque(pool.submit(dataset.__getitem__, i) for i in itertools.islice(indices, dataset.max_queue_size))
        try:
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(dataset.__getitem__, i) for i in itertools.islice(indices, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _unpacked(batch: Any) -> Arrays:
    several = isinstance(batch, tuple) or (isinstance(batch, list) and len(batch) > 0 and _is_array(batch[0]))
    items = tuple(batch) if several else (batch,)
    if isinstance(batch, dict) or not 1 <= len(items) <= 3:
        what = f"a {type(batch).__name__}" if isinstance(batch, dict) else f"{len(items)} items"
        raise ValueError(
            f"a batch is (x, y), (x, y, sample_weight), or x where no targets are needed; received {what}."
        )
    names = ("x", "y", "sample_weight")
    arrays = [None if item is None else as_array(item, name) for item, name in zip(items, names)]
    return (*arrays, None, None)[:3]


def _check_kinds(kinds: Sequence[tuple | None], first: Sequence[tuple | None]) -> None:
    """(dtype, shape of a row) of x, y and sample weights are those of the first batch."""
    for name, *pair in zip(("x", "y", "sample_weight"), first, kinds):
        if pair[0] != pair[1]:
            said = ["none" if kind is None else f"{kind[0]} of shape {('n', *kind[1])}" for kind in pair]
            told = f"{name} must be like the first batch's, {said[0]}; received {said[1]}."
            raise ValueError(told.replace("'n'", "n"))


def _sources(kind: Callable[[Any], Source], arrays: Sequence[Any]) -> Sources:
    """Sources of x, and of y and sample weights where there are any."""
    return tuple([kind(a) for a in arrays if a is not None])


def _parts(batches: list[Arrays]) -> Iterator[Part]:
    """Batches as parts: of one size each, but for the last of a part, which may be shorter."""
    if len(batches) == 1:  # the usual case, before each step of a generator: no table of addresses
        sources = _sources(Source, batches[0])
        yield Part(sources, 0, sources[0].rows, sources[0].rows, kept=False)
        return
    start = 0
    rows = [len(b[0]) for b in batches if b[0] is not None]
    for k in range(1, len(batches) + 1):
        if k == len(batches) or rows[k - 1] != rows[start] or rows[k] > rows[start]:
            sources = _sources(Batches, [None if c[0] is None else c for c in zip(*batches[start:k])])
            yield Part(sources, 0, sum(rows[start:k]), rows[start], kept=False)
            start = k


def _warn_short(had: int, wanted: int | None) -> None:
    said = f"{had} batches" if wanted is None else f"{had} of the {wanted} batches"
    _warn(
        f"The data ran out: this pass had {said}. It goes on; give data for steps_per_epoch * epochs batches, or "
        "something that can be iterated again."
    )


def _warn(message: str) -> None:
    """Warn of the line outside fastnet that led here."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastnet."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
