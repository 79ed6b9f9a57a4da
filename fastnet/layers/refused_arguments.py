"""Arguments of Keras's layers that have no meaning here."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.errors import quoted


def refuse(owner: str, **given: Any) -> None:
    """Check Keras's arguments that have no meaning here: they must have their defaults."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise ValueError(f"{owner}: {name} is not supported, received {quoted(value)}; leave it out.")
