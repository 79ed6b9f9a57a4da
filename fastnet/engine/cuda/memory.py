"""Arrays and weights on the device, and which of the two copies of a weight is the newer one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.engine import variable as variables
from fastnet.engine.cuda.driver import Driver

if TYPE_CHECKING:
    from fastnet.engine.sources import Source
    from fastnet.engine.variable import Variable


class DeviceArray:
    """Memory of the device, freed with this object.

    Args:
        driver: of the device.
        size: bytes.
    """

    def __init__(self, driver: Driver, size: int):
        self.address = 0
        self.driver, self.size = driver, size
        self.address = driver.allocate(max(size, 1))

    def __del__(self) -> None:
        if self.address:
            self.driver.free(self.address)


def copied(driver: Driver, array: np.ndarray) -> DeviceArray:
    """A contiguous array on the device."""
    memory = DeviceArray(driver, array.nbytes)
    driver.upload(memory.address, array)
    return memory


_lock = threading.RLock()  # of which copy of a weight is the newer one


class Mirror:
    """A weight's copy on the device.

    Args:
        driver: of the device.
        array: the weight's memory on the host.

    Attributes:
        is_newer: whether the device may have changed it since the host saw it.
        is_stale: whether the host may have changed it since the device saw it; not both.
    """

    def __init__(self, driver: Driver, array: np.ndarray):
        self.memory, self.array = DeviceArray(driver, array.nbytes), array
        self.is_newer, self.is_stale = False, True

    def fetch(self) -> None:
        """Bring the host's copy up to date."""
        with _lock:
            if self.is_newer:
                self.is_newer = False  # first: a run that ends meanwhile says so again
                self.memory.driver.download(self.array, self.memory.address)

    def release(self) -> None:
        """Bring the host's copy up to date, which may be changed from now on."""
        with _lock:
            self.fetch()
            self.is_stale = True

    def send(self) -> None:
        """Bring the device's copy up to date."""
        with _lock:
            if self.is_stale:
                self.memory.driver.upload(self.memory.address, self.array)
                self.is_stale = False

    def was_written(self) -> None:
        """The device's copy is the newer one from now on."""
        with _lock:
            self.is_newer, self.is_stale = True, False


def mirror_of(variable: Variable, driver: Driver) -> Mirror:
    """A weight's copy on a device, made when it is first asked for."""
    with _lock:
        mirror = variable.mirror
        if mirror is None or mirror.memory.driver is not driver:
            mirror = Mirror(driver, variable.array)
            adopt(variable, mirror)
        return mirror


def adopt(variable: Variable, mirror: Mirror) -> None:
    """Let a weight have this copy, and no other one."""
    with _lock:
        if variable.mirror is not mirror:
            variable.array  # noqa: B018 - brings it up to date
            variable.mirror, mirror.is_stale, mirror.is_newer = mirror, True, False
            variables.have_mirrors = True


class PlacedSource:
    """The rows of a source on the device.

    Args:
        driver: of the device.
        source: rows on the host.

    Attributes:
        numbers: what an inlet writes to the step block: address, stride, layout and rows of a part.
    """

    def __init__(self, driver: Driver, source: Source):
        self._driver = driver
        self._kept: list[DeviceArray] = []
        self.numbers = source.numbers(self._place)
        driver.synchronize()  # page-locked memory, which another library may give, is copied after `upload` returns

    def _place(self, array: np.ndarray) -> int:
        """The address of an array's first element on the device, in a copy of the memory that it spans."""
        if not array.size:
            return 0
        low, high = _span(array)
        span = np.asarray(_Memory(low, high - low, array))
        self._kept.append(copied(self._driver, span))
        return self._kept[-1].address + array.__array_interface__["data"][0] - low


def _span(array: np.ndarray) -> tuple[int, int]:
    """The addresses of the first byte of an array's elements, and behind the last one."""
    start = array.__array_interface__["data"][0]
    reach = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    return start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0) + array.itemsize


class _Memory:
    """Bytes at an address, for NumPy."""

    def __init__(self, address: int, size: int, owner: Any):
        self._owner = owner
        self.__array_interface__ = {"data": (address, True), "shape": (size,), "typestr": "|u1", "version": 3}
