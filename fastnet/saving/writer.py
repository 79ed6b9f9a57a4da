"""Writes files in a background thread while training goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from fastnet.saving.archive import Packed


class Writer:
    """Writes one file at a time in a background thread; the next call raises the errors of that thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a file is being written."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, packed: Packed, path: Path, before: Callable[[], None] | None = None) -> None:
        """Wait for the last file, then begin to write this one.

        Args:
            packed: the contents.
            path: the file.
            before: called first, in the background thread.

        Raises:
            OSError: the last file could not be written.
        """
        self.wait()
        # Not a daemon: the interpreter waits for the last file before it exits.
        thread = threading.Thread(target=self._write, args=(packed, path, before), name="fastnet-writer")
        thread.start()
        self._thread = thread  # after its start, since another thread in `settle` may join it at once

    def wait(self) -> None:
        """Wait until every file is written.

        Raises:
            OSError: a file could not be written.
        """
        if self._thread is not None:
            self._thread.join()  # Ctrl-C may interrupt this: the thread is forgotten only after it has ended
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def settle(self) -> None:
        """Wait until the file is written; other threads may call this.

        Raises:
            OSError: the file could not be written. `wait` raises the error again.
        """
        thread = self._thread
        if thread is not None:
            thread.join()
        if self._error is not None:
            raise self._error

    def _write(self, packed: Packed, path: Path, before: Callable[[], None] | None) -> None:
        try:
            if before is not None:
                before()
            packed.write(path)
        except BaseException as error:  # `wait` and `settle` raise it in the threads that call them
            self._error = error
