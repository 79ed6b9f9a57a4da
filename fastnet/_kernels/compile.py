"""From the source of a kernel to its address.

numba types the generated module and lowers it to LLVM IR. Of this, the kernel's inner function remains, behind a plain
C signature. llvmlite compiles it to an object, which is stored. A later process loads the object with llvmlite only,
and does not import numba (measured: 0.07 s in all instead of 0.4-0.8 s).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastnet._kernels import cache
from fastnet._kernels.errors import quoted

LARGE_IR = 500_000  # characters: of a product, whose garbage in cycles of numba's objects takes 8 MB; 0.1 s to collect
SIGNATURES = {"kernel": 3, "epilogue": 6}  # name: integers behind the two pointers (`abi`)
lock = threading.RLock()
_loaded: dict[Source, int] = {}


if hasattr(os, "register_at_fork"):
    # A fork waits while another thread compiles a kernel: otherwise numba's lock would be locked in the child for ever.
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


class KernelError(RuntimeError):
    """A kernel could not be compiled; the message has its name and numba's message."""


@dataclass(frozen=True)
class Source:
    """A kernel's module, written when it must be compiled.

    Args:
        name: for files and errors.
        identity: decides the text, together with the contents of ``files``; the text itself if nothing shorter does.
        text: writes the module.
        files: files of this package whose contents decide the code; those of every kernel are added.
        signature: "kernel" or "epilogue".
    """

    name: str
    identity: str
    text: Callable[[], str] = field(compare=False)
    files: tuple[str, ...] = ()
    signature: str = "kernel"


def load(source: Source) -> int:
    """The address of a kernel's machine code: from this process, from the cache on disk, or compiled now.

    Raises:
        KernelError: numba refuses the source.
    """
    address = _loaded.get(source)
    if address is None:
        with lock:
            address = _loaded.get(source)
            if address is None:
                address = _loaded[source] = _load(source)
    return address


def key(source: Source) -> str:
    """The name of a kernel's machine code: a hash of all its inputs."""
    return named(source.name, (source.identity, source.signature, shared_sources()), source.files)


def named(name: str, parts: tuple[str, ...], files: tuple[str, ...]) -> str:
    """A file name by a hash of these parts, the contents of these files, the processor and the versions."""
    digest = hashlib.sha256()
    for part in (*parts, _environment(), *map(contents, files)):
        digest.update(part.encode())
        digest.update(b"\0")
    return f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}-{digest.hexdigest()[:32]}"


def _load(source: Source) -> int:
    name = key(source)

    def make() -> bytes:
        watchers.notify()
        return build(source, name)

    return _address(cache.load(name, make), _symbol(name))


class Watchers(threading.local):
    """Functions that a thread calls before it compiles a kernel, which takes a tenth of a second or more."""

    def __init__(self) -> None:
        self.functions: list[Callable[[], None]] = []

    def notify(self) -> None:
        """Call them."""
        for function in self.functions:
            function()


watchers = Watchers()


def _address(code: bytes, symbol: str) -> int:
    """The address of a function of an object."""
    import llvmlite.binding as llvm

    engine = _engine(os.getpid())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol)


def load_ir(text: str, symbol: str) -> int:
    """The address of a function of LLVM IR, compiled for this process and not stored."""
    import llvmlite.binding as llvm

    machine = target_machine()
    module = llvm.parse_assembly(text)
    builder = pass_builder(machine)
    builder.getModulePassManager().run(module, builder)
    return _address(machine.emit_object(module), symbol)


def build(source: Source, name: str) -> bytes:
    """Compile a kernel to an object file's bytes."""
    with quiet():
        ir = _optimised(source, name)
    return target_machine().emit_object(ir)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the thousands of lines a kernel that numba logs for its own developers, unless a level was set for it."""
    import logging  # here: 2 ms, for processes that compile

    logger = logging.getLogger("numba")
    if logger.level != logging.NOTSET or logger.getEffectiveLevel() >= logging.WARNING:
        yield
        return
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)


def assembly(source: Source) -> str:
    """The machine code of a kernel as text, for tests that look at its instructions."""
    return target_machine().emit_assembly(_optimised(source, key(source)))


def texts(source: Source) -> tuple[str, str]:
    """The optimised LLVM IR of a kernel, and its machine code as text."""
    module = _optimised(source, key(source))
    return str(module), target_machine().emit_assembly(module)


def _optimised(source: Source, name: str):
    import llvmlite.binding as llvm

    text, inner = numba_ir(source, name)
    if len(text) > LARGE_IR:
        gc.collect()
    types = ["ptr"] * 2 + ["i64"] * SIGNATURES[source.signature]
    arguments = ", ".join(f"{t} %a{i}" for i, t in enumerate(types))
    text += (
        f'\ndefine void @"{_symbol(name)}"({arguments}) {{\n  %r = alloca ptr\n  %e = alloca ptr\n'
        f'  %s = call i32 @"{inner}"(ptr %r, ptr %e, {arguments})\n  ret void\n}}\n'
    )
    module = llvm.parse_assembly(text)
    for function in module.functions:
        if not function.is_declaration and function.name != _symbol(name):
            function.linkage = "internal"
    builder = pass_builder(target_machine())
    inline_rules(builder).run(module, builder)
    builder.getModulePassManager().run(module, builder)
    return module


def pass_builder(machine):
    """LLVM's passes, at level 3."""
    import llvmlite.binding as llvm

    return llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))


def inline_rules(builder):
    """Passes that inline rules into their loops first. LLVM's own order simplifies a function before it is inlined, and
    dropout is then not vectorised (6.0 ns an element instead of 1.1)."""
    import llvmlite.binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    return passes


def numba_ir(source: Source, name: str, device: str = "cpu") -> tuple[str, str]:
    """LLVM IR of a module's entry for a device, and the entry's name in it."""
    from numba import types as kinds
    from numba.core.errors import NumbaError

    from fastnet._kernels import entry
    from fastnet._kernels.target import GLOBAL_SPACES, compiled, lowering, shared_rule

    text = source.text()
    path = cache.write_source(name, text)
    namespace: dict[str, Any] = {
        "__name__": f"fastnet_kernel_{name.replace('-', '_')}",
        "rule": functools.partial(shared_rule, device=device),
        "body": functools.partial(_body, device=device),
    }
    writer, integers = None, SIGNATURES[source.signature]
    types = (kinds.CPointer(kinds.int64),) * 2 + (kinds.int64,) * integers
    try:
        exec(compile(text, path, "exec"), namespace)
        kernel = namespace["kernel"]
        if entry.is_entry(kernel):
            writer = entry.Writer(getattr(kinds, namespace["T"].__name__), GLOBAL_SPACES[device])
            writer.record(kernel, integers)
            function, types = namespace["body"], tuple(value.kind for value in writer.arguments)
        else:
            function = compiled(kernel, device)
        with lowering(device):
            function.compile(types)
    except (NumbaError, SyntaxError, TypeError, NameError) as error:
        raise KernelError(
            f"The kernel {source.name!r} does not compile. Its generated source is {path}; docs/extending.md lists "
            "what rules and templates may use."
            f"\nnumba says: {error}"
        ) from error
    finally:  # rules that later kernels share refer to the namespace: all else in it is freed
        namespace.pop("kernel", None)
        namespace.pop("body", None)
    result = function.overloads[types]
    ir, called = result.library.get_llvm_str(), result.fndesc.llvm_func_name
    return (ir + writer.written(called, ir), entry.NAME) if writer else (ir, called)


def _body(function, device):
    """A loop whose pointers never overlap.

    numba has the flag, but no public option for it. Without it LLVM checks every pair of pointers for overlap at run
    time, and does not vectorise if this takes more than eight checks (five pointers).
    """
    from fastnet._kernels.target import compiled

    dispatcher = compiled(function, device)

    def without_overlap(flags):
        flags.noalias = True
        return flags

    dispatcher._compiler._customize_flags = without_overlap
    return dispatcher


def _symbol(name: str) -> str:
    return f"fastnet_{name.replace('-', '_')}"


def _features() -> str:
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


@lru_cache(maxsize=1)
def _environment() -> str:
    """Versions, processor and flags. The versions are read from numba's file: importing it would cost 0.3 s."""
    import llvmlite.binding

    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        raise KernelError("fastnet compiles its kernels with numba, which is not installed: pip install numba.")
    numba = Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8")
    triple = llvmlite.binding.get_default_triple()
    return " ".join(["1", numba, llvmlite.__version__, sys.version.split()[0], triple, cpu(), _features()])


@lru_cache(maxsize=1)
def shared_sources() -> str:
    """The contents of the files that decide every kernel."""
    folder = Path(__file__).parent
    names = (
        "abi.py", "chunks.py", "compile.py", "cpu/depthwise_intrinsics.py", "cpu/emit.py", "cpu/micro_kernel.py",
        "entry.py", "generate.py", "intrinsics.py", "kinds.py", "lane_intrinsics.py",
        "memory_intrinsics.py", "pasting.py", "rewriting.py", "syntax.py", "target.py", "template.py",
    )  # fmt: skip
    files = [folder / name for name in names]
    return "".join(contents(str(path)) for path in [*files, *sorted((folder / "rules").rglob("*.py"))])


@lru_cache(maxsize=64)
def contents(path: str) -> str:
    """The text of a file of this package."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):  # .pyc files alone; a zip file
        raise KernelError(
            f"fastnet names and generates its kernels from its source files, and {path} is missing. Install fastnet "
            "with its .py files; .pyc files alone or a zip file will not do."
        ) from None


@lru_cache(maxsize=1)
def target_machine():
    """The machine for which code is made. The small code model holds because `_engine` keeps an object's parts close to
    each other; with llvmlite's default for JIT code, the large one, MCJIT resolves position-independent calls wrongly.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return _new_machine()


def _new_machine():
    import llvmlite.binding as llvm

    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu(), features=_features(), opt=3, reloc="pic", codemodel="small")


@functools.cache
def _engine(process: int):
    """Holds the machine code of this process; that of its parents lies in theirs, and is still used."""
    import llvmlite.binding as llvm

    target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_machine(), use_lmm=True)  # owns its machine
