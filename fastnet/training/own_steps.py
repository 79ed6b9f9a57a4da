"""Steps of a model's class: a `train_step` or a `test_step` that wraps that of `Sequential`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.engine.sources import Batches
from fastnet.training.samples import Segment

Logs = dict[str, Any]


class _Current(threading.local):
    """The step that is being made in this thread.

    Attributes:
        run: makes it, for the data that the model's method was given; None where no step is being made.
    """

    run: Callable[[Any], Logs] | None = None


_current = _Current()


def run_step(model: Any, method: str, data: tuple, run: Callable[[], Logs]) -> Logs:
    """Let the model's own method make a step; the logs that it returns.

    Args:
        model: its class defines the method.
        method: "train_step" or "test_step".
        data: (x, y), or (x, y, sample_weight).
        run: makes the compiled step; the logs so far.

    Raises:
        RuntimeError: the method does not call that of `Sequential` once.
        TypeError: it returns no dictionary.
        ValueError: it gives other data to that of `Sequential`.
    """
    owner, calls = f"{type(model).__name__}.{method}", 0

    def of_sequential(given: Any) -> Logs:
        nonlocal calls
        calls += 1
        items = given if isinstance(given, (tuple, list)) else ()
        if len(items) != len(data) or any(a is not b for a, b in zip(items, data)):
            raise ValueError(
                f"{owner} must give super().{method} the data that it was given: the batch is read where it lies. "
                "Change data before fit, or as a generator yields them."
            )
        if calls > 1:
            raise RuntimeError(f"{owner} calls super().{method} twice for one batch; it must do so once.")
        return run()

    outer, _current.run = _current.run, of_sequential
    try:
        logs = getattr(model, method)(data)
    finally:
        _current.run = outer
    if not calls:
        raise RuntimeError(f"{owner} did not call super().{method}(data), and no step was made for this batch.")
    if not isinstance(logs, dict):
        raise TypeError(
            f"{owner} must return a dictionary of logs, as super().{method} does; it returned {quoted(logs)}."
        )
    return logs


def made_by_sequential(data: Any) -> Logs | None:
    """The logs of `Sequential`'s part of the step that is being made; None where none is."""
    return None if _current.run is None else _current.run(data)


def rows_of(segment: Segment, first: int) -> tuple:
    """The arrays of the batch that begins at row ``first``."""
    last = min(first + segment.batch_size, segment.total)
    if any(isinstance(source, Batches) for source in segment.sources):
        segment, first, last = segment.batch_at(first), 0, last - first
    rows: Any = slice(first, last) if segment.order is None else segment.order[first:last]
    if segment.order is not None and not isinstance(segment.sources[0].array, np.ndarray):
        raise ValueError("A step of the model's class reads shuffled rows of dense arrays: give x.toarray().")
    return tuple(source.array[rows] for source in segment.sources)
