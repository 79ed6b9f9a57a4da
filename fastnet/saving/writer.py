"""Files that are written beside the training."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from fastnet.saving.archive import Packed


class Writer:
    """Writes one file at a time in a thread of its own; what goes wrong there is raised at the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a file is not yet whole."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, packed: Packed, path: Path, before: Callable[[], None] | None = None) -> None:
        """Write a file when the one before is whole; ``before`` is called first, in the thread.

        Raises:
            OSError: the file before could not be written.
        """
        self.wait()
        # No daemon: a program that ends waits for its last file.
        thread = threading.Thread(target=self._write, args=(packed, path, before), name="fastnet-writer")
        thread.start()
        self._thread = thread  # now only, since `settle` may be waiting for the chance to join it

    def wait(self) -> None:
        """Return when every file is whole.

        Raises:
            OSError: one could not be written.
        """
        if self._thread is not None:
            self._thread.join()  # Ctrl-C may end this: it is forgotten only when it has ended
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def settle(self) -> None:
        """Return when the file is whole; may be called by other threads.

        Raises:
            OSError: it could not be written. `wait` raises it once more.
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
        except BaseException as error:  # raised where somebody sees it
            self._error = error
