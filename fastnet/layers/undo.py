"""Undoes changes of objects' attributes: when a later step fails, or after a trial."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any


class AttributeSnapshot:
    """The attributes of objects, to be restored; lists and dictionaries among them are copied.

    A layer that collects its weights in a list therefore loses those of a build that failed.

    Args:
        objects: the objects; their attributes are copied at once.
    """

    def __init__(self, objects: Iterable[Any]):
        self._saved = [
            (item, {k: copy.copy(v) if type(v) in (list, dict) else v for k, v in vars(item).items()})
            for item in objects
        ]

    def restore(self) -> None:
        """Restore the attributes of the objects."""
        for item, attributes in self._saved:
            vars(item).clear()
            vars(item).update(attributes)


@contextlib.contextmanager
def unchanged_on_error(objects: Iterable[Any]) -> Iterator[None]:
    """Restore the attributes of these objects if the ``with`` block fails."""
    snapshot = AttributeSnapshot(objects)
    try:
        yield
    except BaseException:
        snapshot.restore()
        raise


@contextlib.contextmanager
def on_trial(layers: Iterable[Any]) -> Iterator[None]:
    """Restore the attributes of these layers; weights made meanwhile are zeros, which draw no random numbers."""
    layers = list(layers)
    snapshot = AttributeSnapshot(layers)
    try:
        for layer in layers:
            vars(layer)["_on_trial"] = True
        yield
    finally:
        snapshot.restore()
