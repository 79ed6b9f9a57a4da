"""Pulls items of an iterator in a background thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any


class Prefetch:
    """A background thread that pulls items before they are taken.

    Args:
        items: called in the thread only.
        depth: how many items may wait.

    As a context it ends the thread: at once, or when the item in work is done.
    """

    def __init__(self, items: Iterator[Any], depth: int):
        self._items, self._depth = items, depth
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._pull, name="fastnet-feed", daemon=True)

    def __enter__(self) -> Prefetch:
        try:
            self._thread.start()
        except BaseException as error:  # Ctrl-C while it starts: it may run all the same
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        # After an error or Ctrl-C an iterator that hangs is waited for a second only; its thread ends when it comes
        # back. The generator this stands in may be closed on the way of either, and then has it as context, or at a
        # pass's end.
        if self._thread.is_alive():
            in_time = kind is None or (kind is GeneratorExit and error[0].__context__ is None)
            self._thread.join(None if in_time else 1.0)

    def take(self, limit: int) -> list[Any]:
        """The items that wait, one to ``limit``; an empty list after the last. Raises what the iterator raised."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait(0.5)  # with a limit: on Windows Ctrl-C does not end a wait
            taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            self._changed.notify_all()
        if not taken and self._error is not None:
            raise self._error
        return taken

    def _pull(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    while len(self._waiting) >= self._depth and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        return
                    self._waiting.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # of any kind: `take` raises it in the thread that trains
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
