"""Data sets that make each batch when it is needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted


class PyDataset:
    """A data set of numbered batches. Subclasses define ``__len__`` (their number) and ``__getitem__`` (a batch).

    `fit`, `evaluate` and `predict` take one as ``x``. A background thread asks for batches before they are needed.

    Args:
        workers: threads that make batches at the same time; 0 is as 1. More than one helps if ``__getitem__`` waits for
            a disk or computes in NumPy; several threads then call it at once.
        use_multiprocessing: accepted as in Keras; threads are used in any case.
        max_queue_size: the most batches that are made ahead.

    A subclass need not call ``super().__init__()``. One without ``__len__``, or whose property ``num_batches`` is None,
    is endless, and `fit` needs ``steps_per_epoch``.

    Example:
        >>> class Squares(fastnet.utils.PyDataset):
        ...     def __len__(self):
        ...         return 10
        ...
        ...     def __getitem__(self, index):
        ...         x = np.arange(32 * index, 32 * index + 32)[:, None] / 320
        ...         return x, x**2
        >>> len(list(Squares()))
        10
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        for name, value in (("workers", workers), ("max_queue_size", max_queue_size)):
            least = 0 if name == "workers" else 1
            if not checks.is_integer(value) or value < least:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be an integer of at least {least}, received {quoted(value)}."
                )
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch: ``len(self)``, or None without ``__len__``: the data set is then endless."""
        return len(self) if hasattr(self, "__len__") else None

    def __getitem__(self, index: int) -> Any:
        """Make batch ``index``: (x, y) or (x, y, sample_weight), or x alone for `predict`."""
        raise NotImplementedError(f"{type(self).__name__} needs __getitem__.")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        yield from map(self.__getitem__, itertools.count() if count is None else range(count))

    def on_epoch_begin(self) -> None:
        """Called before the first batch of each epoch is made."""

    def on_epoch_end(self) -> None:
        """Called at the end of an epoch, when no thread makes a batch."""


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Pack a batch as ``x``, ``(x, y)`` or ``(x, y, sample_weight)``; the inverse of `unpack_x_y_sample_weight`.

    Example:
        >>> fastnet.utils.pack_x_y_sample_weight("x", "y")
        ('x', 'y')
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Unpack a batch into x, y and sample weights, with None for missing parts.

    Raises:
        ValueError: the tuple or list is empty or has more than three items.

    Example:
        >>> fastnet.utils.unpack_x_y_sample_weight(("x", "y"))
        ('x', 'y', None)
    """
    items = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    if not 1 <= len(items) <= 3:
        raise ValueError(f"A batch is x, (x,), (x, y) or (x, y, sample_weight); received {len(items)} items.")
    return (*items, None, None)[:3]  # type: ignore[return-value]


_SERIES = "timeseries_dataset_from_array"


class _Windows(PyDataset):
    """The windows of `timeseries_dataset_from_array`."""

    def __init__(
        self, data: np.ndarray, targets: np.ndarray | None, starts: np.ndarray, offsets: np.ndarray, batch: int | None
    ) -> None:
        super().__init__()
        self.data, self.targets, self.starts, self.offsets, self.batch = data, targets, starts, offsets, batch

    def __len__(self) -> int:
        return -(-len(self.starts) // (self.batch or 1))

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches; there is no batch {index}.")
        size = self.batch or 1
        starts: Any = self.starts[index * size : (index + 1) * size]
        if self.batch is None:
            starts = starts[0]
        x = self.data[np.add.outer(starts, self.offsets)]
        return x if self.targets is None else (x, self.targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> PyDataset:
    """Make a data set of sliding windows over a series: ``window[k][i] = data[k·sequence_stride + i·sampling_rate]``.

    Args:
        data: the series (n, ...), one row for each time.
        targets: targets (n, ...) by the time at which a window starts; None for `predict`.
        sequence_length: rows of a window.
        sequence_stride: distance between the starts of two windows, in rows.
        sampling_rate: distance between two rows of a window, in rows of the series.
        batch_size: windows in a batch; None for single windows without a batch axis.
        shuffle: whether to draw a random order of the windows, once; `fit` shuffles the batches of each epoch.
        seed: of that order.
        start_index: the first row to use.
        end_index: the end of the rows to use.
        format: accepted as in Keras, without effect.

    Returns:
        A `PyDataset` of x (batch_size, sequence_length, ...), or of (x, y), that copies windows batch by batch.

    Raises:
        ValueError: an argument is out of its range, or the series is shorter than a window.

    Example:
        >>> series = np.arange(10.0)
        >>> windows = fastnet.utils.timeseries_dataset_from_array(series[:-3], series[3:], sequence_length=3)
        >>> x, y = windows[0]
        >>> x[0], y[0]
        (array([0., 1., 2.]), np.float64(3.0))
    """
    data = np.asarray(data)
    first, end = _bounds(len(data), start_index, end_index)
    _check_counts(
        sequence_length=sequence_length, sequence_stride=sequence_stride, sampling_rate=sampling_rate,
        batch_size=1 if batch_size is None else batch_size,
    )  # fmt: skip
    window_targets = None if targets is None else np.asarray(targets)[first:end]
    count = end - first - (sequence_length - 1) * sampling_rate
    count = count if window_targets is None else min(count, len(window_targets))
    if count < 1:
        raise ValueError(
            f"{_SERIES}: no window of {sequence_length} rows, {sampling_rate} apart, fits into {end - first} rows"
            f"{'' if window_targets is None else f' and {len(window_targets)} targets'}."
        )
    starts = np.arange(0, count, sequence_stride)
    if shuffle:
        np.random.default_rng(seed).shuffle(starts)
    return _Windows(data[first:end], window_targets, starts, np.arange(sequence_length) * sampling_rate, batch_size)


def _bounds(rows: int, start_index: int | None, end_index: int | None) -> tuple[int, int]:
    """The first row of a series that is used, and the end."""
    first, end = start_index or 0, rows if end_index is None else end_index
    if not 0 <= first < end <= rows:
        raise ValueError(
            f"{_SERIES}: 0 <= start_index < end_index <= {rows} must hold; received start_index={start_index}, "
            f"end_index={end_index}."
        )
    return first, end


def _check_counts(**given: Any) -> None:
    """Check arguments that are positive integers."""
    for name, value in given.items():
        checks.integer(f"{_SERIES}: {name}", value)
