"""Default names of layers, models and optimizers, numbered over the process."""

from __future__ import annotations

import itertools

_counters: dict[str, itertools.count] = {}


def numbered(base: str) -> str:
    """The next name: ``dense``, ``dense_1`` and so on."""
    number = next(_counters.setdefault(base, itertools.count()))  # of one counter, whichever thread is first
    return f"{base}_{number}" if number else base


def restart() -> None:
    """Begin again at the first names."""
    _counters.clear()
