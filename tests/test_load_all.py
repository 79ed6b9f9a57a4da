"""Kernels that are compiled side by side: what comes of it, and what does not when something fails."""

import ctypes
import os
import subprocess
import sys
import threading

import pytest

from fastnet._kernels import cache, machine_code
from fastnet._kernels import compile as compiler

KERNEL = """
def kernel(bases, args, rows, lo, hi):
    for i in range(lo, hi):
        args[i] = {value} + args[i] * i
"""
REFUSED = """
def kernel(bases, args, rows, lo, hi):
    args[0] = "text"
"""


def sources(*values):
    return [compiler.Source(f"one_{value}", str(value), lambda v=value: KERNEL.format(value=v)) for value in values]


@pytest.fixture
def cold(tmp_path, monkeypatch):
    """No kernel is known; the names of those that numba lowers, and the threads in which LLVM runs."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiler, "_loaded", {})
    names, threads = [], set()

    def lowered(source, name, lowered=compiler.lowered):
        names.append(source.name)
        return lowered(source, name)

    def object_code(*arguments, object_code=machine_code.object_code):
        threads.add(threading.get_ident())
        return object_code(*arguments)

    monkeypatch.setattr(compiler, "lowered", lowered)
    monkeypatch.setattr(machine_code, "object_code", object_code)
    return names, threads


def results(kernels):
    for source in kernels:
        numbers = (ctypes.c_int64 * 3)(5, 6, 7)
        pointers, integers = [ctypes.c_void_p] * 2, [ctypes.c_int64] * 3
        ctypes.CFUNCTYPE(None, *pointers, *integers)(compiler.load(source))(None, numbers, 0, 1, 3)
        yield list(numbers)


def test_kernels_are_those_that_are_compiled_one_by_one(cold):
    names, threads = cold
    kernels = sources(1, 2, 3, 4, 5)
    compiler.load_all([*kernels, kernels[0]], threads=3)
    assert names == [source.name for source in kernels]
    assert threading.get_ident() not in threads and 1 <= len(threads) <= 3
    assert list(results(kernels)) == [[5, n + 6, n + 14] for n in (1, 2, 3, 4, 5)]
    assert len(names) == 5  # none was compiled again
    assert None not in map(cache.read, map(compiler.key, kernels))


def test_stored_kernels_are_loaded(cold, monkeypatch):
    names, _ = cold
    compiler.load_all(sources(1, 2), threads=2)
    monkeypatch.setattr(compiler, "_loaded", {})
    compiler.load_all(sources(1, 2), threads=2)
    assert len(names) == 2 and set(compiler._loaded) == set(sources(1, 2))


@pytest.mark.parametrize(("values", "threads"), [((1,), 2), ((1, 2), 1), ((), 2)])
def test_nothing_is_compiled_beforehand_where_nothing_runs_side_by_side(cold, values, threads):
    compiler.load_all(sources(*values), threads)
    assert cold[0] == []


def test_a_refused_kernel_leaves_no_thread_behind_and_what_was_compiled(cold):
    before = threading.active_count()
    refused = compiler.Source("refused", "refused", lambda: REFUSED)
    with pytest.raises(compiler.KernelError, match="'refused' does not compile"):
        compiler.load_all([*sources(1, 2), refused, *sources(3)], threads=2)
    assert threading.active_count() == before
    assert [cache.read(compiler.key(source)) is None for source in sources(1, 2, 3)] == [False, False, True]
    assert list(results(sources(1, 2, 3))) == [[5, n + 6, n + 14] for n in (1, 2, 3)]


@pytest.mark.parametrize("allowed", [0, 1])
def test_threads_that_cannot_be_started_are_done_without(cold, monkeypatch, allowed):
    started = []

    def start(thread, start=threading.Thread.start):
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    compiler.load_all(sources(1, 2, 3), threads=2)
    assert len(cold[0]) == 3 * allowed
    assert list(results(sources(1, 2, 3))) == [[5, n + 6, n + 14] for n in (1, 2, 3)]


def test_an_interrupt_waits_for_none_of_the_others(cold, monkeypatch):
    may_go_on = threading.Event()

    def object_code(*arguments, object_code=machine_code.object_code):
        may_go_on.wait(60)
        return object_code(*arguments)

    def text():
        threading.Timer(0.1, may_go_on.set).start()  # the first kernels are in LLVM's hands
        raise KeyboardInterrupt

    monkeypatch.setattr(machine_code, "object_code", object_code)
    with pytest.raises(KeyboardInterrupt):
        compiler.load_all([*sources(1, 2, 3, 4, 5), compiler.Source("last", "last", text)], threads=2)
    stored = [cache.read(compiler.key(source)) is not None for source in sources(1, 2, 3, 4, 5)]
    assert stored == [True, True, False, False, False]
    assert list(results(sources(1, 3))) == [[5, 7, 15], [5, 9, 17]]


def test_another_processes_kernel_is_left_to_it(cold, monkeypatch):
    other = compiler.key(sources(2)[0])
    locked = cache._locked
    monkeypatch.setattr(cache, "_locked", lambda handle, name: name != other and locked(handle, name))
    compiler.load_all(sources(1, 2, 3), threads=2)
    assert cold[0] == ["one_1", "one_3"]


@pytest.mark.parametrize("name", ["LLVMPY_RunNewModulePassManager", "LLVMPY_TargetMachineEmitToMemory"])
def test_llvm_runs_without_llvmlites_lock(name):
    """If this fails, llvmlite has changed, and kernels are compiled one by one."""
    from llvmlite.binding import ffi

    assert isinstance(machine_code._without_lock(name), type(ffi.lib._lib_handle.LLVMPY_GetVersionInfo))


IN_A_THREAD = """
import threading, time
import numpy as np, fastnet
from fastnet import layers

def predict():
    threading.main_thread().join()
    model = fastnet.Sequential([layers.Input((3,)), layers.ReLU(), layers.Softmax()], name="behind_the_main_thread")
    print(model.predict(np.ones((2, 3)), verbose=0).sum().round(5))

fastnet.set_num_threads(2)
threading.Thread(target=predict).start()
"""


def test_kernels_are_compiled_after_the_main_thread_has_ended(tmp_path):
    environment = {**os.environ, "FASTNET_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", IN_A_THREAD], capture_output=True, text=True, env=environment)
    assert (run.stdout, run.stderr) == ("2.0\n", "")
