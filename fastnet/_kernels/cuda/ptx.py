"""From the source of a kernel to PTX, the assembly language of NVIDIA's drivers.

numba's IR is the same as for the CPU, but for the address space of buffers. llvmlite's NVPTX target compiles it: no
toolkit and no GPU is needed.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from fastnet._kernels import cache
from fastnet._kernels import compile as compiler
from fastnet._kernels.compile import KernelError, Source
from fastnet._kernels.cuda.entry import Entry

TRIPLE = "nvptx64-nvidia-cuda"
#: level of an architecture → the oldest version of PTX that knows it; an older driver takes an older version
LEVELS = {"sm_75": "63", "sm_80": "70", "sm_90": "78", "sm_100": "86", "sm_120": "87"}
FLUSH = (
    '"denormal-fp-math-f32"="preserve-sign,preserve-sign"'  # subnormal float32 are 0, as while the CPU's runner runs
)


def load(source: Source, entry: Entry, level: str) -> str:
    """The PTX of a kernel with an entry, from the cache on disk or compiled now.

    Args:
        source: of the inner function.
        entry: how threads call it.
        level: of the architecture, one of `LEVELS`.

    Raises:
        KernelError: numba refuses the source, or llvmlite has no NVPTX target.
    """
    name = key(source, entry, level)

    def make() -> bytes:
        compiler.watchers.notify()
        return text(source, entry, level).encode()

    return cache.load(name, make, "ptx").decode()


def key(source: Source, entry: Entry, level: str) -> str:
    """The name of a kernel's PTX: a hash of all its inputs."""
    parts = (source.identity, entry.identity, level, compiler.shared_sources(), _own_sources())
    return compiler.named(source.name, parts, source.files)


def text(source: Source, entry: Entry, level: str) -> str:
    """The PTX of a kernel, compiled now."""
    with compiler.quiet():
        ir, inner = compiler.numba_ir(source, key(source, entry, level), "cuda")
        module = _module(ir + entry.written(inner, ir), level)
    for function in module.functions:
        if not function.is_declaration and function.name != entry.name:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    builder = compiler.pass_builder(machine(level))
    compiler.inline_rules(builder).run(module, builder)
    builder.getModulePassManager().run(module, builder)
    return machine(level).emit_assembly(module)


def _module(ir: str, level: str) -> Any:
    import llvmlite.binding as llvm

    ir = re.sub(r'target datalayout = "[^"]*"', f'target datalayout = "{machine(level).target_data}"', ir)
    ir = re.sub(r'target triple = "[^"]*"', f'target triple = "{TRIPLE}"', ir)
    ir = re.sub(r"^(define .*) \{$", rf"\1 {FLUSH} {{", ir, flags=re.M)
    return llvm.parse_assembly(ir)


@functools.cache
def machine(level: str) -> Any:
    """llvmlite's machine of a level.

    Raises:
        KernelError: llvmlite was built without NVPTX.
        ValueError: the level is unknown.
    """
    import llvmlite.binding as llvm

    if level not in LEVELS:
        raise ValueError(f"There is no level {level!r} of NVIDIA's architecture; there are {', '.join(LEVELS)}.")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(TRIPLE)
    except RuntimeError:
        raise KernelError(
            f"This llvmlite ({llvm.__file__}) was built without LLVM's NVPTX target, which device='cuda' needs: "
            "pip install llvmlite gives one that has it."
        ) from None
    return target.create_target_machine(cpu=level, features=f"+ptx{LEVELS[level]}", opt=3)


@functools.cache
def _own_sources() -> str:
    """The contents of this folder's files, which decide every kernel."""
    return "".join(compiler.contents(str(path)) for path in sorted(Path(__file__).parent.glob("*.py")))
