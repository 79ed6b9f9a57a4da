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
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastnet._kernels import cache, machine_code

LARGE_IR = 500_000  # characters: of a product, whose garbage in cycles of numba's objects takes 8 MB; 0.1 s to collect
SIGNATURES = {"kernel": 3, "epilogue": 6}  # name: integers behind the two pointers (`abi`)
lock = threading.RLock()
_loaded: dict[Source, int] = {}


def _hold_forks() -> None:
    """Let a fork wait while another thread compiles: otherwise numba's lock would be locked in the child for ever."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


_hold_forks()


@functools.cache
def _hold_forks_of_loggers() -> None:
    """Let a fork take `lock` before the lock of `logging`, which numba takes while it compiles: the hook of a module
    that is imported later runs earlier."""
    import logging  # noqa: F401 - here: 2 ms, for processes that compile

    _hold_forks()


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


def load_all(sources: Iterable[Source], threads: int) -> None:
    """Load what `load` will be asked for; compile kernels that are missing side by side.

    numba lowers one while LLVM, which needs no interpreter and takes as long, compiles those before it in threads. A
    kernel that another process compiles, and a single one, are left to `load`. Other threads that need a kernel, and
    forks, wait until all are compiled.

    Args:
        sources: those that take longest first.
        threads: at most.

    Raises:
        KernelError: numba refuses a source.
    """
    with lock:
        missing = {key(source): source for source in dict.fromkeys(sources) if source not in _loaded}
        missing = {name: source for name, source in missing.items() if not _load_stored(source, name)}
        if threads > 1 and len(missing) > 1:
            with cache.claimed(missing) as names:
                _load_side_by_side({name: missing[name] for name in names}, threads)


def _load_side_by_side(missing: dict[str, Source], threads: int) -> None:
    waiting: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
    made: dict[str, bytes] = {}

    def work() -> None:
        while (job := waiting.get()) is not None:
            name, text = job
            made[name] = machine_code.object_code(text, symbol(name))
            cache.write(name, made[name])

    # Threads of our own: those of concurrent.futures cannot be started after the main thread has ended.
    team = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(missing)))]
    try:
        for thread in team:
            thread.start()
    except RuntimeError:  # no more threads: a limit, or Python 3.12's end. Those that run do it; without any, `load`
        team = [thread for thread in team if thread.ident is not None]
    try:
        for name, source in missing.items() if team else ():
            if not _load_stored(source, name):  # another process may have stored it meanwhile
                watchers.notify()
                waiting.put((name, lowered(source, name)))
    except KeyboardInterrupt:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        raise
    finally:  # what numba has lowered is stored also if the next kernel is refused
        for _ in team:
            waiting.put(None)
        for thread in team:
            thread.join()
    for name, code in made.items():
        _loaded[missing[name]] = machine_code.address(code, symbol(name))


def _load_stored(source: Source, name: str) -> bool:
    """Load a kernel from the cache on disk, if it is there."""
    code = cache.read(name)
    if code is not None:
        _loaded[source] = machine_code.address(code, symbol(name))
    return code is not None


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

    return machine_code.address(cache.load(name, make), symbol(name))


class Watchers(threading.local):
    """Functions that a thread calls before it compiles a kernel, which takes a tenth of a second or more."""

    def __init__(self) -> None:
        self.functions: list[Callable[[], None]] = []

    def notify(self) -> None:
        """Call them."""
        for function in self.functions:
            function()


watchers = Watchers()


def build(source: Source, name: str) -> bytes:
    """Compile a kernel to an object file's bytes."""
    return machine_code.object_code(lowered(source, name), symbol(name))


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
    return texts(source)[1]


def texts(source: Source) -> tuple[str, str]:
    """The optimised LLVM IR of a kernel, and its machine code as text."""
    name = key(source)
    module = machine_code.optimised(lowered(source, name), symbol(name))
    return str(module), machine_code.target_machine().emit_assembly(module)


def lowered(source: Source, name: str) -> str:
    """A kernel's LLVM IR, by numba, with a function of a plain C signature."""
    _hold_forks_of_loggers()
    with quiet():
        text, inner = numba_ir(source, name)
    if len(text) > LARGE_IR:
        gc.collect()
    types = ["ptr"] * 2 + ["i64"] * SIGNATURES[source.signature]
    arguments = ", ".join(f"{t} %a{i}" for i, t in enumerate(types))
    return text + (
        f'\ndefine void @"{symbol(name)}"({arguments}) {{\n  %r = alloca ptr\n  %e = alloca ptr\n'
        f'  %s = call i32 @"{inner}"(ptr %r, ptr %e, {arguments})\n  ret void\n}}\n'
    )


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


def symbol(name: str) -> str:
    """The name of a kernel's function in its object."""
    return f"fastnet_{name.replace('-', '_')}"


@lru_cache(maxsize=1)
def _environment() -> str:
    """Versions, processor and flags. The versions are read from numba's file: importing it would cost 0.3 s."""
    import llvmlite.binding

    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        raise KernelError("fastnet compiles its kernels with numba, which is not installed: pip install numba.")
    numba = Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8")
    triple = llvmlite.binding.get_default_triple()
    return " ".join(
        ["1", numba, llvmlite.__version__, sys.version.split()[0], triple, machine_code.cpu(), machine_code.features()]
    )


@lru_cache(maxsize=1)
def shared_sources() -> str:
    """The contents of the files that decide every kernel."""
    folder = Path(__file__).parent
    names = (
        "abi.py", "chunks.py", "compile.py", "cpu/column_intrinsics.py", "cpu/depthwise_intrinsics.py", "cpu/emit.py",
        "cpu/micro_kernel.py", "cpu/stream_intrinsics.py", "entry.py", "generate.py", "intrinsics.py", "kinds.py",
        "lane_intrinsics.py",
        "machine_code.py", "memory_intrinsics.py", "pasting.py", "rewriting.py", "syntax.py", "target.py",
        "template.py",
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
