"""From the source of a kernel to PTX, the assembly language of NVIDIA's drivers.

numba's IR is the same as for the CPU, but for the address space of buffers. llvmlite's NVPTX target compiles it: no
toolkit and no GPU is needed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastnet._kernels import cache, machine_code
from fastnet._kernels import compile as compiler
from fastnet._kernels.compile import KernelError, Source
from fastnet._kernels.cuda import remainders
from fastnet._kernels.cuda.entry import DECLARATIONS, NAME, LaunchEntry, StepsEntry

TRIPLE = "nvptx64-nvidia-cuda"
INNER = "fastnet_inner"
#: level of an architecture → the oldest version of PTX that knows it; an older driver takes an older version
LEVELS = {"sm_75": "63", "sm_80": "70", "sm_90": "78", "sm_100": "86", "sm_120": "87"}
FLUSH = (
    '"denormal-fp-math-f32"="preserve-sign,preserve-sign"'  # subnormal float32 are 0, as where the CPU's runner runs
)


def load(sources: Sequence[Source], entry: LaunchEntry | StepsEntry, level: str) -> str:
    """The PTX of an entry, from the cache on disk or compiled now.

    Args:
        sources: of the inner functions that it calls.
        entry: how threads call them.
        level: of the architecture, one of `LEVELS`.

    Raises:
        KernelError: numba refuses a source, or llvmlite has no NVPTX target.
    """

    def make() -> bytes:
        compiler.watchers.notify()
        return text(sources, entry, level).encode()

    return cache.load(key(sources, entry, level), make, "ptx").decode()


def key(sources: Sequence[Source], entry: LaunchEntry | StepsEntry, level: str) -> str:
    """The name of an entry's PTX: a hash of all its inputs."""
    name = sources[0].name if len(sources) == 1 else "steps"
    parts = (*(source.identity for source in sources), repr(entry), level, compiler.shared_sources(), _own_sources())
    files = dict.fromkeys(file for source in sources for file in source.files)
    return compiler.named(name, parts, tuple(files))


def text(sources: Sequence[Source], entry: LaunchEntry | StepsEntry, level: str) -> str:
    """The PTX of an entry, compiled now."""
    import llvmlite.binding as llvm

    machine, names = target_machine(level), [f"inner{number}" for number in range(len(sources))]
    called = "".join(f"declare i32 @{name}(ptr, ptr, ptr, ptr, i64, i64, i64)\n" for name in names)
    module = llvm.parse_assembly(_targeted(called + DECLARATIONS + entry.written(names), level))
    inner = [cache.load(_inner_key(source), functools.partial(_inner, source), "ll").decode() for source in sources]
    for ir, name in zip(inner, names, strict=True):
        module.link_in(llvm.parse_assembly(_targeted(ir.replace(f"@{INNER}(", f"@{name}("), level)))
    _hide(module, NAME)
    builder = machine_code.pass_builder(machine)
    machine_code.inline_rules().run(module, builder)
    builder.getModulePassManager().run(module, builder)
    if missing := _missing(module):
        of = [s.name for s, ir in zip(sources, inner, strict=True) if any(f"@{name}(" in ir for name in missing)]
        raise KernelError(
            f"The kernel {' or '.join(of)} cannot run on a GPU: it calls {', '.join(sorted(missing))}, which only a "
            "CPU has. Write it with other functions, or train with device='cpu'."
        )
    return machine.emit_assembly(module)


def _inner_key(source: Source) -> str:
    """The name of an inner function's IR."""
    return compiler.named(
        source.name, (source.identity, "cuda", compiler.shared_sources(), _own_sources()), source.files
    )


def _inner(source: Source) -> bytes:
    """The IR of an inner function, with its rules inlined. Entries share it: numba takes ten times as long as LLVM."""
    import llvmlite.binding as llvm

    with compiler.quiet():
        ir, inner = compiler.numba_ir(source, _inner_key(source), "cuda")
    module = llvm.parse_assembly(remainders.with_calls(ir.replace(f'"{inner}"', INNER).replace(inner, INNER)))
    if _missing(module) & remainders.NAMES:
        module.link_in(llvm.parse_assembly(remainders.text()))
    _hide(module, INNER)
    builder = machine_code.pass_builder(machine_code.target_machine())
    machine_code.inline_rules().run(module, builder)
    return str(module).encode()


def _targeted(ir: str, level: str) -> str:
    """The same functions for a level, in which subnormal numbers are 0."""
    ir = re.sub(r"^target (datalayout|triple) = .*$", "", ir, flags=re.M)
    ir = re.sub(r"^(define .*) \{$", rf"\1 {FLUSH} {{", ir, flags=re.M)
    return f'target datalayout = "{target_machine(level).target_data}"\ntarget triple = "{TRIPLE}"\n{ir}'


def _missing(module: Any) -> set[str]:
    """The functions that a module calls and does not have."""
    return {one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")}


def _hide(module: Any, shown: str) -> None:
    """Let nothing but a function be seen outside of a module: what nobody calls is dropped."""
    for one in [*module.functions, *module.global_variables]:
        if not one.is_declaration and one.name != shown:
            one.linkage = "internal"


@functools.cache
def target_machine(level: str) -> Any:
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
