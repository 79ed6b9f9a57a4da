"""The GPU of this process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from fastnet.engine.cuda import nvidia
from fastnet.engine.cuda.driver import FORKED, DeviceError, Driver

_lock = threading.Lock()
_absent_in = 0  # the process in which there was none
_driver: tuple[int, Driver] | None = None  # with the process that it belongs to


def driver() -> Driver:
    """The GPU of this process.

    Raises:
        DeviceError: there is none, what drives it is not installed, or the process is a fork of one that used it.
    """
    global _driver
    with _lock:
        if _driver is None:
            _driver = os.getpid(), nvidia.open_device()
        process, found = _driver
    if process != os.getpid():
        raise DeviceError(FORKED)
    return found


def is_there() -> bool:
    """Whether there is a GPU that can be used; if not, it is not looked for again."""
    global _absent_in
    if _driver is None and _absent_in == os.getpid():
        return False
    try:
        driver()
    except DeviceError:
        _absent_in = os.getpid()
        return False
    return True


def described() -> str:
    """The GPU in a line: its name and level, or why there is none."""
    try:
        found = driver()
    except DeviceError as error:
        return f"none: {error}"
    return f"{found.name}, {found.level}, {found.processors} multiprocessors"


@contextlib.contextmanager
def used(other: Driver) -> Iterator[Driver]:
    """Let "cuda" mean this driver meanwhile."""
    global _driver
    before, _driver = _driver, (os.getpid(), other)
    try:
        yield other
    finally:
        _driver = before
