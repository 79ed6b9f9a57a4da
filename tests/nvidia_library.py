"""A libcuda.so.1 without a GPU: what cuda-bindings calls is a C function here, and the fake driver does its work.

``install()`` must come before the first call of cuda-bindings, in a process of its own. A plugin of pytest does so by
itself: ``python -m pytest -p tests.nvidia_library -m gpu`` runs the tests of a GPU with the real bindings, whose
arguments, structures and enumerations arrive as the driver would see them.
"""

import ctypes
import functools
import os
import subprocess
import sysconfig
import tempfile
import traceback
from pathlib import Path

from . import nvidia_driver as fakes

UNKNOWN = 999  # the status of a call that the fake refuses

SOURCE = """
#include <string.h>

static struct { const char *name; int since; void *function; } table[64];
static int count, version;

void stub_version(int number) { version = number; }

void stub_register(const char *name, int since, void *function) {
    table[count].name = name; table[count].since = since; table[count++].function = function;
}

int cuDriverGetVersion(int *number) { *number = version; return 0; }

/* As the driver's: the newest function of a name that both the caller's CUDA and the driver's know. */
int cuGetProcAddress_v2(const char *name, void **function, int since, unsigned long long flags, int *status) {
    *function = strcmp(name, "cuGetProcAddress") ? 0 : (void *)cuGetProcAddress_v2;
    for (int i = 0; i < count; i++)
        if (!strcmp(table[i].name, name) && table[i].since <= since && since <= version) *function = table[i].function;
    if (status) *status = *function ? 0 : 1;
    return *function ? 0 : 500;
}
"""

#: function → C types of its results, which it writes to addresses, and of its other arguments; codes of `struct`
PLAIN = {
    "cuInit": ("", "I"), "cuDeviceGet": ("i", "i"), "cuDeviceGetAttribute": ("i", "ii"),
    "cuDriverGetVersion": ("i", ""), "cuDevicePrimaryCtxRetain": ("P", "i"), "cuCtxSetCurrent": ("", "P"),
    "cuStreamCreate": ("P", "I"), "cuStreamSynchronize": ("", "P"), "cuMemPoolTrimTo": ("", "PN"),
    "cuMemAllocFromPoolAsync": ("Q", "NPP"), "cuMemFreeAsync": ("", "QP"), "cuMemAllocHost": ("P", "N"),
    "cuMemFreeHost": ("", "P"), "cuMemGetInfo": ("NN", ""),
    "cuMemcpyHtoDAsync": ("", "QPNP"), "cuMemcpyDtoHAsync": ("", "PQNP"), "cuLinkDestroy": ("", "P"),
    "cuModuleGetFunction": ("P", "Ps"), "cuGraphCreate": ("P", "I"), "cuGraphInstantiate": ("P", "PQ"),
    "cuGraphDestroy": ("", "P"), "cuGraphLaunch": ("", "PP"), "cuGraphExecDestroy": ("", "P"),
    "cuEventCreate": ("P", "I"), "cuEventRecord": ("", "PP"), "cuEventDestroy": ("", "P"),
}  # fmt: skip
CODES = {
    "i": ctypes.c_int, "I": ctypes.c_uint, "N": ctypes.c_size_t, "Q": ctypes.c_uint64, "P": ctypes.c_size_t,
    "s": ctypes.c_char_p, "*": ctypes.c_void_p,
}  # fmt: skip
#: functions whose newest form is younger than `BASE`, and what the driver calls them
SINCE = {"cuGraphAddKernelNode": 12000}
BASE = 2000
NAMES = {"cuGraphInstantiate": "cuGraphInstantiateWithFlags"}


class Location(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_int)]


class PoolProperties(ctypes.Structure):
    _fields_ = [
        ("allocType", ctypes.c_int), ("handleTypes", ctypes.c_int), ("location", Location),
        ("win32SecurityAttributes", ctypes.c_void_p), ("maxSize", ctypes.c_size_t), ("usage", ctypes.c_ushort),
        ("reserved", ctypes.c_ubyte * 54),
    ]  # fmt: skip


class NodeParameters(ctypes.Structure):
    _fields_ = [
        ("func", ctypes.c_size_t),
        *((name, ctypes.c_uint) for name in (
            "gridDimX", "gridDimY", "gridDimZ", "blockDimX", "blockDimY", "blockDimZ", "sharedMemBytes"
        )),
        ("kernelParams", ctypes.POINTER(ctypes.c_void_p)), ("extra", ctypes.c_void_p), ("kern", ctypes.c_void_p),
        ("ctx", ctypes.c_void_p),
    ]  # fmt: skip


def at(kind, address):
    """What lies at an address of the host."""
    return kind.from_address(address)


class Library:
    """The C functions of a fake driver.

    Args:
        api: a `nvidia_driver.FakeDriver`.
    """

    def __init__(self, api):
        self.api = api
        self.names = {}  # C strings that the driver keeps

    def functions(self):
        """(name, C types of all arguments, function of Python) of each."""
        for name, (results, others) in PLAIN.items():
            yield name, "*" * len(results) + others, functools.partial(self._plain, name)
        for name, kinds in (
            ("cuGetErrorName", "i*"), ("cuDeviceGetName", "*ii"), ("cuMemPoolCreate", "**"),
            ("cuMemPoolSetAttribute", "Pi*"), ("cuLinkCreate", "I***"), ("cuLinkAddData", "Pi*NsI**"),
            ("cuLinkComplete", "P**"), ("cuModuleLoadData", "*s"), ("cuLaunchKernel", "PIIIIIIIP**"),
            ("cuGraphAddKernelNode", "*P*N*"), ("cuEventElapsedTime", "*PP"),
        ):  # fmt: skip
            yield name, kinds, getattr(self, name)

    def _ask(self, name, *arguments):
        """Call the fake, whose arguments have the types that it asks for; its status and results."""
        function = getattr(self.api.functions, name)
        kinds = list(function.__func__.__annotations__.values())
        own = [value if isinstance(value, kind) else kind(value) for value, kind in zip(arguments, kinds, strict=True)]
        status, *results = getattr(self.api, name)(*own)
        return int(status), results

    def _plain(self, name, *arguments):
        results, others = PLAIN[name]
        places, rest = arguments[: len(results)], arguments[len(results) :]
        status, found = self._ask(name, *rest)
        for code, place, value in zip(results, places, found, strict=True) if not status else ():
            at(CODES[code], place).value = value
        return status

    def cuGetErrorName(self, error, place):
        (name,) = self._ask("cuGetErrorName", error)[1]
        at(ctypes.c_char_p, place).value = self.names.setdefault(error, name)
        return 0

    def cuDeviceGetName(self, place, length, device):
        status, (name,) = self._ask("cuDeviceGetName", length, device)
        ctypes.memmove(place, name, length)
        return status

    def cuMemPoolCreate(self, place, properties):
        status, (pool,) = self._ask("cuMemPoolCreate", _as_fake(fakes.CUmemPoolProps, at(PoolProperties, properties)))
        at(ctypes.c_size_t, place).value = pool
        return status

    def cuMemPoolSetAttribute(self, pool, attribute, value):
        return self._ask("cuMemPoolSetAttribute", pool, attribute, at(ctypes.c_uint64, value).value)[0]

    def cuLinkCreate(self, number, options, values, place):
        names = [fakes.CUjit_option(each) for each in (ctypes.c_int * number).from_address(options)]
        log, size = (ctypes.c_size_t * number).from_address(values)
        log = (ctypes.c_char * size).from_address(log)
        status, (state,) = self._ask("cuLinkCreate", number, names, [log, size])
        at(ctypes.c_size_t, place).value = state
        return status

    def cuLinkAddData(self, state, kind, data, size, name, number, options, values):
        assert number == 0
        return self._ask("cuLinkAddData", state, kind, ctypes.string_at(data, size), size, name, 0, [], [])[0]

    def cuLinkComplete(self, state, place, size):
        status, results = self._ask("cuLinkComplete", state)
        if not status:
            at(ctypes.c_size_t, place).value, at(ctypes.c_size_t, size).value = results
        return status

    def cuModuleLoadData(self, place, image):
        status, (module,) = self._ask("cuModuleLoadData", image)
        at(ctypes.c_size_t, place).value = module
        return status

    def cuLaunchKernel(self, function, *arguments):
        *shape, shared, stream, parameters, extra = arguments
        assert not extra
        numbers = self._numbers(function, ctypes.cast(parameters, ctypes.POINTER(ctypes.c_void_p)))
        return self._ask("cuLaunchKernel", function, *shape, shared, stream, numbers, 0)[0]

    def cuGraphAddKernelNode(self, place, graph, before, number, parameters):
        found = at(NodeParameters, parameters)
        assert not (found.extra or found.kern or found.ctx)
        node = _as_fake(fakes.CUDA_KERNEL_NODE_PARAMS, found)
        node.func, node.kernelParams = fakes.CUfunction(found.func), self._numbers(found.func, found.kernelParams)
        nodes = [fakes.CUgraphNode(each) for each in (ctypes.c_size_t * number).from_address(before)] if number else []
        status, (added,) = self._ask("cuGraphAddKernelNode", graph, nodes, number, node)
        at(ctypes.c_size_t, place).value = added
        return status

    def cuEventElapsedTime(self, place, start, end):
        at(ctypes.c_float, place).value = self.api.functions.elapsed(start, end)
        return 0

    def _numbers(self, function, parameters):
        """The arguments of a kernel, of which the driver knows how many there are."""
        module, name = self.api.functions.objects[fakes.CUfunction(function)]
        count = len(module.entries[name].parameters)
        numbers = tuple(at(ctypes.c_int64, parameters[number]).value for number in range(count))
        return numbers, (ctypes.c_int64,) * count


def _as_fake(kind, structure):
    """A structure of C as one of the fake's."""
    made = kind()
    for name, *_ in structure._fields_:
        value = getattr(structure, name)
        setattr(made, name, _as_fake(fakes.CUmemLocation, value) if isinstance(value, Location) else value)
    return made


def _guarded(function):
    """What fails here may not end in C unseen."""

    def call(*arguments):
        try:
            return function(*arguments)
        except BaseException:
            traceback.print_exc()
            return UNKNOWN

    return call


def built(folder):
    """The path of the library, compiled in a folder."""
    source, target = Path(folder) / "libcuda.c", Path(folder) / "libcuda.so.1"
    source.write_text(SOURCE)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    options = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", str(source), "-o", str(target)]
    subprocess.run([*compiler, *options], check=True)
    return target


_kept = []  # what C refers to


def install(api=None):
    """Let this process have a driver; the fake that does its work."""
    api = api or fakes.FakeDriver()
    with tempfile.TemporaryDirectory() as folder:
        loaded = ctypes.CDLL(str(built(folder)), os.RTLD_GLOBAL | os.RTLD_NOW)
    loaded.stub_version(api.functions.version)
    for name, kinds, function in Library(api).functions():
        function = ctypes.CFUNCTYPE(ctypes.c_int, *(CODES[kind] for kind in kinds))(_guarded(function))
        named = ctypes.c_char_p(NAMES.get(name, name).encode())
        loaded.stub_register(named, SINCE.get(name, BASE), function)
        _kept.extend((named, function))
    _kept.append(loaded)
    return api


def pytest_configure(config):
    """As a plugin."""
    install()
