"""The GPU of this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from fastnet.engine.cuda import nvidia
from fastnet.engine.cuda.driver import DeviceError, Driver

_driver: tuple[int, Driver] | None = None  # with the process that it belongs to


def driver() -> Driver:
    """The GPU of this process.

    Raises:
        DeviceError: there is none, what drives it is not installed, or the process is a fork of one that used it.
    """
    global _driver
    if _driver is None:
        _driver = os.getpid(), nvidia.open_device()
    process, found = _driver
    if process != os.getpid():
        raise DeviceError(
            "This process was forked from one that had used the GPU, and a fork cannot use it. Start processes with "
            "multiprocessing's method 'spawn', or use the GPU only after the fork."
        )
    return found


def is_there() -> bool:
    """Whether there is a GPU that can be used."""
    try:
        driver()
    except DeviceError:
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
