"""`class_weight` of a training: the weight of each row by its class, and the classes that no row has."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted


class ClassWeights:
    """The weights of classes, and which of these no target had so far.

    Args:
        given: {class: weight}; a class that is not named weighs 1.

    Raises:
        ValueError: it is not a dictionary of finite weights by class.
    """

    def __init__(self, given: Any):
        if not isinstance(given, dict):
            raise ValueError(f"class_weight must be a dictionary {{class: weight}}, received {quoted(given)}.")
        for label, weight in given.items():
            if not checks.is_number(label) or not (checks.is_integer(label) or float(label).is_integer()):
                raise ValueError(f"class_weight must have whole numbers as classes, received {quoted(label)}.")
            if not checks.is_number(weight) or not np.isfinite(weight):
                raise ValueError(f"class_weight must have finite weights, received {quoted(weight)} for class {label}.")
        self.given: dict[Any, float] = given
        self._absent = {int(label) for label in given}
        self._known: set[int] = set()  # some classes of the targets
        self._has_warned = False

    def of_rows(self, loss: Any, y: np.ndarray, classes: int) -> np.ndarray:
        """The weight of each row's class.

        The class of a row is its label if the loss reads labels or the row has one target. Otherwise it is the index of
        the largest target. Warns of probabilities that are rounded.

        Args:
            loss: of the model.
            y: targets, all of them or those of a batch.
            classes: outputs of the model.

        Raises:
            ValueError: a class beyond the outputs, or targets that are not one class for each row.
        """
        for label in self.given:
            if classes > 1 and not 0 <= label < classes:
                raise ValueError(f"class_weight names the class {label}; the model has the classes 0 to {classes - 1}.")
        found, index = np.unique(self._labels(loss, y), return_inverse=True)
        labels = found.tolist()
        self._absent.difference_update(labels)
        if len(self._known) < 5:
            self._known.update(labels[:5])
        return np.array([self.given.get(label, 1.0) for label in labels], np.float64)[index.reshape(-1)]

    def _labels(self, loss: Any, y: np.ndarray) -> np.ndarray:
        """The class of each row."""
        labels = y
        if y.ndim > 1:
            labels = y[..., 0] if y.shape[-1] == 1 else y if loss.sparse else y.argmax(axis=-1)
        if labels.ndim != 1:
            raise ValueError(
                f"class_weight needs one class for each row, received targets of shape {y.shape}; give sample_weight."
            )
        rounded = np.round(labels)
        if (other := np.flatnonzero(labels != rounded)).size:
            message = f"class_weight needs whole numbers as classes; a target is {labels[other[0]]} (row {other[0]})"
            if loss.target_range is None:
                raise ValueError(f"{message}. Give sample_weight instead.")
            if not self._has_warned:
                checks.warn(f"{message}. Probabilities are rounded.")
            self._has_warned = True
        return rounded.astype(np.int64)

    def warn_absent(self) -> None:
        """Warn, once, of classes that no target had; called when all targets have been seen."""
        if self._absent:
            checks.warn(
                f"class_weight has weights for classes that no target read so far has: {sorted(self._absent)[:5]}. The "
                f"targets have: {sorted(self._known)[:5]}."
            )
            self._absent.clear()
