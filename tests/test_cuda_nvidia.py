"""The calls of NVIDIA's driver, with a fake that the PTX machine backs, and with the real bindings' conversions."""

import ctypes
import enum
import gc
import inspect
import itertools
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastnet.engine.cuda import current, executable, nvidia
from fastnet.engine.cuda.driver import DeviceError, Node, OutOfMemory

from . import nvidia_driver as fakes
from .nvidia_driver import CUresult, FakeDriver
from .ptx_kernels import text
from .test_cuda_training import SPARSE, classifier, compiled, data, form, same  # noqa: F401 a fixture

DOUBLE = text(
    "u64 x, u64 count",
    """
    mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r1, %r2, 32, %r1;
    cvt.u64.u32 %rd1, %r1; setp.ge.u64 %p1, %rd1, %count; @%p1 ret;
    shl.b64 %rd1, %rd1, 2; add.s64 %rd1, %x, %rd1;
    ld.global.f32 %f1, [%rd1]; add.rn.f32 %f1, %f1, %f1; st.global.f32 [%rd1], %f1;""",
)


@pytest.fixture
def api(monkeypatch, tmp_path):
    """The fake as `cuda.bindings.driver`, with an empty kernel cache."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    return installed(monkeypatch, FakeDriver())


def installed(monkeypatch, api):
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(driver=api))
    return api


def doubled(gpu, x, start):
    """What a kernel makes of an array, started by ``start(node)``."""
    address = gpu.allocate(x.nbytes)
    gpu.upload(address, x)
    start(Node(gpu.load(DOUBLE, "k"), -(-x.size // 32), 32, (address, x.size)))
    gpu.download(x, address)
    gpu.free(address)
    return x


# ---- trainings


def trained(device):
    model = compiled(device, classifier, "adam", SPARSE, ["accuracy"])
    x, y = data(7, 3)
    history = model.fit(x, y, batch_size=9, epochs=2, verbose=0).history
    return history, model.get_weights(), model.predict(x[:5], verbose=0)


@pytest.mark.slow
def test_a_training_has_the_bits_of_the_cpu(form):  # noqa: F811
    api = FakeDriver()
    with current.used(nvidia.NVIDIA(api)):
        found = trained("cuda")
    assert same(found, trained("cpu"))
    assert bool(api.count("cuGraphLaunch")) == (form == "graph")
    if form == "graph":  # captured once for each size of a batch: of the training and of the prediction
        assert api.count("cuGraphInstantiate") == 3 < api.count("cuGraphLaunch")


@pytest.mark.slow
def test_a_profile_takes_the_times_between_events():
    api = FakeDriver()
    x, y = data(7, 3)
    with current.used(nvidia.NVIDIA(api)):
        profile = compiled("cuda", classifier, "adam", SPARSE).profile(x, y, batch_size=9, seconds=0.01)
    assert {row.layer for row in profile.rows} >= {"first", "second", "third"}
    assert api.count("cuEventCreate") == api.count("cuEventDestroy") == api.count("cuEventRecord") > 0
    assert api.count("cuGetProcAddress") == 1  # it is the same function for all


# ---- launches, memory and code


@pytest.mark.parametrize("size", [1, 31, 33, 97])
def test_a_launch_and_a_graph(api, size):
    gpu, x = nvidia.open_device(), np.arange(1, size + 1, dtype="float32")
    assert (doubled(gpu, x.copy(), gpu.launch) == 2 * x).all()

    def replayed(node):
        gpu.replay(gpu.capture([node, node]), 3)

    assert (doubled(gpu, x.copy(), replayed) == 2**6 * x).all()


def test_graphs_are_destroyed_with_the_model(monkeypatch):
    monkeypatch.setattr(executable, "SMALL", 0)
    api = FakeDriver()
    x, y = data(7, 3)
    with current.used(nvidia.NVIDIA(api)):
        model = compiled("cuda", classifier, "adam", SPARSE)
        model.fit(x, y, batch_size=9, verbose=0)
        del model
        gc.collect()
    assert api.count("cuGraphInstantiate") == api.count("cuGraphDestroy") == api.count("cuGraphExecDestroy") == 2


def test_times_of_launches(api):
    gpu = nvidia.open_device()
    address = gpu.allocate(400)
    gpu.upload(address, np.ones(100, "float32"))
    nodes = [Node(gpu.load(DOUBLE, "k"), blocks, 32, (address, 100)) for blocks in (1, 3)]
    one, three = gpu.times(nodes)
    assert three == 3 * one > 0 and one == round(1e3 * one) / 1e3  # of the fake: instructions as milliseconds


def test_arguments_keep_their_64_bits(api):
    gpu = nvidia.open_device()
    node = Node(gpu.load(text("u64 x, u64 y", ""), "k"), 1, 1, (-7, 2**62 + 1))
    gpu.launch(node)
    _, arguments = api.calls[-1]
    values, types = arguments[9]
    assert [kind(value).value for value, kind in zip(values, types)] == [-7, 2**62 + 1]
    assert {ctypes.sizeof(kind) for kind in types} == {8}


@pytest.mark.parametrize("reads_host", [0, 1])
def test_what_was_uploaded_may_change(api, reads_host):
    """A device that reads the host's memory where it lies has done so before `upload` returns."""
    api.functions.reads_host = reads_host
    gpu = nvidia.open_device()
    gpu.upload(gpu.allocate(4), np.ones(1, "float32"))
    assert api.count("cuStreamSynchronize") == reads_host


def test_arrays_without_elements_are_not_copied(api):
    gpu, empty = nvidia.open_device(), np.zeros((0, 3))
    gpu.upload(0, empty)
    gpu.download(empty, 0)
    assert not api.count("cuMemcpyHtoDAsync") and not api.count("cuMemcpyDtoHAsync")


def test_every_thread_enters_the_context(api):
    gpu, x, errors = nvidia.open_device(), np.arange(5, dtype="float32"), []
    uses = [
        lambda: doubled(gpu, x, gpu.launch),
        lambda: gpu.replay(gpu.capture([]), 1),
        lambda: gpu.times([]),
        lambda: gpu.free(gpu.allocate(4)),
        gpu.synchronize,
    ]

    def run(use):
        try:
            use()
        except Exception as error:
            errors.append(error)

    for use in uses:
        thread = threading.Thread(target=run, args=(use,))
        thread.start()
        thread.join()
        api.threads.clear()  # the next thread may have the same number
    assert not errors


def test_code_is_made_once_for_a_card_and_a_driver(api, monkeypatch):
    x = np.ones(3, "float32")
    first = nvidia.open_device()
    doubled(first, x, first.launch)
    doubled(first, x, first.launch)
    assert api.count("cuLinkCreate") == api.count("cuLinkDestroy") == api.count("cuModuleLoadData") == 1
    for card, version, links in [("NVIDIA H100", 12040, 0), ("NVIDIA H100", 12050, 1), ("NVIDIA H200", 12040, 1)]:
        other = installed(monkeypatch, FakeDriver(card, version=version))
        gpu = nvidia.open_device()
        assert doubled(gpu, np.ones(3, "float32"), gpu.launch)[0] == 2
        assert other.count("cuLinkCreate") == links, (card, version)


def test_a_fork_frees_nothing(api, monkeypatch):
    gpu = nvidia.open_device()
    address = gpu.allocate(4)
    graph, array = gpu.capture([]), gpu.page_locked(4)
    monkeypatch.setattr(nvidia.os, "getpid", lambda: gpu._process + 1)
    gpu.free(address)
    del graph, array
    assert not any(api.count(name) for name in ("cuMemFreeAsync", "cuGraphExecDestroy", "cuMemFreeHost"))


def test_memory_comes_from_a_pool_of_its_own(api):
    """That of the device stays as other libraries have set it."""
    nvidia.open_device()
    ((pool, attribute, value),) = [arguments for name, arguments in api.calls if name == "cuMemPoolSetAttribute"]
    assert api.functions.objects[pool] == {fakes.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: 2**64 - 1}
    assert attribute == 4 and value == 2**64 - 1


def test_copies_beside_other_work(api):
    gpu = nvidia.open_device()
    array = gpu.page_locked(12).view("float32")
    array[:] = 1, 2, 3
    address = gpu.allocate(array.nbytes)
    gpu.upload_beside(address, array)
    gpu.synchronize()
    node = Node(gpu.load(DOUBLE, "k"), 1, 32, (address, 3))
    gpu.launch(node)
    found = np.zeros(3, "float32")
    gpu.download(found, address)
    assert found.tolist() == [2, 4, 6]
    part = array[:1].view("uint8")
    del array
    assert not api.count("cuMemFreeHost") and part.size == 4
    del part
    assert api.count("cuMemFreeHost") == 1


# ---- errors


def message(function, *arguments):
    with pytest.raises(DeviceError) as error:
        function(*arguments)
    return str(error.value)


def test_full_memory(api):
    gpu = nvidia.open_device()
    api.fails["cuMemAllocFromPoolAsync"] = CUresult.CUDA_ERROR_OUT_OF_MEMORY
    assert message(gpu.allocate, 5_000_000) == (
        "NVIDIA H100: its memory is full. 5.0 MB were asked for, 3.0 of 8.0 MB are free. Take a smaller model, "
        "smaller batches, or less data in one call."
    )
    assert api.count("cuMemPoolTrimTo") == 1  # what the pool only keeps is free
    api.fails["cuMemAllocFromPoolAsync"] = CUresult.CUDA_ERROR_LAUNCH_FAILED
    assert message(gpu.allocate, 7) == "NVIDIA H100: 7 bytes could not be allocated: CUDA_ERROR_LAUNCH_FAILED."


def test_little_memory_is_not_none():
    assert "0.0016 MB were asked for, 0 of 80000.0 MB are free." in str(OutOfMemory("A card", 1600, 0, 80_000_000_000))


@pytest.mark.parametrize("function", ["cuLaunchKernel", "cuModuleLoadData"])
def test_full_memory_of_something_else(api, function):
    """The driver needs some for the stacks of all threads, and for code."""
    gpu = nvidia.open_device()
    api.fails[function] = CUresult.CUDA_ERROR_OUT_OF_MEMORY
    assert message(lambda: gpu.launch(Node(gpu.load(DOUBLE, "k"), 1, 32, (0, 0)))) == (
        f"NVIDIA H100: {function} failed with CUDA_ERROR_OUT_OF_MEMORY. Take a smaller model, smaller batches, or less "
        "data in one call."
    )


def test_failures_name_the_function(api):
    gpu = nvidia.open_device()
    api.fails["cuStreamSynchronize"] = CUresult.CUDA_ERROR_LAUNCH_FAILED
    assert message(gpu.synchronize) == "NVIDIA H100: cuStreamSynchronize failed with CUDA_ERROR_LAUNCH_FAILED."
    for function in ("cuLinkAddData", "cuLinkComplete"):
        api.fails[function] = CUresult.CUDA_ERROR_INVALID_PTX
        assert message(gpu.load, DOUBLE, "k") == (
            f"NVIDIA H100: {function} failed with CUDA_ERROR_INVALID_PTX. It refuses a kernel's PTX: {fakes.REFUSED}"
        )
        del api.fails[function]
    assert api.count("cuLinkDestroy") == 2
    assert gpu.load(DOUBLE, "k")  # what failed is not stored


def test_bindings_that_are_newer_than_the_driver(api):
    gpu = nvidia.open_device()

    def missing(*arguments):
        raise RuntimeError("function cuGraphCreate_v2 is not found")

    api.cuGraphCreate = missing
    assert message(gpu.capture, []) == (
        "NVIDIA H100: function cuGraphCreate_v2 is not found in its driver of CUDA 12.4, which is older than "
        "cuda-bindings expects. Install a newer driver, or cuda-bindings of the driver's version."
    )


def test_no_bindings(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    said = message(nvidia.open_device)
    assert "needs NVIDIA's Python bindings" in said and said.endswith(": pip install 'fastnet[cuda]'.")


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_no_driver(monkeypatch, error):
    def cuInit(flags):
        raise error("libcuda.so.1 was not found.\nSearched in: ...")

    installed(monkeypatch, SimpleNamespace(cuInit=cuInit))
    assert message(nvidia.open_device) == (
        "device='cuda' needs NVIDIA's driver, which this machine lacks: libcuda.so.1 was not found. Train with "
        "device='cpu', or 'auto', which takes the GPU where there is one."
    )


def test_no_memory_pools(api):
    api.functions.pools = 0
    assert message(nvidia.open_device) == (
        "NVIDIA H100 has no memory pools, as some virtual GPUs, and fastnet allocates from one. Train with "
        "device='cpu', or on a GPU that is not shared this way."
    )


def test_no_gpu_is_visible(api, monkeypatch):
    api.fails["cuInit"] = CUresult.CUDA_ERROR_NO_DEVICE
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert message(nvidia.open_device) == "NVIDIA's driver shows no GPU to this process (CUDA_ERROR_NO_DEVICE)."
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert message(nvidia.open_device).endswith("(CUDA_ERROR_NO_DEVICE; CUDA_VISIBLE_DEVICES is '').")


def test_a_fork_of_a_process_that_used_the_gpu(monkeypatch):
    with current.used(object()) as gpu:
        assert current.driver() is gpu
        monkeypatch.setattr(current.os, "getpid", lambda: -1)
        said = message(current.driver)
        assert "forked" in said and "'spawn'" in said and not current.is_there()


# ---- levels


@pytest.mark.parametrize(
    "capability, version, level",
    [
        (75, 12000, "sm_75"),
        (86, 12000, "sm_80"),  # of the 3090
        (89, 12040, "sm_80"),
        (90, 12000, "sm_90"),
        (100, 12060, "sm_90"),  # PTX 8.5, and sm_100 needs 8.6
        (103, 12080, "sm_100"),
        (120, 12070, "sm_100"),
        (120, 13010, "sm_120"),
    ],
)
def test_levels(monkeypatch, capability, version, level):
    installed(monkeypatch, FakeDriver("a card", capability, version))
    gpu = nvidia.open_device()
    assert gpu.level == level and gpu.processors == 4 and gpu.name == "a card"


def test_cards_and_drivers_that_are_too_old(monkeypatch):
    installed(monkeypatch, FakeDriver("Tesla V100", 70, 12040))
    assert message(nvidia.open_device) == (
        "Tesla V100 has compute capability 7.0; fastnet's kernels need 7.5 or newer."
    )
    installed(monkeypatch, FakeDriver("Tesla T4", 75, 11080))
    assert message(nvidia.open_device) == (
        "Tesla T4: its driver has CUDA 11.8, and fastnet needs 12.0 or newer. Install a newer driver."
    )


# ---- the fake beside the real bindings


@pytest.fixture
def real():
    """The real bindings, on a machine without a driver: their functions convert arguments, then miss it."""
    bindings = pytest.importorskip("cuda.bindings.driver")
    try:
        bindings.cuInit(0)
    except (RuntimeError, OSError):
        return bindings
    pytest.skip("needs a machine without NVIDIA's driver, which would take these addresses for its own")


@pytest.mark.parametrize("name", fakes.NAMES)
def test_names_of_arguments(name):
    bindings = pytest.importorskip("cuda.bindings.driver")
    of_fake = inspect.signature(getattr(fakes.Functions, name)).parameters
    assert ["self", *inspect.signature(getattr(bindings, name)).parameters] == list(of_fake)


@pytest.mark.parametrize("kind", fakes.ENUMERATIONS, ids=lambda kind: kind.__name__)
def test_values_of_enumerations(kind):
    bindings = pytest.importorskip("cuda.bindings.driver")
    assert all(getattr(getattr(bindings, kind.__name__), member.name) == member.value for member in kind)


def translated(value, real):
    """A value as the real bindings have it."""
    kind = getattr(real, type(value).__name__, None)
    if isinstance(value, enum.Enum):
        return getattr(kind, value.name)
    if isinstance(value, fakes.STRUCTURES):
        parameters = kind()
        for name, each in vars(value).items():
            setattr(parameters, name, translated(each, real))
        return parameters
    if isinstance(value, list):
        return [translated(each, real) for each in value]
    return value if kind is None else kind(int(value))


def test_the_real_bindings_take_all_arguments(api, real):
    """Each call is refused because there is no driver, and not because of its arguments."""
    gpu = nvidia.open_device()
    doubled(gpu, np.ones(40, "float32"), gpu.launch)
    doubled(gpu, np.ones(40, "float32"), lambda node: gpu.replay(gpu.capture([node, node]), 1))
    gpu.times([])
    gpu.times([Node(gpu.load(DOUBLE, "k"), 1, 32, (0, 0))])
    copy = gpu.page_locked(16)
    gpu.upload_beside(gpu.allocate(16), copy)
    del copy
    api.fails["cuMemAllocFromPoolAsync"] = CUresult.CUDA_ERROR_OUT_OF_MEMORY
    message(gpu.allocate, 1)
    nvidia._name(api, CUresult.CUDA_ERROR_OUT_OF_MEMORY)
    assert {name for name, _ in api.calls} == set(fakes.NAMES)
    for name, arguments in api.calls:
        with pytest.raises((RuntimeError, OSError)) as error:
            getattr(real, name)(*[translated(each, real) for each in arguments])
        assert "driver" in str(error.value) or name in str(error.value), name


def test_the_real_bindings_pack_parameters_in_64_bits(real):
    numbers = (5, -7, 2**62 + 1)
    parameters = real.CUDA_KERNEL_NODE_PARAMS()
    parameters.kernelParams = nvidia._parameters(Node(None, 1, 1, numbers))
    addresses = ctypes.cast(int(parameters.kernelParams), ctypes.POINTER(ctypes.c_void_p))
    packed = [ctypes.c_int64.from_address(address).value for address in itertools.islice(addresses, len(numbers))]
    assert packed == list(numbers)


@pytest.mark.slow
def test_the_real_bindings_and_a_driver_in_c():
    """The tests of a GPU run with the real bindings, which call C functions: structures arrive as they are in C."""
    pytest.importorskip("cuda.bindings.driver")
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")
    cases = "captured_once or profile_by_launch or a_classifier or (shuffled and not early)"
    plugin = ["-p", "tests.nvidia_library", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugin, "-m", "gpu and not thorough", "-k", cases, "tests/test_gpu.py"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"\b5 passed", done.stdout), done.stdout[-3000:]
