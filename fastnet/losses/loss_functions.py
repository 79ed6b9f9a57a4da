"""The losses as functions of arrays: the loss of each row, in the predictions' shape without the last axis."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet._kernels import registry
from fastnet.losses import classes, plain_losses
from fastnet.losses.loss import Loss
from fastnet.settable import signature

_OF_A_BATCH = ("reduction", "name", "dtype")


def _function(cls: type[Loss]) -> Callable[..., np.ndarray]:
    """The loss of each row, with the arguments that the class has for it."""
    row = registry.losses[cls._row or ""]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arrays = [inspect.Parameter(name, kind, annotation="Any") for name in ("y_true", "y_pred")]
    parameters = [p for p in signature(cls).parameters.values() if p.name not in _OF_A_BATCH]
    full_signature = inspect.Signature([*arrays, *parameters], return_annotation="np.ndarray")

    def loss_of_rows(*args: Any, **named: Any) -> np.ndarray:
        given = full_signature.bind(*args, **named).arguments
        loss = cls(**{p.name: given[p.name] for p in parameters if p.name in given})
        return loss.per_row(given["y_true"], given["y_pred"])

    loss_of_rows.__signature__ = full_signature  # type: ignore[attr-defined]
    loss_of_rows.__name__ = loss_of_rows.__qualname__ = row.name
    example = f">>> losses.{row.name}({{targets}}, {{predictions}}).round(4).tolist()\n[{{loss}}]"
    loss_of_rows.__doc__ = plain_losses.described(row, f"The loss of `{cls.__name__}` for each row.", "", example)
    return loss_of_rows


CLASSES = [*plain_losses.CLASSES.values(), *(c for c in vars(classes).values() if getattr(c, "_row", None))]
FUNCTIONS = {cls._row: _function(cls) for cls in CLASSES}
globals().update(FUNCTIONS)
