"""NVIDIA's driver as a `Driver`, by the C functions that cuda-bindings gives to Python."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import cache
from fastnet._kernels.cuda.ptx import LEVELS
from fastnet.engine.cuda.driver import FORKED, DeviceError, Driver, Node, OutOfMemory

#: version of the driver's CUDA → the newest PTX that it takes; graphs of cuda-bindings 12 and 13 need CUDA 12.0
_PTX = {
    12000: 80, 12010: 81, 12020: 82, 12030: 83, 12040: 84, 12050: 85, 12070: 86, 12080: 87, 12090: 88, 13000: 90,
}  # fmt: skip
_LOG = 4096  # bytes of the driver's report on PTX that it refuses
_FULL = " Take a smaller model, smaller batches, or less data in one call."
_INSTALL = "pip install 'fastnet[cuda]'"


def open_device() -> NVIDIA:
    """The first GPU that the driver shows to this process (``CUDA_VISIBLE_DEVICES``).

    Raises:
        DeviceError: there is none, it or its driver is too old, or cuda-bindings is missing.
    """
    try:
        from cuda.bindings import driver as api
    except ImportError as error:
        raise DeviceError(f"device='cuda' needs NVIDIA's Python bindings ({error}): {_INSTALL}.") from None
    try:
        (status,) = api.cuInit(0)
    except (RuntimeError, OSError) as missing:
        raise DeviceError(
            f"device='cuda' needs NVIDIA's driver, which this machine lacks: {str(missing).splitlines()[0]} "
            "Train with device='cpu', or 'auto', which takes the GPU where there is one."
        ) from None
    if status != api.CUresult.CUDA_SUCCESS:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if visible is None else f"; CUDA_VISIBLE_DEVICES is {visible!r}"
        raise DeviceError(f"NVIDIA's driver shows no GPU to this process ({_name(api, status)}{why}).")
    return NVIDIA(api)


def _name(api: Any, error: Any) -> str:
    _, text = api.cuGetErrorName(error)
    return text.decode() if text else str(error)


class NVIDIA(Driver):
    """The first GPU of this process, in its primary context; one stream has all work in order, one copies beside it.

    Args:
        api: `cuda.bindings.driver`.
    """

    def __init__(self, api: Any):
        self._api = api
        self._process = os.getpid()
        self._functions: dict[str, Any] = {}  # by their PTX; a module lives as long as the process
        self.version = self._ask("cuDriverGetVersion")
        self._device = self._ask("cuDeviceGet", 0)
        self.name = self._ask("cuDeviceGetName", 128, self._device).split(b"\0")[0].decode()
        attributes = api.CUdevice_attribute
        attribute = functools.partial(self._attribute, attributes)
        self.processors = attribute("MULTIPROCESSOR_COUNT")
        capability = 10 * attribute("COMPUTE_CAPABILITY_MAJOR") + attribute("COMPUTE_CAPABILITY_MINOR")
        self.level = level_for(self.name, capability, self.version)
        self._context = self._ask("cuDevicePrimaryCtxRetain", self._device)
        self._enter()
        self._stream, self._copies = (
            self._ask("cuStreamCreate", api.CUstream_flags.CU_STREAM_NON_BLOCKING) for _ in range(2)
        )
        if not attribute("MEMORY_POOLS_SUPPORTED"):
            raise DeviceError(
                f"{self.name} has no memory pools, as some virtual GPUs, and fastnet allocates from one. Train with "
                "device='cpu', or on a GPU that is not shared this way."
            )
        self._pool = self._new_pool()
        # such a device may read memory of the host where it lies, and then `upload` returns before it has
        self._reads_host = bool(attribute("PAGEABLE_MEMORY_ACCESS"))

    def _attribute(self, attributes: Any, name: str) -> int:
        return self._ask("cuDeviceGetAttribute", getattr(attributes, f"CU_DEVICE_ATTRIBUTE_{name}"), self._device)

    def _new_pool(self) -> Any:
        """A pool of this driver's own, which keeps what is freed: that of the device belongs to other libraries too."""
        api, properties = self._api, self._api.CUmemPoolProps()
        properties.allocType = api.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        properties.handleTypes = api.CUmemAllocationHandleType.CU_MEM_HANDLE_TYPE_NONE
        properties.location = api.CUmemLocation()
        properties.location.type = api.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = int(self._device)
        pool = self._ask("cuMemPoolCreate", properties)
        keep = api.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        self._ask("cuMemPoolSetAttribute", pool, keep, api.cuuint64_t(2**64 - 1))
        return pool

    def _enter(self) -> None:
        """Make the context this thread's, whatever another library has chosen since the last call."""
        if self._process != os.getpid():
            raise DeviceError(FORKED)
        self._ask("cuCtxSetCurrent", self._context)

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Call a function of the driver; its result, if it has one, or all where it has several.

        Raises:
            DeviceError: it failed.
        """
        try:
            error, *results = getattr(self._api, function)(*arguments)
        except RuntimeError as missing:  # bindings that are newer than the driver
            raise DeviceError(
                f"{self._named()}: {missing} in its driver of CUDA {_dotted(self.version)}, which is older than "
                "cuda-bindings expects. Install a newer driver, or cuda-bindings of the driver's version."
            ) from None
        if error != self._api.CUresult.CUDA_SUCCESS:
            full = error == self._api.CUresult.CUDA_ERROR_OUT_OF_MEMORY  # kernels' stacks and graphs take memory too
            raise DeviceError(f"{self._named()}: {function} failed with {_name(self._api, error)}.{_FULL * full}")
        return results[0] if len(results) == 1 else tuple(results) or None

    def _named(self) -> str:
        return getattr(self, "name", "The GPU")

    # ---- memory

    def allocate(self, size: int) -> int:
        """See `Driver.allocate`."""
        self._enter()
        error, address = self._api.cuMemAllocFromPoolAsync(size, self._pool, self._stream)
        if error == self._api.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise OutOfMemory(self.name, size, *self.memory())
        if error != self._api.CUresult.CUDA_SUCCESS:
            raise DeviceError(f"{self.name}: {size} bytes could not be allocated: {_name(self._api, error)}.")
        return int(address)

    def free(self, address: int) -> None:
        """See `Driver.free`."""
        if self._process == os.getpid():  # a fork has no context in which it could be freed
            self._enter()
            self._api.cuMemFreeAsync(address, self._stream)

    def memory(self) -> tuple[int, int]:
        """See `Driver.memory`. The pool gives back what it only keeps, which the driver would count as used."""
        self.synchronize()
        self._ask("cuMemPoolTrimTo", self._pool, 0)
        return self._ask("cuMemGetInfo")

    def page_locked(self, size: int) -> np.ndarray:
        """See `Driver.page_locked`."""
        self._enter()
        return np.asarray(PageLocked(self, int(self._ask("cuMemAllocHost", size)), size))

    def release(self, address: int) -> None:
        """Free page-locked memory."""
        if self._process == os.getpid():
            self._enter()
            self._api.cuMemFreeHost(address)

    def upload(self, address: int, array: np.ndarray) -> None:
        """See `Driver.upload`: the driver copies pageable memory before it returns."""
        self._enter()
        if array.nbytes:
            self._ask("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, self._stream)
            if self._reads_host:
                self._ask("cuStreamSynchronize", self._stream)

    def upload_beside(self, address: int, array: np.ndarray) -> None:
        """See `Driver.upload_beside`: in the second stream."""
        self._enter()
        if array.nbytes:
            self._ask("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, self._copies)

    def download(self, array: np.ndarray, address: int) -> None:
        """See `Driver.download`."""
        self._enter()
        if array.nbytes:
            self._ask("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, self._stream)
        self.synchronize()

    # ---- code

    def load(self, ptx: str, name: str) -> Any:
        """See `Driver.load`. The code that the driver makes of PTX is stored beside it, by card and driver."""
        found = self._functions.get(ptx)
        if found is None:
            self._enter()
            digest = hashlib.sha256(f"{self.name} {self.version} {ptx}".encode()).hexdigest()[:32]
            cubin = cache.load(f"cubin-{digest}", lambda: self._linked(ptx), "cubin")
            module = self._ask("cuModuleLoadData", cubin)
            found = self._functions[ptx] = self._ask("cuModuleGetFunction", module, name.encode())
        return found

    def _linked(self, ptx: str) -> bytes:
        """The card's code of a module."""
        api, text, log = self._api, ptx.encode() + b"\0", bytearray(_LOG)
        options = {
            api.CUjit_option.CU_JIT_ERROR_LOG_BUFFER: log,
            api.CUjit_option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES: len(log),
        }
        state = self._ask("cuLinkCreate", len(options), list(options), list(options.values()))
        try:
            kind = api.CUjitInputType.CU_JIT_INPUT_PTX
            self._ask("cuLinkAddData", state, kind, text, len(text), b"fastnet", 0, [], [])
            code, size = self._ask("cuLinkComplete", state)
            return ctypes.string_at(int(code), size)
        except DeviceError as error:
            said = log.split(b"\0")[0].decode(errors="replace").strip()
            raise DeviceError(f"{error} It refuses a kernel's PTX: {said or 'it does not say why'}") from None
        finally:
            api.cuLinkDestroy(state)

    def launch(self, node: Node) -> None:
        """See `Driver.launch`."""
        self._enter()
        shape = (node.grid, 1, 1, node.block, 1, 1)
        self._ask("cuLaunchKernel", node.function, *shape, 0, self._stream, _parameters(node), 0)

    def capture(self, nodes: Sequence[Node]) -> Any:
        """See `Driver.capture`: the nodes of a CUDA graph, each behind the one before."""
        self._enter()
        graph = self._ask("cuGraphCreate", 0)
        before: list[Any] = []
        for node in nodes:
            parameters = self._api.CUDA_KERNEL_NODE_PARAMS()
            parameters.func = node.function
            parameters.gridDimX, parameters.gridDimY, parameters.gridDimZ = node.grid, 1, 1
            parameters.blockDimX, parameters.blockDimY, parameters.blockDimZ = node.block, 1, 1
            parameters.sharedMemBytes, parameters.kernelParams = 0, _parameters(node)
            before = [self._ask("cuGraphAddKernelNode", graph, before, len(before), parameters)]
        try:
            return Graph(self, self._ask("cuGraphInstantiate", graph, 0))
        finally:
            self._api.cuGraphDestroy(graph)

    def replay(self, graph: Any, count: int) -> None:
        """See `Driver.replay`."""
        self._enter()
        for _ in range(count):
            self._ask("cuGraphLaunch", graph.handle, self._stream)

    def discard(self, handle: Any) -> None:
        """Destroy a graph; what was started of it is done before."""
        if self._process == os.getpid():
            self._enter()
            self._api.cuGraphExecDestroy(handle)

    def times(self, nodes: Sequence[Node]) -> list[float]:
        """See `Driver.times`: by events between the launches."""
        self._enter()
        events = [self._ask("cuEventCreate", 0) for _ in range(len(nodes) + 1)]
        self._ask("cuEventRecord", events[0], self._stream)
        for node, event in zip(nodes, events[1:], strict=True):
            self.launch(node)
            self._ask("cuEventRecord", event, self._stream)
        self.synchronize()
        spent = [self._seconds(*pair) for pair in itertools.pairwise(events)]
        for event in events:
            self._ask("cuEventDestroy", event)
        return spent

    def _seconds(self, start: Any, end: Any) -> float:
        """The time between two events."""
        milliseconds = ctypes.c_float()
        error = self._elapsed(ctypes.byref(milliseconds), int(start), int(end))
        if error:
            raise DeviceError(f"{self.name}: cuEventElapsedTime failed with {_name(self._api, error)}.")
        return 1e-3 * milliseconds.value

    @functools.cached_property
    def _elapsed(self) -> Any:
        """``cuEventElapsedTime`` as CUDA 12.0 has it: that of bindings from 12.8 on is missing in older drivers."""
        address, _ = self._ask("cuGetProcAddress", b"cuEventElapsedTime", min(_PTX), 0)
        pointer = ctypes.POINTER(ctypes.c_float)
        return ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.c_void_p, ctypes.c_void_p)(int(address))

    def synchronize(self) -> None:
        """See `Driver.synchronize`."""
        self._enter()
        for stream in (self._stream, self._copies):
            self._ask("cuStreamSynchronize", stream)


class PageLocked:
    """Memory of the host that the driver allocated, for NumPy; freed with the last array that shows it.

    Args:
        driver: the driver.
        address, size: where it lies, and its bytes.
    """

    def __init__(self, driver: NVIDIA, address: int, size: int):
        self._driver, self._address = driver, address
        self.__array_interface__ = {"data": (address, False), "shape": (size,), "typestr": "|u1", "version": 3}

    def __del__(self) -> None:
        self._driver.release(self._address)


class Graph:
    """A graph, destroyed with this object.

    Args:
        driver: of its device.
        handle: the driver's.
    """

    def __init__(self, driver: NVIDIA, handle: Any):
        self.driver, self.handle = driver, handle

    def __del__(self) -> None:
        self.driver.discard(self.handle)


def _parameters(node: Node) -> tuple[tuple[int, ...], tuple[type, ...]]:
    return node.arguments, (ctypes.c_int64,) * len(node.arguments)


def level_for(card: str, capability: int, version: int) -> str:
    """The level for which kernels are compiled: the highest that a card and its driver take.

    Args:
        card: its name, for errors.
        capability: ten times its compute capability.
        version: of the driver's CUDA, 12040 for 12.4.

    Raises:
        DeviceError: the card or the driver is older than fastnet's oldest level.
    """
    levels = {int(level[3:]): level for level in LEVELS}
    of_card = [number for number in levels if number <= capability]
    if not of_card:
        raise DeviceError(
            f"{card} has compute capability {capability / 10}; fastnet's kernels need {min(levels) / 10} or newer."
        )
    if version < min(_PTX):
        raise DeviceError(
            f"{card}: its driver has CUDA {_dotted(version)}, and fastnet needs {_dotted(min(_PTX))} or newer. Install "
            "a newer driver."
        )
    newest = max(ptx for since, ptx in _PTX.items() if since <= version)
    return levels[max(number for number in of_card if int(LEVELS[levels[number]]) <= newest)]


def _dotted(version: int) -> str:
    """12040 as 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"
