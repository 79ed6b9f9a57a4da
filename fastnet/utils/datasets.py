"""Batches that are made when they are needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnet import checks


class PyDataset:
    """Batches by number: a subclass has ``__len__`` (batches of an epoch) and ``__getitem__`` (one batch).

    `Sequential.fit` and its kin take one as ``x``. A thread asks for batches ahead, so that training need not wait.

    Args:
        workers: Threads that make batches at the same time; more than one pays where they wait for a disk, or compute
            in NumPy. ``__getitem__`` is then called by several threads at once.
        use_multiprocessing: Accepted as in Keras; threads are used all the same.
        max_queue_size: Most batches that are made ahead.

    A subclass may forget ``super().__init__()``. One without an end says so by a property ``num_batches`` that is None;
    `fit` then needs ``steps_per_epoch``.

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
            if not checks.is_whole(value) or value < least:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be an integer of at least {least}, received {value!r}."
                )
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    @property
    def num_batches(self) -> int | None:
        """Batches of an epoch: ``len(self)``; None where they never end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__} needs __len__, or a property num_batches.")

    def __getitem__(self, index: int) -> Any:
        """Batch number ``index``: (x, y) or (x, y, sample_weight); x alone to predict."""
        raise NotImplementedError(f"{type(self).__name__} needs __getitem__.")

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        yield from map(self.__getitem__, itertools.count() if count is None else range(count))

    def on_epoch_begin(self) -> None:
        """Called before the first batch of each epoch is asked for."""

    def on_epoch_end(self) -> None:
        """Called when an epoch is over; no batch is being made then."""


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What a batch looks like: ``x`` alone, ``(x, y)`` or ``(x, y, sample_weight)``; the reverse of the next.

    Example:
        >>> fastnet.utils.pack_x_y_sample_weight("x", "y")
        ('x', 'y')
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights of a batch, None for what it has not.

    Raises:
        ValueError: a tuple or list of more than three.

    Example:
        >>> fastnet.utils.unpack_x_y_sample_weight(("x", "y"))
        ('x', 'y', None)
    """
    items = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    if not 1 <= len(items) <= 3:
        raise ValueError(f"A batch is x, (x,), (x, y) or (x, y, sample_weight); received {len(items)} items.")
    return (*items, None, None)[:3]  # type: ignore[return-value]


class _Windows(PyDataset):
    """Windows of a series, as `timeseries_dataset_from_array` describes them."""

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
    """Windows that slide over a series: window k is ``data[k·stride + rate·i]`` for i below the window's length.

    Args:
        data: (n, ...), one row for each time.
        targets: Target k belongs to the window that starts at time k; None to predict.
        sequence_length: Rows of a window.
        sequence_stride: Rows from the start of a window to that of the next.
        sampling_rate: Rows from one row of a window to the next.
        batch_size: Windows in a batch; None for one window a time, without a batch's axis.
        shuffle: Whether the windows come in a random order, drawn once; `fit` shuffles the batches of each epoch.
        seed: Of that order.
        start_index: First row that is used.
        end_index: Row before which the last one lies.
        format: Accepted as in Keras, without meaning here.

    Returns:
        A `PyDataset` of x (batch_size, sequence_length, ...), or of (x, y). Windows are copied when asked for.

    Raises:
        ValueError: an argument out of its range, or no window fits.

    Example:
        >>> series = np.arange(10.0)
        >>> windows = fastnet.utils.timeseries_dataset_from_array(series[:-3], series[3:], sequence_length=3)
        >>> x, y = windows[0]
        >>> x[0], y[0]
        (array([0., 1., 2.]), np.float64(3.0))
    """
    data = np.asarray(data)
    first, end = start_index or 0, len(data) if end_index is None else end_index
    if not 0 <= first < end <= len(data):
        raise ValueError(
            f"timeseries_dataset_from_array: 0 <= start_index < end_index <= {len(data)} must hold; received "
            f"start_index={start_index}, end_index={end_index}."
        )
    given = {
        "sequence_length": sequence_length,
        "sequence_stride": sequence_stride,
        "sampling_rate": sampling_rate,
        "batch_size": 1 if batch_size is None else batch_size,
    }
    for name, value in given.items():
        if not checks.is_whole(value) or value < 1:
            raise ValueError(
                f"timeseries_dataset_from_array: {name} must be an integer of at least 1, received {value!r}."
            )
    count = end - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        targets = np.asarray(targets)
        count = min(count, len(targets[first:end]))
    if count < 1:
        raise ValueError(
            f"timeseries_dataset_from_array: no window of {sequence_length} rows, {sampling_rate} apart, fits into "
            f"{end - first} rows{'' if targets is None else f' and {len(targets)} targets'}."
        )
    starts = np.arange(0, count, sequence_stride)
    if shuffle:
        np.random.default_rng(seed).shuffle(starts)
    kept = None if targets is None else targets[first:end]
    return _Windows(data[first:end], kept, starts, np.arange(sequence_length) * sampling_rate, batch_size)
