"""The arguments of `fit`, `evaluate` and `predict` beside the data, checked before any computation or build."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.errors import quoted
from fastnet.training.class_weights import ClassWeights

BATCH = 32
WIDE_BATCH = 256  # the default where it does not change results: evaluate, predict


def must_be_compiled(model: Any, caller: str, trains: bool = True) -> None:
    """Check that the model is compiled: with an optimizer if it is trained. The loss may be that of penalties alone,
    which the step knows, but for `compute_loss`."""
    if model.optimizer is not None and (model.loss is not None or caller != "compute_loss"):
        return  # before each step, without the dictionary
    if model.loss is not None and not trains:
        return
    parts = {"optimizer": model.optimizer, "loss": model.loss}
    missing = [name for name, part in parts.items() if part is None and (trains or name == "loss")]
    if missing:
        reason = f"compile was given no {missing[0]}" if model.compiled else "compile was not called"
        raise RuntimeError(
            f"{caller} needs {'an optimizer and ' if trains else ''}a loss, and {reason}: call "
            "model.compile(optimizer=..., loss=...) first."
        )


def count_or_none(argument: str, value: Any) -> int | None:
    """Check that the value is an integer of at least 1, or None."""
    return None if value is None else checks.integer(argument, value)


def batch_rows(batch_size: Any, rows: int, default: int, steps: int | None = None) -> int:
    """Rows in a step; if only the number of steps is given, the rows are divided among them, as in Keras."""
    if batch_size is None:
        batch = default if steps is None else -(-rows // steps)
    else:
        batch = checks.integer("batch_size", batch_size)
    return max(1, min(batch, rows))


@dataclass
class FitOptions:
    """The arguments of `Sequential.fit` beside the data to train on, checked.

    Raises:
        ValueError: an argument has another type or lies outside its range.
    """

    batch_size: Any
    epochs: int
    verbose: Any
    callbacks: Any
    validation_split: Any
    validation_data: Any
    shuffle: Any
    class_weight: ClassWeights | None  # given as a dictionary
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: Any

    def __post_init__(self) -> None:
        self.epochs = checks.integer("epochs", self.epochs, 0)
        limit = config.max_epochs()
        if limit is not None and self.epochs > limit:
            checks.warn(f"fit: epochs={self.epochs} is limited to {limit} by fastnet.config.set_max_epochs.")
            self.epochs = limit
        self.initial_epoch = checks.integer("initial_epoch", self.initial_epoch, 0)
        for name in ("steps_per_epoch", "validation_steps", "validation_batch_size"):
            setattr(self, name, count_or_none(name, getattr(self, name)))
        if self.class_weight is not None:
            self.class_weight = ClassWeights(self.class_weight)
        self.validation_freq = _validation_epochs(self.validation_freq)
        self.shuffle = checks.plain(self.shuffle)
        if not isinstance(self.shuffle, bool) and self.shuffle != "batch":
            raise ValueError(
                "shuffle must be True, False or 'batch' (each batch's rows among themselves), received "
                f"{quoted(self.shuffle)}."
            )

    def validates(self, epoch: int) -> bool:
        """Whether a validation follows the epoch with this number, from 0."""
        freq = self.validation_freq
        return (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq


def _validation_epochs(freq: Any) -> int | Collection[int]:
    """Check ``validation_freq``: the epochs between validations, or the numbers of the epochs, from 1."""
    freq = checks.plain(freq)
    if isinstance(freq, (list, tuple, set, frozenset, range, np.ndarray)):
        return frozenset(checks.integer("each epoch in validation_freq", epoch) for epoch in freq)
    return checks.integer("validation_freq", freq)
