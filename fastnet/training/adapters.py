"""Adapters turn a user's data into checked `Samples`. The type of x selects one, once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnet import checks, frames
from fastnet.arrays import as_array, as_rows, one_item
from fastnet.layers.open_shapes import fits
from fastnet.training.options import BATCH, batch_rows
from fastnet.training.samples import ArraySamples, Batch, Samples, shuffled_within_batches, sources_of
from fastnet.training.streams import Arrays, StreamSamples, is_stream

Check = Callable[[Batch], Arrays]  # gives the arrays of a batch as the network reads them; see `requirements`


class Reading(NamedTuple):
    """The options by which loops read samples.

    Args:
        batch_size: rows in a step of arrays, as the user gave it.
        default: rows in a step if neither ``batch_size`` nor ``steps`` is given.
        steps: steps of a pass; None for all samples.
        new_order: returns a permutation of so many rows, or batches of a PyDataset; None to keep their order.
        within_batches: whether to shuffle rows within their batches only.
    """

    batch_size: Any = None
    default: int = BATCH
    steps: int | None = None
    new_order: Callable[[int], np.ndarray] | None = None
    within_batches: bool = False


class ArrayAdapter:
    """Arrays with a row for each sample.

    Args:
        batch: all rows.
    """

    __slots__ = ("batch",)

    def __init__(self, batch: Batch):
        self.batch = batch

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of x, if it was a frame."""
        return self.batch.columns

    def split(self, fraction: Any) -> tuple[ArrayAdapter, ArrayAdapter | None]:
        """The rows to train on, and the last rows, a ``fraction`` of all, to validate on; None if it is 0.

        Raises:
            ValueError: it is not one, a part has no rows, or the weights have another number of rows.
        """
        x, y, weights, columns = self.batch
        rows = len(x)
        fraction = checks.number("validation_split", fraction, checks.UNIT)
        if fraction == 0:
            return self, None
        at = int(np.floor(rows * (1 - fraction)))
        if at == 0 or at == rows:
            raise ValueError(
                f"validation_split={fraction} of {rows} samples leaves {at} to train on and {rows - at} to validate "
                "on; both must be at least 1."
            )
        if weights is not None:
            weights = as_array(weights, "sample_weight")
            if weights.ndim == 0 or len(weights) != rows:
                raise ValueError(
                    f"sample_weight must have one weight for each of the {rows} samples; received shape "
                    f"{weights.shape}."
                )
        parts = slice(at), slice(at, None)
        first, last = (Batch(*(None if a is None else a[part] for a in (x, y, weights))) for part in parts)
        return ArrayAdapter(first._replace(columns=columns)), ArrayAdapter(last._replace(columns=columns))

    def samples(self, check: Check, reading: Reading) -> Samples:
        """The rows as loops read them."""
        sources = sources_of(check(self.batch))
        order = reading.new_order
        size = batch_rows(reading.batch_size, sources[0].rows, reading.default, reading.steps)
        if order is not None and reading.within_batches:
            order = functools.partial(shuffled_within_batches, order, size)
        return ArraySamples(sources, size, reading.steps, order)


class StreamAdapter:
    """An iterable of batches.

    Args:
        dataset: see `is_stream`.
        complete: converts a batch to arrays, and checks their rows.
        network: reads the batches, which may have different shapes where it is open.
    """

    columns = None  # of frames, whose order is not compared from batch to batch

    def __init__(self, dataset: Any, complete: Callable[[Batch], Batch], network: Any):
        self.dataset, self.complete, self.network = dataset, complete, network

    def split(self, fraction: Any) -> tuple[StreamAdapter, None]:
        """Return this adapter and None: a stream cannot be divided.

        Raises:
            ValueError: ``fraction`` is not 0.
        """
        if fraction:
            raise ValueError(
                f"validation_split needs arrays: a {type(self.dataset).__name__} cannot be divided. Give "
                "validation_data."
            )
        return self, None

    def samples(self, check: Check, reading: Reading) -> Samples:
        """The batches as loops read them."""
        return StreamSamples(
            self.dataset, lambda batch: check(self.complete(batch)), reading.steps, reading.new_order,
            self.network.is_open,
        )  # fmt: skip


Adapter = ArrayAdapter | StreamAdapter


def adapt(x: Any, y: Any, sample_weight: Any, caller: str, network: Any) -> Adapter:
    """The adapter of data with targets.

    Args:
        x: data (n, ...), or (x, y) or (x, y, sample_weight) without ``y``; or a stream of such batches.
        y: targets (n, ...); None if ``x`` has them.
        sample_weight: weights, or None.
        caller: the method that the user called, for errors.
        network: reads the data.

    Raises:
        ValueError: the numbers of rows differ or are 0, something cannot become an array, or targets are given beside a
            stream.
    """
    if y is None and isinstance(x, tuple) and len(x) in (2, 3) and not is_stream(x):
        x, y, *weights = x
        sample_weight = weights[0] if weights else sample_weight
    if type(x) is np.ndarray or not is_stream(x):
        return ArrayAdapter(paired(x, y, sample_weight, caller, network))
    kind = type(x).__name__
    if y is not None:
        raise ValueError(f"{caller}: x is a {kind}, whose batches hold the targets too: give no y.")
    if sample_weight is not None:
        raise ValueError(f"{caller}: a {kind} yields the sample weights too: (x, y, sample_weight).")
    return StreamAdapter(x, lambda batch: paired(*batch[:3], caller, network), network)


def paired(x: Any, y: Any, sample_weight: Any, caller: str, network: Any) -> Batch:
    """x and y as arrays with the same number of rows, at least one; see `adapt`."""
    if y is None and x is not None and network.loss is None:  # the model is trained on penalties alone
        y = np.zeros((len(inputs(x, network).x), 1), "float32")
    if x is None or y is None:
        raise ValueError(f"{caller} needs x and y, received {'no x' if x is None else 'no y'}.")
    batch = Batch(as_array(x, "x")) if type(x) is np.ndarray else _inputs(x, network, y)
    x = batch.x
    if type(y) is not np.ndarray:
        y = _of_one_output(y, "y", x)
    y = as_array(y, "y")
    for name, array in (("x", x), ("y", y)):
        if array.ndim == 0:
            raise ValueError(f"{name} must have one row for each sample, received a number.")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same number of samples; received {len(x)} and {len(y)}.")
    if len(x) == 0:
        raise ValueError(f"{caller} needs at least one sample; x has the shape {x.shape}.")
    if sample_weight is not None:
        sample_weight = _of_one_output(sample_weight, "sample_weight", x)
    return Batch(x, y, sample_weight, batch.columns)


def adapt_validation(data: Any, network: Any) -> Adapter:
    """The adapter of ``validation_data``: (x, y), (x, y, sample_weight), or a stream of them."""
    if is_stream(data):
        return adapt(data, None, None, "validation_data", network)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            "validation_data must be a pair (x, y), or (x, y, sample_weight), or yield batches; received "
            f"{type(data).__name__}."
        )
    x, y, *weights = data
    return adapt(x, y, weights[0] if weights else None, "validation_data", network)


def adapt_inputs(x: Any, network: Any) -> Adapter:
    """The adapter of data without targets; it ignores the targets in a stream's batches."""
    if type(x) is not np.ndarray and is_stream(x):
        return StreamAdapter(x, functools.partial(_input_batch, network), network)
    return ArrayAdapter(inputs(x, network))


def inputs(x: Any, network: Any) -> Batch:
    """Data without targets as rows."""
    return Batch(as_array(x, "x")) if type(x) is np.ndarray else _inputs(x, network)


def _inputs(x: Any, network: Any, y: Any = None) -> Batch:
    """x, which is not an array, as rows, and the names of its columns."""
    x = _of_one_input(x, network, y)
    return Batch(as_rows(x, "x"), columns=frames.column_names(x))


def _input_batch(network: Any, batch: Batch) -> Batch:
    batch = batch if batch.x is None else inputs(batch.x, network)
    if batch.x is None or batch.x.ndim == 0 or len(batch.x) == 0:
        raise ValueError("x must have at least one row.")
    return batch


def _of_one_input(x: Any, network: Any, y: Any = None) -> Any:
    """The data in a list or a dictionary of the one input, as Keras takes them; other data are returned.

    A list of one array may be a list of one row too. It holds the input if the array has the shape of data of this
    network. Before the network has a shape, the number of targets decides, or else the array has several axes.
    """
    if (array := one_item(x, "x", "input")) is None:
        return x
    if isinstance(x, dict):
        return array
    shape, wanted = array.shape, network.given_input_shape
    if wanted is not None:
        return array if fits(shape[1:], wanted) or fits((*shape[1:], 1), wanted) else x
    if y is None:
        return array if len(shape) > 1 else x
    targets = one_item(y, "y", "output")
    rows = [len(each) for each in (y, targets) if hasattr(each, "__len__")]
    return array if shape[0] != 1 and shape[0] in rows else x


def _of_one_output(value: Any, name: str, x: np.ndarray) -> Any:
    """The targets or weights in a list or a dictionary of the one output; other ones are returned.

    A list of one array may be a list of one row too: it is one if x has one row, and the array one axis.
    """
    if (array := one_item(value, name, "output")) is None:
        return value
    if isinstance(value, dict):
        return array
    rows = 1 if x.ndim == 0 else len(x)
    return array if len(array.shape) > 1 or rows != 1 else value
