"""State spaces: where an address lies in the bytes of a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.races import Shadow

if TYPE_CHECKING:
    from fastnet.testing.ptx.launch import Launch

#: Generic addresses: windows of shared memory, local memory and parameters; all above are global.
WINDOW = 1 << 32
SHARED, LOCAL, PARAMETERS = 1 << 40, 2 << 40, 3 << 40


class Space:
    """Bytes, which of them are defined, and who touched them last."""

    name = ""

    def __init__(self, size: int, defined: bool = False):
        self.shadow: Shadow | None = None
        self.replace(np.zeros(size, np.uint8), np.full(size, True) if defined else np.zeros(size, bool))

    def replace(self, values: np.ndarray, defined: np.ndarray) -> None:
        self.bytes, self.defined, self.shadow = values, defined, None
        usable = len(values) // 8 * 8
        self.views = {n: values[:usable].view(f"u{n}") for n in (1, 2, 4, 8)}
        self.defined_views = {n: defined[:usable].view(f"u{n}") for n in (1, 2, 4, 8)}

    def locate(self, frame: Any, addresses: np.ndarray, size: int, active: Any) -> tuple[np.ndarray, np.ndarray]:
        """Offsets of addresses in the bytes, and which of them are out of bounds."""
        raise NotImplementedError

    def reason(self, address: int, size: int, verb: str) -> str:
        """Why an access is out of bounds."""
        raise NotImplementedError


class _Window(Space):
    def __init__(self, copies: int, size: int, defined: bool = False):
        self.size, self.stride = size, -(-size // 16) * 16
        super().__init__(copies * self.stride, defined)

    def _which(self, frame: Any, active: Any) -> Any:
        raise NotImplementedError

    def locate(self, frame: Any, addresses: np.ndarray, size: int, active: Any) -> tuple[np.ndarray, np.ndarray]:
        bad = (addresses < 0) | (addresses > self.size - size)
        return addresses + self._which(frame, active) * self.stride, bad

    def reason(self, address: int, size: int, verb: str) -> str:
        return f"a {verb} of {size} bytes at {address} of {self.name} memory, which has {self.size} bytes"


class SharedMemory(_Window):
    """Shared memory: one for each block."""

    name = "shared"

    def __init__(self, launch: Launch, blocks: int):
        super().__init__(blocks, launch.shared)

    def _which(self, frame: Any, active: Any) -> Any:
        return frame.block[active]


class LocalMemory(_Window):
    """Local memory: one for each thread."""

    name = "local"

    def __init__(self, launch: Launch, threads: int):
        super().__init__(threads, launch.program.local)

    def _which(self, frame: Any, active: Any) -> Any:
        return frame.lanes[active]


class ParameterMemory(_Window):
    """The kernel's parameters, the same for all threads."""

    name = "parameter"

    def __init__(self, launch: Launch):
        super().__init__(1, len(launch.parameters), defined=True)
        self.bytes[:] = launch.parameters

    def _which(self, frame: Any, active: Any) -> Any:
        return 0
