"""The kernel cache: machine code on disk. A file's name is a hash of all inputs of the compilation.

The folder holds code that will be executed. It is therefore read only if it belongs to this user or to root, and nobody
else may write to it. Where it cannot be written, what it lacks is compiled in memory.
A file is written under another name and then renamed: readers see all of it or nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import linecache
import os
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = "lock"  # its bytes are locked, one for each kernel; it was changed when the folder was last pruned
PATIENCE = 60.0  # seconds to wait for another process that compiles a kernel; it may have been stopped
DAY = 86_400.0  # seconds
MAX_AGE = 90 * DAY  # since a file was last used
MAX_BYTES = 128 << 20  # of all files; with its source a kernel takes about 8 KB, a matrix product about 100
_MAGIC = b"fastnet kernel 1\n"
_SUFFIXES = (".o", ".ll", ".ptx", ".cubin", ".json", ".py", ".tmp")


@dataclass(frozen=True)
class Folder:
    """The folder of kernels.

    Args:
        path: where it is, or should be.
        is_read: whether its files may be executed.
        remark: why no files are added; empty if they are.
    """

    path: Path
    is_read: bool
    remark: str


def user_folder() -> Path:
    """The user's cache folder for fastnet: ``FASTNET_CACHE_DIR``, else the platform's.

    Raises:
        RuntimeError: the user has no home folder.
    """
    chosen = os.environ.get("FASTNET_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs  # here: 2 ms that a process with FASTNET_CACHE_DIR does not need

    folder = platformdirs.user_cache_path("fastnet", appauthor=False, opinion=False)
    if not folder.is_absolute():
        raise RuntimeError("the user has no home folder")
    return folder


def folder() -> Folder:
    """The folder of kernels in `user_folder`; it is made if it does not exist."""
    return _folder(os.environ.get("FASTNET_CACHE_DIR"), os.getpid())


@lru_cache(maxsize=8)
def _folder(chosen: str | None, process: int) -> Folder:
    path = Path("the user's cache folder")
    try:
        path = user_folder().absolute() / "kernels"  # valid after the process changes its directory
        # Readable to others, as the umask allows: a folder that is filled by root serves all users of an image.
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not _is_trusted(path.stat()):
            return Folder(path, False, "another user owns it or may write to it")
        writable = os.access(path, os.W_OK | os.X_OK)
        return Folder(path, True, "" if writable else "it is not writable")
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        return Folder(path, False, getattr(error, "strerror", None) or str(error))


def _is_trusted(info: os.stat_result) -> bool:
    """Whether only this user and root can have written it."""
    if not hasattr(os, "getuid"):
        return True  # Windows: the folders of a profile belong to its user
    return info.st_uid in (0, os.getuid()) and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def load(
    name: str, make: Callable[[], bytes], suffix: str = "o", is_valid: Callable[[bytes], bool] = lambda data: True
) -> bytes:
    """The contents stored under ``name``; if they are missing, damaged or not valid, ``make`` makes them.

    Of several processes that need them at once, one makes them, and the others wait.
    """
    data = read(name, suffix)
    if data is None or not is_valid(data):
        with _exclusive(name):
            data = read(name, suffix)
            if data is None or not is_valid(data):
                data = make()
                write(name, data, suffix)
    return data


def read(name: str, suffix: str = "o") -> bytes | None:
    """The contents stored under ``name``, by default machine code; None if they are missing or damaged."""
    here = folder()
    if not here.is_read:
        return None
    path = here.path / f"{name}.{suffix}"
    try:
        with open(path, "rb") as file:
            info = os.fstat(file.fileno())
            data = file.read() if _is_trusted(info) else b""
        if not here.remark and time.time() - info.st_mtime > DAY:
            with contextlib.suppress(OSError):  # one of root's
                os.utime(path)  # used
    except OSError:
        return None
    start = len(_MAGIC) + 32
    if not data.startswith(_MAGIC) or hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        return None
    return data[start:]


def write(name: str, data: bytes, suffix: str = "o") -> None:
    """Store data under ``name``, completely or not at all; a later process makes them again if that fails."""
    here = folder()
    if here.remark:
        _warn(here)
        return
    _replace(here.path / f"{name}.{suffix}", _MAGIC + hashlib.sha256(data).digest() + data)
    _prune_daily(here.path)


def write_source(name: str, text: str) -> str:
    """Store a generated module, from which tracebacks and debuggers read its lines: its file, or a name in memory."""
    here = folder()
    if here.remark:
        filename = f"<fastnet {name}>"
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        return filename
    path = here.path / f"{name}.py"
    _replace(path, text.encode())
    return str(path)


@lru_cache(maxsize=8)
def _warn(here: Folder) -> None:
    """Warn once that kernels are not stored."""
    warnings.warn(
        f"fastnet cannot keep its kernels in {here.path} ({here.remark}); this process compiles those that are missing "
        "for itself. Set FASTNET_CACHE_DIR to a folder of yours, or fill the folder beforehand with `fastnet warmup`.",
        RuntimeWarning,
        stacklevel=2,
    )


def _replace(path: Path, data: bytes) -> None:
    """Write a file by renaming a temporary one; if that fails (a full disk, a removed folder), leave nothing behind."""
    temporary = path.with_name(f"{path.name}-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:  # On Windows also where another process has the file open: it wrote the same bytes
        with contextlib.suppress(OSError):
            temporary.unlink()


# ---- one process at a time


@contextlib.contextmanager
def _exclusive(name: str) -> Iterator[None]:
    """Let one process at a time make what ``name`` stores."""
    with _lock_file() as handle:
        until = time.monotonic() + PATIENCE
        while not _locked(handle, name) and time.monotonic() < until:
            time.sleep(0.02)
        yield


@contextlib.contextmanager
def claimed(names: Iterable[str]) -> Iterator[list[str]]:
    """Those of these names whose contents no other process is making; others wait until this one has made them."""
    with _lock_file() as handle:
        yield [name for name in names if _locked(handle, name)]


@contextlib.contextmanager
def _lock_file() -> Iterator[int | None]:
    """The open file of locks, or None. The system frees them when the process dies, and all of them when it closes the
    file anywhere: another thread that makes something may free them early, and two processes then make the same."""
    here, handle = folder(), None
    with contextlib.suppress(OSError):  # a folder that was removed, a full disk: nobody waits
        if not here.remark:
            handle = os.open(here.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _locked(handle: int | None, name: str) -> bool:
    """Lock a name's byte; False while another process holds it. It is granted where no file can be locked."""
    if handle is None:
        return True
    position = int(hashlib.sha256(name.encode()).hexdigest()[:7], 16)
    try:
        if sys.platform == "win32":
            os.lseek(handle, position, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True


# ---- old kernels


def stored() -> list[tuple[Path, os.stat_result]]:
    """The files in the folder of kernels, those used last first."""
    found = []
    with contextlib.suppress(OSError):  # no folder
        for path in folder().path.iterdir():
            with contextlib.suppress(OSError):  # another process has removed it
                if path.suffix in _SUFFIXES:
                    found.append((path, path.stat()))
    return sorted(found, key=lambda file: -file[1].st_mtime)


def clear() -> int:
    """Remove all files from the folder of kernels; their number.

    Raises:
        OSError: the folder is not this user's, or a file cannot be removed.
    """
    here, files = folder(), stored()
    if here.remark:
        raise OSError(f"{here.path} cannot be cleared: {here.remark}.")
    for path, _ in files:
        path.unlink(missing_ok=True)
    return len(files)


def _prune_daily(path: Path) -> None:
    """Once a day, remove files that were not used for long, and the oldest ones of too many."""
    now = time.time()
    with contextlib.suppress(OSError):  # no lock file, or another process has removed a file
        if now - (path / LOCK).stat().st_mtime < DAY:
            return
        os.utime(path / LOCK)
        total = 0
        for file, info in stored():
            total += info.st_size
            age = now - info.st_mtime
            if age > MAX_AGE or total > MAX_BYTES or (file.suffix == ".tmp" and age > DAY):
                file.unlink(missing_ok=True)
