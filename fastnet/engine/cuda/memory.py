"""Arrays and weights on the device, and which of the two copies of a weight is the newer one."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from fastnet.engine import variable as variables
from fastnet.engine.cuda.driver import Driver, OutOfMemory

if TYPE_CHECKING:
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
        try:
            self.address = driver.allocate(max(size, 1))
        except OutOfMemory:  # models that nobody has any more may wait for the collection of cycles
            gc.collect()
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

    Its memory is that of the executables which use it. Beside them only a copy that is newer than the host's is kept,
    until the host has it too.

    Args:
        driver: of the device.
        array: the weight's memory on the host.

    Attributes:
        is_stale: whether the host may have changed it since the device saw it.
    """

    def __init__(self, driver: Driver, array: np.ndarray):
        self.driver, self.array = driver, array
        self.is_stale = True
        self._used: weakref.ref[DeviceArray] | None = None
        self._newer: DeviceArray | None = None  # the device may have changed it since the host saw it

    def memory(self) -> DeviceArray:
        """Its memory, which lives as long as what this returns."""
        with _lock:
            found = None if self._used is None else self._used()
            if found is None:
                found, self.is_stale = DeviceArray(self.driver, self.array.nbytes), True
                self._used = weakref.ref(found)
            return found

    def fetch(self) -> None:
        """Bring the host's copy up to date."""
        with _lock:
            newer, self._newer = self._newer, None  # first: a run that ends meanwhile says so again
            if newer is not None:
                try:
                    self.driver.download(self.array, newer.address)
                except BaseException:  # also an interrupt: the host still has what is older
                    self._newer = newer
                    raise

    def release(self) -> None:
        """Bring the host's copy up to date, which may be changed from now on."""
        with _lock:
            self.fetch()
            self.is_stale = True

    def send(self) -> None:
        """Bring the device's copy up to date."""
        with _lock:
            if self.is_stale:
                self.driver.upload(self.memory().address, self.array)
                self.is_stale = False

    def was_written(self) -> None:
        """The device's copy is the newer one from now on."""
        with _lock:
            self._newer, self.is_stale = self.memory(), False


def mirror_of(variable: Variable, driver: Driver) -> Mirror:
    """A weight's copy on a device, made when it is first asked for."""
    with _lock:
        mirror = variable.mirror
        if mirror is None or mirror.driver is not driver:
            mirror = Mirror(driver, variable.array)
            adopt(variable, mirror)
        return mirror


def adopt(variable: Variable, mirror: Mirror) -> None:
    """Let a weight have this copy, and no other one."""
    with _lock:
        if variable.mirror is not mirror:
            variable.array  # noqa: B018 - brings it up to date
            variable.mirror, mirror.is_stale, mirror._newer = mirror, True, None
            variables.have_mirrors = True
