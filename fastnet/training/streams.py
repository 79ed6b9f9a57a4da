"""Samples of a stream: batches that an iterable yields. A thread pulls slow batches ahead."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from fastnet import checks
from fastnet.arrays import as_array, is_array, one_item
from fastnet.engine.sources import Batches
from fastnet.sparse import is_sparse
from fastnet.training.prefetch import Prefetch
from fastnet.training.samples import Batch, Segment, Sources, sources_of, warn_exhausted

Arrays = tuple[np.ndarray | None, ...]  # x, y and sample weights as the network reads them

_DEPTH, _BYTES = 8, 2**26  # limits of the batches pulled ahead; two are allowed whatever their bytes
_PULL_FRACTION, _WINDOW = 0.1, 4  # a thread pulls once pulling took more than this share of the time of a window
_ENDLESS = 100_000  # batches of a pass of unknown length before the warning


class StreamSamples:
    """Samples of an iterable of batches, see `Samples`.

    It pulls the first batch at once, since the plan is made for its arrays. A batch that is pulled ahead is copied
    while the iterable waits, since the iterable may fill its arrays again. Lists do not do this, and a PyTorch
    DataLoader makes new arrays; their batches are read in place.

    Args:
        dataset: see `is_stream`.
        check: returns the arrays of a batch as the network reads them.
        steps: batches of a pass, if it does not read all of them.
        new_order: returns a permutation of a PyDataset's batches.
        is_open: whether batches may have different shapes, which ``check`` knows.

    Raises:
        ValueError: the stream is empty, its first batch does not fit, or it never ends.
    """

    def __init__(
        self,
        dataset: Any,
        check: Callable[[Batch], Arrays],
        steps: int | None = None,
        new_order: Callable[[int], Any] | None = None,
        is_open: bool = False,
    ):
        self.dataset, self.check, self.new_order, self.is_open = dataset, check, new_order, is_open
        self.name = type(dataset).__name__
        self.is_indexed = is_indexed(dataset)
        self.length = _length(dataset, self.is_indexed)
        self.single_use = hasattr(dataset, "__next__")
        self.steps: int | None = steps or self.length
        if self.steps is None and (isinstance(dataset, (itertools.cycle, itertools.count)) or self.is_indexed):
            raise ValueError(
                f"The {self.name} never ends: say how many batches make an epoch (steps_per_epoch, steps)."
            )
        self.is_list = isinstance(dataset, (list, tuple))
        # Whether the dataset leaves arrays unchanged that it has yielded.
        self.is_stable = self.is_list or _is_a(dataset, "DataLoader")
        self.is_prefetched = False  # whether a thread pulls
        self.iterator: Iterator[Any] | None = None
        self.index = 0  # batches that passes have read from this iterator
        self.pulled = 0  # batches pulled in all
        self.signature: list[tuple | None] | None = None  # dtypes and row shapes of a batch's arrays
        self.in_epoch = False
        self.skipped_steps = 0  # batches that the next pass skips, since they are done
        self._pull_first()

    def _pull_first(self) -> None:
        self._begin_epoch()
        iterator = self._open()
        try:
            batch = next(iterator)
        except StopIteration:
            raise ValueError(f"The {self.name} yields no batch; at least one is needed.") from None
        first = self._checked(batch)
        x = first[0]
        assert x is not None
        self.batch_size = len(x)
        size = max(1, sum(a.nbytes for a in first if a is not None))
        self.depth = max(2, min(getattr(self.dataset, "max_queue_size", _DEPTH), _BYTES // size))
        self.sources: Sources = sources_of(first)
        self.iterator, self.pulled = itertools.chain([batch], iterator), 0

    def __enter__(self) -> StreamSamples:
        return self

    def __exit__(self, *error: object) -> None:
        """Release the iterator, unless the user gave it."""
        self.restart()

    def restart(self) -> None:
        if not self.single_use and self.iterator is not None and self.pulled:
            self.iterator, self.index = None, 0

    def segments(self, one_step: bool = False) -> Generator[Segment, None, None]:
        """Yield segments of the batches that have arrived in the meantime; of one batch each if ``one_step``."""
        self._begin_epoch()
        read, self.skipped_steps = self.skipped_steps, 0
        count = None if self.steps is None else self.steps - read
        for batches in self._take(self._pull(count), 1 if one_step else self.depth):
            read += len(batches)
            if self.steps is None and read >= _ENDLESS > read - len(batches):
                checks.warn(
                    f"The {self.name} has yielded {read} batches and has not ended. If it never does, say how "
                    "many make an epoch (steps_per_epoch, steps)."
                )
            yield from _segments(batches)
        self.index += read
        if read < (self.steps or 1):
            warn_exhausted(read, self.steps)
        if not self.single_use and (self.steps is None or read < self.steps or self.index == self.length):
            self.iterator, self.index = None, 0
        self._end_epoch()

    def _take(self, batches: Iterator[Any], limit: int) -> Iterator[list[Arrays]]:
        """Yield lists of batches: from a list up to ``limit``; from others one, when the step before is done.

        Nothing is then copied, and no thread takes a core from the step. Once pulling takes too long, a thread pulls,
        and the lists hold all batches that it has pulled in the meantime.
        """
        if self.is_list:
            checked = map(self._checked, batches)
            while taken := list(itertools.islice(checked, limit)):
                yield taken
            return
        window = itertools.count(1)
        pulling, start = 0.0, perf_counter()
        while not self.is_prefetched:
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
                self.is_prefetched = pulling > _PULL_FRACTION * (now - start)
                pulling, start = 0.0, now
        with Prefetch(map(self._checked, batches), self.depth) as queue:
            while taken := queue.take(limit):
                yield taken

    def position(self, steps: int) -> dict[str, Any]:
        return {"at": self.index, "steps": steps, "rows": self.length, "batch": self.batch_size}

    def resume(self, position: dict[str, Any]) -> None:
        """Let the next pass continue at a position: the batches before it are pulled again and dropped."""
        self.index, self.skipped_steps = position["at"], position["steps"]
        dropped = self.index + self.skipped_steps
        if not self.single_use:  # if none is dropped, the next pass opens it, in its epoch's order
            self.iterator = self._open() if dropped else None
        if self.iterator is not None:
            next(itertools.islice(self.iterator, dropped, dropped), None)

    def _pull(self, count: int | None) -> Iterator[Any]:
        """The next batches; from the beginning if none are left and the dataset can be iterated again."""
        found = False
        while not found and count != 0:
            is_new = self.iterator is None
            if self.iterator is None:
                self.iterator, self.index = self._open(), 0
            for batch in itertools.islice(self.iterator, count):
                found = True
                yield batch
            if is_new or self.single_use:
                return
            if not found:
                self.iterator = None

    def _open(self) -> Iterator[Any]:
        if not self.is_indexed:
            return iter(self.dataset)
        if self.length is None:
            return _fetched(self.dataset, itertools.count())
        order = range(self.length) if self.new_order is None else self.new_order(self.length).tolist()
        return _fetched(self.dataset, order)

    def _begin_epoch(self) -> None:
        if not self.in_epoch and self.is_indexed:
            getattr(self.dataset, "on_epoch_begin", int)()
        self.in_epoch = True

    def _end_epoch(self) -> None:
        if self.in_epoch and self.is_indexed:
            getattr(self.dataset, "on_epoch_end", int)()
        self.in_epoch = False

    def _checked(self, item: Any) -> Arrays:
        """An item as checked arrays, which may differ from those of the first batch only in the number of rows."""
        self.pulled += 1
        try:
            arrays = self.check(_as_batch(item))
            signature = [None if a is None else (a.dtype, a.shape[1:]) for a in arrays]
            if signature != self.signature:
                self.signature = self.signature or signature
                arrays = _like_first(arrays, self.signature, self.is_open)
        except ValueError as error:
            raise ValueError(f"Batch {self.pulled} of the {self.name}: {error}") from None
        return tuple([None if a is None else self._contiguous(a) for a in arrays])

    def _contiguous(self, array: np.ndarray) -> np.ndarray:
        copied = self.is_prefetched and not self.is_stable
        return np.array(array, order="C") if copied else np.ascontiguousarray(array)


def is_stream(x: Any) -> bool:
    """Whether x yields batches and is not data itself: PyDatasets, iterables, lists of tuples of arrays."""
    if isinstance(x, (list, tuple)):
        first = x[0] if len(x) else None
        if not isinstance(first, (tuple, list)) or len(first) == 0:
            return False
        if isinstance(x, tuple) and len(first) == 1:  # ([x], [y]) is a pair of an input and an output
            return False
        return is_array(first[0]) or (isinstance(first, tuple) and one_item(first[0], "x", "input") is not None)
    if isinstance(x, (dict, str, bytes)) or is_array(x):
        return False
    return is_indexed(x) or hasattr(x, "__iter__")


def is_indexed(x: Any) -> bool:
    """Whether x is a PyDataset, fastnet's or Keras's."""
    return _is_a(x, "PyDataset")


def _is_a(x: Any, name: str) -> bool:
    """Whether x is of a class of this name; classes of other libraries need not be imported."""
    return any(kind.__name__ == name for kind in type(x).__mro__)


def _length(dataset: Any, indexed: bool) -> int | None:
    """Batches of a pass; None if the dataset does not tell."""
    try:
        return dataset.num_batches if indexed else len(dataset)
    except (TypeError, NotImplementedError):  # no length: a DataLoader over an iterable, a PyDataset of Keras's
        return None


def _fetched(dataset: Any, indices: Iterable[int]) -> Iterator[Any]:
    """The batches of a PyDataset in order; several ``workers`` make batches ahead."""
    workers = getattr(dataset, "workers", 1)
    if workers <= 1:
        yield from map(dataset.__getitem__, indices)
        return
    from concurrent.futures import ThreadPoolExecutor  # here: the import takes 4 ms, and few trainings need it

    indices = iter(indices)
    with ThreadPoolExecutor(workers, "fastnet-worker") as pool:
        ahead = deque(pool.submit(dataset.__getitem__, i) for i in itertools.islice(indices, dataset.max_queue_size))
        try:
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(dataset.__getitem__, i) for i in itertools.islice(indices, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _as_batch(item: Any) -> Batch:
    """The parts of an item that an iterable yields."""
    is_sequence = isinstance(item, tuple) or (isinstance(item, list) and len(item) > 1 and is_array(item[0]))
    items = tuple(item) if is_sequence else (item,)
    if not 1 <= len(items) <= 3:
        raise ValueError(
            f"a batch is (x, y), (x, y, sample_weight), or x where no targets are needed; received {len(items)} items."
        )
    return Batch(as_array(items[0], "x") if is_sparse(items[0]) else items[0], *items[1:])


def _like_first(arrays: Arrays, first: Sequence[tuple | None], is_open: bool) -> Arrays:
    """The arrays of a batch in the dtypes of the first batch, given by its (dtype, shape of a row) of each.

    Args:
        arrays: of the batch.
        first: of the first batch.
        is_open: whether sizes may be others, and only the number of axes is the same.

    Raises:
        ValueError: one is missing or new, or has rows of another shape.
    """
    converted: list[np.ndarray | None] = []
    for name, array, wanted in zip(Batch._fields, arrays, first):
        received = None if array is None else (array.dtype, array.shape[1:])
        if array is None or wanted is None or not _is_alike(array.shape[1:], wanted[1], is_open):
            if received != wanted:
                described = (
                    "none" if each is None else f"{each[0]} of shape {('n', *each[1])}" for each in (wanted, received)
                )
                message = "{} must be like the first batch's, {}; received {}.".format(name, *described)
                raise ValueError(message.replace("'n'", "n"))
            converted.append(array)
        else:
            converted.append(array if array.dtype == wanted[0] else _in_dtype(array, wanted[0], name))
    return tuple(converted)


def _is_alike(shape: tuple[int, ...], first: tuple[int, ...], is_open: bool) -> bool:
    return shape == first or (is_open and len(shape) == len(first))


def _in_dtype(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """The array of a batch in the dtype of the first batch's.

    Raises:
        ValueError: the dtype cannot hold its values.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        converted = array.astype(dtype)
    same = np.isfinite(converted) == np.isfinite(array) if dtype.kind == "f" else converted == array
    if not same.all():
        raise ValueError(
            f"{name} is {array.dtype}, and {dtype}, the first batch's dtype, cannot hold its values. Give all batches "
            f"one dtype: {name}.astype('float32')."
        )
    return converted


def _segments(batches: list[Arrays]) -> Iterator[Segment]:
    """Segments of batches of one size and shape each; the last batch of a segment may be shorter."""
    if len(batches) == 1:  # the usual case, before each step of a generator: needs no table of addresses
        sources = sources_of(batches[0])
        yield Segment(sources, 0, sources[0].rows, sources[0].rows, repeatable=False)
        return
    start = 0
    rows = [len(b[0]) for b in batches if b[0] is not None]
    shapes = [[None if array is None else array.shape[1:] for array in batch] for batch in batches]
    for k in range(1, len(batches) + 1):
        is_next = k < len(batches) and rows[k - 1] == rows[start] >= rows[k] and shapes[k] == shapes[start]
        if not is_next:
            sources = sources_of([None if c[0] is None else c for c in zip(*batches[start:k])], Batches)
            yield Segment(sources, 0, sum(rows[start:k]), rows[start], repeatable=False)
            start = k
