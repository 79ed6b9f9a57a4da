"""From LLVM IR to machine code in this process, by llvmlite."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading

from fastnet._kernels.errors import quoted

_of_thread = threading.local()


def features() -> str:
    """LLVM's names of what the processor has; none where ``FASTNET_TARGET`` names one."""
    import llvmlite.binding as llvm

    return "" if os.environ.get("FASTNET_TARGET") else llvm.get_host_cpu_features().flatten()


def cpu() -> str:
    """The processor for which kernels are compiled: ``FASTNET_TARGET``, else this machine's."""
    import llvmlite.binding as llvm

    name = os.environ.get("FASTNET_TARGET")
    return _checked_processor(name) if name else llvm.get_host_cpu_name()


@functools.cache
def _checked_processor(name: str) -> str:
    """A processor's name that LLVM knows. It says so only on standard error, of another process here, and with an
    unknown one compiles for another machine, or ends the process.

    Raises:
        ValueError: LLVM does not know it.
    """
    import subprocess  # here: 3 ms, for processes that compile for another machine

    text = (
        "import sys, llvmlite.binding as llvm; llvm.initialize_native_target(); "
        "llvm.Target.from_default_triple().create_target_machine(cpu=sys.argv[1])"
    )
    found = subprocess.run([sys.executable, "-c", text, name], capture_output=True, text=True, check=False)
    if "not a recognized processor" in found.stderr:
        raise ValueError(
            f"FASTNET_TARGET is {quoted(name)}, which names no processor that LLVM knows: write a name such as "
            "x86-64-v3, haswell, znver3 or skylake-avx512."
        )
    return name


def target_machine():
    """The machine for which this thread makes code. The small code model holds because `_engine` keeps an object's
    parts close to each other; with llvmlite's default for JIT code, the large one, MCJIT resolves position-independent
    calls wrongly.
    """
    if not hasattr(_of_thread, "machine"):
        _of_thread.machine = _new_machine()
    return _of_thread.machine


def _new_machine():
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu(), features=features(), opt=3, reloc="pic", codemodel="small")


def pass_builder(machine):
    """LLVM's passes, at level 3."""
    import llvmlite.binding as llvm

    return llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))


def inline_rules():
    """Passes that inline rules into their loops first. LLVM's own order simplifies a function before it is inlined, and
    dropout is then not vectorised (6.0 ns an element instead of 1.1)."""
    import llvmlite.binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    return passes


def optimised(text: str, symbol: str):
    """A module of LLVM IR after LLVM's passes, in which only the function ``symbol`` is visible from outside.

    The module has a context of its own. llvmlite locks each call of LLVM, since by default all modules share one
    (https://github.com/numba/llvmlite/pull/318); here other threads may call LLVM while the passes run.
    """
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text, llvm.create_context())
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    builder = pass_builder(target_machine())
    run = _without_lock("LLVMPY_RunNewModulePassManager")
    run(inline_rules(), module, builder)
    run(builder.getModulePassManager(), module, builder)
    return module


def object_code(text: str, symbol: str) -> bytes:
    """An object file of LLVM IR, with one visible function. Other threads may call LLVM meanwhile."""
    from llvmlite.binding import ffi

    module = optimised(text, symbol)
    with ffi.OutputString() as error:
        memory = _without_lock("LLVMPY_TargetMachineEmitToMemory")(target_machine(), module, True, error)
        if not memory:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


def _without_lock(name: str):
    """A function of llvmlite's library, without the lock; with it, if llvmlite changes and keeps it elsewhere."""
    from llvmlite.binding import ffi

    function = getattr(ffi.lib, name)
    return getattr(function, "_cfn", function)


def load_ir(text: str, symbol: str) -> int:
    """The address of a function of LLVM IR, compiled for this process and not stored."""
    import llvmlite.binding as llvm

    machine = target_machine()
    module = llvm.parse_assembly(text)
    builder = pass_builder(machine)
    builder.getModulePassManager().run(module, builder)
    return address(machine.emit_object(module), symbol)


def address(code: bytes, symbol: str) -> int:
    """The address of a function of an object."""
    import llvmlite.binding as llvm

    engine = _engine(os.getpid())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol)


@functools.cache
def _engine(process: int):
    """Holds the machine code of this process; that of its parents lies in theirs, and is still used."""
    import llvmlite.binding as llvm

    machine = _new_machine()  # which the engine owns
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
