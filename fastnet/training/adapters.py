"""Adapters turn a user's data into checked `Samples`. The type of x selects one, once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnet import checks
from fastnet.arrays import as_array
from fastnet.engine.sources import Source
from fastnet.training.options import BATCH, batch_rows
from fastnet.training.samples import ArraySamples, Batch, Samples, shuffled_within_batches
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

    def split(self, fraction: Any) -> tuple[ArrayAdapter, ArrayAdapter | None]:
        """The rows to train on, and the last rows, a ``share`` of all, to validate on; None if the share is 0.

        Raises:
            ValueError: the share is not one, a part has no rows, or the weights have another number of rows.
        """
        x, y, weights = self.batch
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
        first, last = ([None if a is None else a[part] for a in (x, y, weights)] for part in parts)
        return ArrayAdapter(Batch(*first)), ArrayAdapter(Batch(*last))

    def samples(self, check: Check, reading: Reading) -> Samples:
        """The rows as loops read them."""
        sources = tuple([Source(array) for array in check(self.batch) if array is not None])
        order = reading.new_order
        size = batch_rows(reading.batch_size, sources[0].rows, reading.default, reading.steps)
        if order is not None and reading.within_batches:
            order = functools.partial(shuffled_within_batches, order, size)
        return ArraySamples(sources, size, reading.steps, order)


class StreamAdapter:
    """An iterable of batches.

    Args:
        dataset: see `is_stream`.
        complete: checks the rows of a batch, whatever the network.
    """

    def __init__(self, dataset: Any, complete: Callable[[Batch], Batch]):
        self.dataset, self.complete = dataset, complete

    def split(self, fraction: Any) -> tuple[StreamAdapter, None]:
        """Return this adapter and None: a stream cannot be divided.

        Raises:
            ValueError: ``share`` is not 0.
        """
        if fraction:
            raise ValueError(
                f"validation_split needs arrays: a {type(self.dataset).__name__} cannot be divided. Give "
                "validation_data."
            )
        return self, None

    def samples(self, check: Check, reading: Reading) -> Samples:
        """The batches as loops read them."""
        return StreamSamples(self.dataset, lambda batch: check(self.complete(batch)), reading.steps, reading.new_order)


Adapter = ArrayAdapter | StreamAdapter


def adapt(x: Any, y: Any, sample_weight: Any, caller: str) -> Adapter:
    """The adapter of data with targets.

    Args:
        x: data (n, ...), or (x, y) or (x, y, sample_weight) without ``y``; or a stream of such batches.
        y: targets (n, ...); None if ``x`` has them.
        sample_weight: weights, or None.
        caller: the method that the user called, for errors.

    Raises:
        ValueError: the numbers of rows differ or are 0, something cannot become an array, or targets are given beside a
            stream.
    """
    if y is None and isinstance(x, tuple) and len(x) in (2, 3) and not is_stream(x):
        x, y, *weights = x
        sample_weight = weights[0] if weights else sample_weight
    if type(x) is np.ndarray or not is_stream(x):
        return ArrayAdapter(paired(x, y, sample_weight, caller))
    kind = type(x).__name__
    if y is not None:
        raise ValueError(f"{caller}: x is a {kind}, whose batches hold the targets too: give no y.")
    if sample_weight is not None:
        raise ValueError(f"{caller}: a {kind} yields the sample weights too: (x, y, sample_weight).")
    return StreamAdapter(x, lambda batch: paired(*batch, caller))


def paired(x: Any, y: Any, sample_weight: Any, caller: str) -> Batch:
    """x and y as arrays with the same number of rows, at least one; see `adapt`."""
    if x is None or y is None:
        raise ValueError(f"{caller} needs x and y, received {'no x' if x is None else 'no y'}.")
    if isinstance(x, (dict, list)):
        x = _of_one_input(x, y)
    x, y = as_array(x, "x"), as_array(y, "y")
    for name, array in (("x", x), ("y", y)):
        if array.ndim == 0:
            raise ValueError(f"{name} must have one row for each sample, received a number.")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same number of samples; received {len(x)} and {len(y)}.")
    if len(x) == 0:
        raise ValueError(f"{caller} needs at least one sample; x has the shape {x.shape}.")
    return Batch(x, y, sample_weight)


def adapt_validation(data: Any) -> Adapter:
    """The adapter of ``validation_data``: (x, y), (x, y, sample_weight), or a stream of them."""
    if is_stream(data):
        return adapt(data, None, None, "validation_data")
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            "validation_data must be a pair (x, y), or (x, y, sample_weight), or yield batches; received "
            f"{type(data).__name__}."
        )
    x, y, *weights = data
    return adapt(x, y, weights[0] if weights else None, "validation_data")


def adapt_inputs(x: Any) -> Adapter:
    """The adapter of data without targets; it ignores the targets in a stream's batches."""
    if type(x) is not np.ndarray and is_stream(x):
        return StreamAdapter(x, _input_batch)
    return ArrayAdapter(Batch(as_array(x, "x")))


def _input_batch(batch: Batch) -> Batch:
    if batch.x is None or batch.x.ndim == 0 or len(batch.x) == 0:
        raise ValueError("x must have at least one row.")
    return batch


def _of_one_input(x: dict | list, y: Any) -> Any:
    """The data in a list or a dictionary of the one input; Keras takes both."""
    if isinstance(x, dict):
        if len(x) != 1:
            raise ValueError(f"x must be the data of one input; received a dictionary of {len(x)}: {list(x)}.")
        return next(iter(x.values()))
    if len(x) == 1 and isinstance(x[0], np.ndarray) and x[0].ndim:
        return x[0] if len(x[0]) == len(y) != 1 else x
    return x
