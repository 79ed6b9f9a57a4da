"""`cuda.bindings.driver` without a GPU: the functions that fastnet calls, whose work the PTX machine does.

Names of functions, arguments, enumerations and handles are NVIDIA's. Like the driver, it refuses calls of a thread
that has no context. Unlike it, it refuses arguments of other types, streams and addresses that it never gave.
"""

import ctypes
import enum
import functools
import inspect
import itertools
import threading

import numpy as np

from fastnet.testing.ptx import Machine, Module

CUBIN = b"cubin of "


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_INVALID_PTX = 218
    CUDA_ERROR_LAUNCH_FAILED = 719


class CUdevice_attribute(enum.IntEnum):
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76
    CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS = 88
    CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED = 115


class CUstream_flags(enum.IntEnum):
    CU_STREAM_NON_BLOCKING = 1


class CUmemPool_attribute(enum.IntEnum):
    CU_MEMPOOL_ATTR_RELEASE_THRESHOLD = 4


class CUmemAllocationType(enum.IntEnum):
    CU_MEM_ALLOCATION_TYPE_PINNED = 1


class CUmemAllocationHandleType(enum.IntEnum):
    CU_MEM_HANDLE_TYPE_NONE = 0


class CUmemLocationType(enum.IntEnum):
    CU_MEM_LOCATION_TYPE_DEVICE = 1


class CUjitInputType(enum.IntEnum):
    CU_JIT_INPUT_PTX = 1


class CUjit_option(enum.IntEnum):
    CU_JIT_ERROR_LOG_BUFFER = 5
    CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6


class CUdevice(int): ...


class CUcontext(int): ...


class CUmemoryPool(int): ...


class CUstream(int): ...


class CUdeviceptr(int): ...


class CUmodule(int): ...


class CUfunction(int): ...


class CUlinkState(int): ...


class CUgraph(int): ...


class CUgraphNode(int): ...


class CUgraphExec(int): ...


class CUevent(int): ...


class cuuint64_t(int): ...


class CUDA_KERNEL_NODE_PARAMS:
    """Its attributes are set one by one, as those of NVIDIA's."""


class CUmemLocation:
    """The same."""


class CUmemPoolProps:
    """The same."""


STRUCTURES = (CUDA_KERNEL_NODE_PARAMS, CUmemLocation, CUmemPoolProps)
ENUMERATIONS = (
    CUresult, CUdevice_attribute, CUstream_flags, CUmemPool_attribute, CUmemAllocationType, CUmemAllocationHandleType,
    CUmemLocationType, CUjitInputType, CUjit_option,
)  # fmt: skip
ELAPSED = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_void_p)
DEVICE, CONTEXT = CUdevice(0), CUcontext(11)
#: functions that need no context
ANYWHERE = {
    "cuInit", "cuGetErrorName", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute", "cuMemPoolCreate",
    "cuMemPoolSetAttribute", "cuDriverGetVersion", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuGetProcAddress",
}  # fmt: skip
REFUSED = "ptxas fatal   : Unresolved extern function 'f'"


def _is_of_device(address):
    """Whether an address is one of the machine's, which begin at 2**44; reading it as the host's would end Python."""
    return address >> 40 == 1 << 4


class Functions:
    """What the driver's functions do; a result is a tuple behind the status, where there is one."""

    def __init__(self, card, capability, version):
        self.card, self.capability, self.version, self.pools, self.reads_host = card, capability, version, 1, 0
        self.machine = Machine()
        self.objects, self.handles, self.instructions = {}, itertools.count(1000), 0
        self.main: CUstream | None = None  # the stream in which kernels run
        self.copies: list = []  # that go on in another one: as late as a GPU may make them
        self.elapsed_c = ELAPSED(self._elapsed)

    def _elapsed(self, place, start, end):
        place[0] = self.elapsed(start, end)
        return 0

    def _given(self, kind, value):
        """A new handle of some kind, which stands for a value."""
        handle = kind(next(self.handles))
        self.objects[handle] = value
        return handle

    def cuInit(self, Flags: int): ...

    def cuGetErrorName(self, error: CUresult):
        return error.name.encode()

    def cuDeviceGet(self, ordinal: int):
        return DEVICE

    def cuDeviceGetName(self, length: int, dev: CUdevice):
        return self.card.encode().ljust(length, b"\0")

    def cuDeviceGetAttribute(self, attrib: CUdevice_attribute, dev: CUdevice):
        major, minor = divmod(self.capability, 10)
        return {16: 4, 75: major, 76: minor, 88: self.reads_host, 115: self.pools}[attrib]

    def cuDriverGetVersion(self):
        return self.version

    def cuDevicePrimaryCtxRetain(self, dev: CUdevice):
        return CONTEXT

    def cuCtxSetCurrent(self, ctx: CUcontext): ...

    def cuStreamCreate(self, Flags: CUstream_flags):
        stream = self._given(CUstream, None)
        self.main = self.main or stream
        return stream

    def cuMemPoolCreate(self, poolProps: CUmemPoolProps):
        assert (poolProps.allocType, poolProps.handleTypes, poolProps.location.type, poolProps.location.id) == (
            1,
            0,
            1,
            0,
        )
        return self._given(CUmemoryPool, {})

    def cuMemPoolSetAttribute(self, pool: CUmemoryPool, attr: CUmemPool_attribute, value: cuuint64_t):
        self.objects[pool][attr] = value

    def cuMemPoolTrimTo(self, pool: CUmemoryPool, minBytesToKeep: int):
        assert pool in self.objects and minBytesToKeep == 0

    def cuMemAllocFromPoolAsync(self, bytesize: int, pool: CUmemoryPool, hStream: CUstream):
        assert pool in self.objects and hStream == self.main
        return CUdeviceptr(self.machine.allocate(bytesize))

    def cuMemAllocHost(self, bytesize: int):
        memory = ctypes.create_string_buffer(bytesize)
        self.objects[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def cuMemFreeHost(self, p: int):
        del self.objects[p]

    def cuMemFreeAsync(self, dptr: int, hStream: CUstream):
        self.machine.free(dptr)

    def cuMemGetInfo(self):
        return 3_000_000, 8_000_000

    def cuMemcpyHtoDAsync(self, dstDevice: int, srcHost: int, ByteCount: int, hStream: CUstream):
        assert not _is_of_device(srcHost)
        if hStream != self.main:
            self.copies.append((dstDevice, srcHost, ByteCount))
            return
        self.machine.write(dstDevice, np.frombuffer(ctypes.string_at(srcHost, ByteCount), np.uint8))

    def cuMemcpyDtoHAsync(self, dstHost: int, srcDevice: int, ByteCount: int, hStream: CUstream):
        assert not _is_of_device(dstHost)
        contents = self.machine.read(srcDevice, np.zeros(ByteCount, np.uint8))
        ctypes.memmove(dstHost, contents.ctypes.data, ByteCount)

    def cuStreamSynchronize(self, hStream: CUstream):
        while hStream != self.main and self.copies:
            target, source, size = self.copies.pop()
            self.machine.write(target, np.frombuffer(ctypes.string_at(source, size), np.uint8))

    def cuLinkCreate(self, numOptions: int, options: list, optionValues: list):
        log, size = optionValues
        assert numOptions == 2 and len(log) == size
        log[: len(REFUSED)] = REFUSED.encode()  # which is read where a call fails
        return self._given(CUlinkState, [])

    def cuLinkAddData(
        self, state: CUlinkState, typename: CUjitInputType, data: bytes, size: int, name: bytes, numOptions: int,
        options: list, optionValues: list,
    ):  # fmt: skip
        assert size == len(data) and data.endswith(b"\0")
        self.objects[state].append(ctypes.create_string_buffer(CUBIN + data[:-1]))

    def cuLinkComplete(self, state: CUlinkState):
        (cubin,) = self.objects[state]
        return ctypes.addressof(cubin), len(cubin) - 1

    def cuLinkDestroy(self, state: CUlinkState):
        for cubin in self.objects.pop(state):
            ctypes.memset(cubin, 0, len(cubin))  # the code is the linker's

    def cuModuleLoadData(self, image: bytes):
        assert image.startswith(CUBIN)
        return self._given(CUmodule, Module(image[len(CUBIN) :].decode()))

    def cuModuleGetFunction(self, hmod: CUmodule, name: bytes):
        return self._given(CUfunction, (self.objects[hmod], name.decode()))

    def cuLaunchKernel(
        self, f: CUfunction, gridDimX: int, gridDimY: int, gridDimZ: int, blockDimX: int, blockDimY: int,
        blockDimZ: int, sharedMemBytes: int, hStream: CUstream, kernelParams: tuple, extra: int,
    ):  # fmt: skip
        values, types = kernelParams
        numbers = [kind(value).value for value, kind in zip(values, types, strict=True)]
        grid, block = (gridDimX, gridDimY, gridDimZ), (blockDimX, blockDimY, blockDimZ)
        counts = self.machine.launch(*self.objects[f], grid, block, numbers, sharedMemBytes)
        self.instructions += counts.instructions

    def cuGraphCreate(self, flags: int):
        return self._given(CUgraph, [])

    def cuGraphAddKernelNode(
        self, hGraph: CUgraph, dependencies: list, numDependencies: int, nodeParams: CUDA_KERNEL_NODE_PARAMS
    ):
        graph, p = self.objects[hGraph], nodeParams
        assert dependencies == [node for node, _ in graph[-1:]] and numDependencies == len(dependencies)
        shape = (p.gridDimX, p.gridDimY, p.gridDimZ, p.blockDimX, p.blockDimY, p.blockDimZ, p.sharedMemBytes)
        node = self._given(CUgraphNode, None)
        graph.append((node, (p.func, *shape, self.main, p.kernelParams, 0)))
        return node

    def cuGraphInstantiate(self, hGraph: CUgraph, flags: int):
        return self._given(CUgraphExec, list(self.objects[hGraph]))

    def cuGraphDestroy(self, hGraph: CUgraph):
        self.objects[hGraph].clear()

    def cuGraphLaunch(self, hGraphExec: CUgraphExec, hStream: CUstream):
        for _, arguments in self.objects[hGraphExec]:
            self.cuLaunchKernel(*arguments)

    def cuGraphExecDestroy(self, hGraphExec: CUgraphExec):
        del self.objects[hGraphExec]

    def cuEventCreate(self, Flags: int):
        return self._given(CUevent, None)

    def cuEventRecord(self, hEvent: CUevent, hStream: CUstream):
        self.objects[hEvent] = self.instructions

    def elapsed(self, start, end):
        """Milliseconds between two events: instructions."""
        return float(self.objects[CUevent(end)] - self.objects[CUevent(start)])

    def cuGetProcAddress(self, symbol: bytes, cudaVersion: int, flags: int):
        assert (symbol, cudaVersion, flags) == (b"cuEventElapsedTime", 12000, 0)
        return ctypes.cast(self.elapsed_c, ctypes.c_void_p).value, 0

    def cuEventDestroy(self, hEvent: CUevent):
        del self.objects[hEvent]


NAMES = [name for name in vars(Functions) if name.startswith("cu")]


class FakeDriver:
    """The module.

    Args:
        card: its name.
        capability: ten times its compute capability.
        version: of the driver's CUDA.

    Attributes:
        calls: (function, arguments) in order.
        fails: function → the status that its calls have.
    """

    def __init__(self, card="NVIDIA H100", capability=90, version=12040):
        self.functions = Functions(card, capability, version)
        self.calls, self.fails, self.threads = [], {}, set()
        for name in NAMES:
            setattr(self, name, functools.partial(self._call, name))
        for name, value in globals().items():
            if inspect.isclass(value) and value.__module__ == __name__:
                setattr(self, name, value)

    def count(self, name):
        """How often a function was called."""
        return sum(name == called for called, _ in self.calls)

    def _call(self, name, *arguments):
        function, thread = getattr(self.functions, name), threading.get_ident()
        self.calls.append((name, arguments))
        expected = inspect.signature(function).parameters.values()
        for value, parameter in zip(arguments, expected, strict=True):
            assert isinstance(value, parameter.annotation), f"{name}: {parameter.name} is {value!r}"
            assert not isinstance(value, CUstream) or value in self.functions.objects
        if name == "cuCtxSetCurrent":
            self.threads.add(thread)
        result, status = function(*arguments), self.fails.get(name, CUresult.CUDA_SUCCESS)
        if name not in ANYWHERE and thread not in self.threads:
            status = CUresult.CUDA_ERROR_INVALID_CONTEXT
        results = result if isinstance(result, tuple) else () if result is None else (result,)
        return status, *[None if status else each for each in results]
