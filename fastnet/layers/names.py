"""The default names of layers, numbered over the process."""

from __future__ import annotations

import itertools

from fastnet.descriptions import snake_case

_counters: dict[str, itertools.count] = {}


def new_name(cls: str) -> str:
    """The next name of a class: ``dense``, ``dense_1`` and so on."""
    base = snake_case(cls)
    number = next(_counters.setdefault(base, itertools.count()))  # of one counter, whichever thread is first
    return f"{base}_{number}" if number else base


def restart() -> None:
    """Begin again at the first names."""
    _counters.clear()
