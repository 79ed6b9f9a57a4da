"""Attributes as they were, where something fails in the middle."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any


class Before:
    """The attributes that objects have now, to be had again; lists and dictionaries among them are what they were too.

    So a layer that collects its weights in a list has none of a build that failed.

    Args:
        things: the objects.
    """

    def __init__(self, things: Iterable[Any]):
        self._kept = [
            (thing, {k: copy.copy(v) if type(v) in (list, dict) else v for k, v in vars(thing).items()})
            for thing in things
        ]

    def restore(self) -> None:
        """Give the objects their attributes back."""
        for thing, attributes in self._kept:
            vars(thing).clear()
            vars(thing).update(attributes)


@contextlib.contextmanager
def unchanged_on_error(things: Iterable[Any]) -> Iterator[None]:
    """Where what is done in the ``with`` block fails, these objects have the attributes they had."""
    before = Before(things)
    try:
        yield
    except BaseException:
        before.restore()
        raise
