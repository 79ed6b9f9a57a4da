"""Pulls items of an iterator in a background thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any


class Prefetch:
    """A background thread that pulls items before they are taken.

    Args:
        items: the iterator; only the thread uses it.
        depth: the largest number of items that wait.

    As a context manager, it ends the thread: at once, or when the current item is done.
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
        except BaseException as error:  # Ctrl-C during the start: the thread may still run
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        # After an error or Ctrl-C the wait for an iterator that hangs is limited to a second; its thread ends when the
        # iterator returns. The generator around this context is closed by an error, which is then its context, or at
        # the end of a pass.
        if self._thread.is_alive():
            in_time = kind is None or (kind is GeneratorExit and error[0].__context__ is None)
            self._thread.join(None if in_time else 1.0)

    def take(self, limit: int) -> list[Any]:
        """Take the waiting items, one to ``limit``; an empty list after the last one. Raises errors of the iterator."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait(0.5)  # limited: on Windows Ctrl-C does not end a wait
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
