"""The arguments that every optimizer takes, and their ranges."""

from __future__ import annotations

from typing import Any

from fastnet.checks import CLOSED_UNIT, NOT_NEGATIVE, POSITIVE, integer, is_integer, number

#: Names that Keras's optimizers have, or once had → the sentence that says what to do instead.
INSTEAD = {
    "lr": "it is called learning_rate",
    "decay": "a learning rate that falls is one of fastnet.optimizers.schedules",
    "minimize": "updates are compiled into the step of fit and train_on_batch; arrays have apply",
}
_RANGES = {
    "weight_decay": NOT_NEGATIVE,
    "clipnorm": NOT_NEGATIVE,
    "clipvalue": NOT_NEGATIVE,
    "global_clipnorm": NOT_NEGATIVE,
    "ema_momentum": CLOSED_UNIT,
    "loss_scale_factor": POSITIVE,
}


def rate(owner: str, value: Any) -> float:
    """A learning rate that is a number."""
    return number(f"{owner}: learning_rate", value, NOT_NEGATIVE)


def check(optimizer: Any) -> None:
    """The arguments that every optimizer takes, once they are its attributes.

    Raises:
        ValueError: one is out of its range, or there are two ways of clipping.
    """
    owner = type(optimizer).__name__
    for argument, allowed in _RANGES.items():
        if getattr(optimizer, argument) is not None:
            number(f"{owner}: {argument}", getattr(optimizer, argument), allowed)
    given = [a for a in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(optimizer, a) is not None]
    if len(given) > 1:
        raise ValueError(
            f"{owner}: only one of clipnorm, clipvalue and global_clipnorm may be given, received {given}."
        )
    for argument, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
        value = getattr(optimizer, argument)
        if value is not None and not (is_integer(value) and value == 0):  # 0 is None, as in Keras
            integer(f"{owner}: {argument}", value, least)
