"""Targets of numba that end at LLVM IR, without optimisation: fastnet optimises a whole kernel, once (`compile`).

numba's own target optimises each function, then again with all functions that it calls, and makes machine code of all
of them; a kernel does not run any of this code.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

from numba.core import codegen, compiler, compiler_machinery, target_extension, typed_passes, untyped_passes
from numba.core.cpu import CPUContext
from numba.core.registry import CPUDispatcher, CPUTarget

INLINING = (untyped_passes.InlineClosureLikes, untyped_passes.InlineInlinables, typed_passes.InlineOverloads)
GARBAGE = 4000  # instructions after which they are collected: 8 MB
# No fastmath at all: with "contract" LLVM fuses a product and a sum in a vector loop, but not always in its tail. Bits
# would then depend on how threads divide a loop. Where fusing pays, rules say fma(a, b, c).
OPTIONS = {
    "nopython": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "debug": False,  # whatever NUMBA_DEBUGINFO says: the cache does not tell
}


class Library(codegen.JITCodeLibrary):
    """IR of a function and of those it calls."""

    written = 0  # instructions since the last collection of garbage

    def add_ir_module(self, ir_module: Any) -> None:
        """Takes the IR of a function, after freeing that of earlier ones: instructions are Python objects of 2 KB in
        reference cycles, which Python's own collections free too late (a first fit then takes 206 MB)."""
        if Library.written > GARBAGE:
            Library.written = 0
            gc.collect()
        Library.written += sum(len(block.instructions) for f in ir_module.functions for block in f.blocks)
        super().add_ir_module(ir_module)

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Do nothing: `compile` does this."""

    def _finalize_specific(self) -> None:
        """Do nothing: machine code is not needed."""


class Codegen(codegen.JITCPUCodegen):
    """Makes libraries that are never run."""

    _library_class = Library

    def _add_module(self, module: Any) -> None:
        """Do nothing: the module will not run."""

    def set_env(self, env_name: str, env: Any) -> None:
        """Do nothing: there is no code."""


class Context(CPUContext):
    """Lowers as numba's own context does.

    Attributes:
        global_space: LLVM's number of the address space in which buffers lie.
    """

    global_space = 0

    def init(self) -> None:
        super().init()
        self._internal_codegen = Codegen("fastnet")

    def load_additional_registries(self) -> None:
        """Loads what scalar loops call. numba's own arrays, lists, strings, random numbers and linear algebra (which
        imports scipy) would take 16 MB, and 6 % of a first fit's time."""
        from numba.core import optional  # noqa: F401
        from numba.cpython import builtins, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401

        self.install_registry(mathimpl.registry)

    def post_lowering(self, mod: Any, library: Any) -> None:
        """Do nothing: numba's own context links its runtime, for code that allocates."""


class CUDAContext(Context):
    """The same for NVIDIA GPUs, where a pointer of the global space is read without asking what it points to."""

    global_space = 1


class Pipeline(compiler.CompilerBase):
    """numba's passes without those that inline closures and overloads: they import its arrays and strings (5 MB)."""

    def define_pipelines(self) -> list[compiler_machinery.PassManager]:
        passes = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [(one, why) for one, why in passes.passes if one not in INLINING]
        passes.finalize()
        return [passes]


def _dispatcher(device: str, context: type[Context]) -> type[CPUDispatcher]:
    """The class of functions compiled for a device, which numba knows as a target of its own."""
    name = f"fastnet_{device}"

    class Descriptor(CPUTarget):
        @functools.cached_property
        def _toplevel_target_context(self) -> Context:
            return context(self.typing_context, self._target_name)

    class Dispatcher(CPUDispatcher):
        targetdescr = Descriptor(name)

    class Target(target_extension.CPU):
        """Use everything that numba has for processors."""

    def overload(**options: Any) -> Any:
        """The decorator numba takes for functions it writes itself, such as `min`."""
        return functools.partial(compiled, device=device, **options)

    target_extension.target_registry[name] = Target
    target_extension.dispatcher_registry[Target] = Dispatcher
    target_extension.jit_registry[Target] = overload
    return Dispatcher


def compiled(function: Any, device: str = "cpu", **options: Any) -> CPUDispatcher:
    """A function for a device."""
    return DISPATCHERS[device](function, locals={}, targetoptions={**OPTIONS, **options}, pipeline_class=Pipeline)


def lowering(device: str) -> Any:
    """A context in which numba compiles for a device."""
    return target_extension.target_override(f"fastnet_{device}")


DISPATCHERS = {"cpu": _dispatcher("cpu", Context), "cuda": _dispatcher("cuda", CUDAContext)}
