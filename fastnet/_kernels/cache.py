"""The kernel cache: machine code on disk. A file's name is a hash of all inputs of the compilation.

The folder holds code that will be executed. It must therefore belong to this user, and nobody else may write to it.
A file is written under another name and then renamed: readers see all of it or nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

_MAGIC = b"fastnet kernel 1\n"


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


def _is_private(folder: Path) -> bool:
    """Whether only this user can have written the code in ``folder``, and can add to it."""
    info = folder.stat()
    if not stat.S_ISDIR(info.st_mode) or not os.access(folder, os.W_OK | os.X_OK):
        return False
    if not hasattr(os, "getuid"):
        return True  # Windows: the folders of a profile belong to its user
    return info.st_uid == os.getuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@lru_cache(maxsize=8)
def _folder(chosen: str | None, process: int) -> Path:
    wanted = Path("the user's cache folder")
    try:
        wanted = user_folder().absolute() / "kernels"  # valid after the process changes its directory
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(wanted):
            return wanted
        reason = "others may write to it" if os.access(wanted, os.W_OK) else "it is not writable"
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        reason = getattr(error, "strerror", None) or str(error)
    temporary = Path(tempfile.mkdtemp(prefix="fastnet-kernels-"))
    atexit.register(_remove, temporary, process)
    warnings.warn(
        f"fastnet cannot keep its kernels in {wanted} ({reason}); this process compiles them for itself. Set "
        "FASTNET_CACHE_DIR to a folder of yours to keep them.",
        RuntimeWarning,
        stacklevel=2,
    )
    return temporary


def _remove(temporary: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(temporary, ignore_errors=True)


def folder() -> Path:
    """The folder of kernels: a private one in `user_folder`, else a temporary one of this process."""
    return _folder(os.environ.get("FASTNET_CACHE_DIR"), os.getpid())


def read(name: str, suffix: str = "o") -> bytes | None:
    """The contents stored under ``name``, by default machine code; None if they are missing or damaged."""
    try:
        data = (folder() / f"{name}.{suffix}").read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + 32
    if not data.startswith(_MAGIC) or hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        return None
    return data[start:]


def write(name: str, code: bytes, suffix: str = "o") -> None:
    """Store machine code under ``name``, completely or not at all; a later process compiles it again if that fails."""
    _replace(folder() / f"{name}.{suffix}", _MAGIC + hashlib.sha256(code).digest() + code)


def write_source(name: str, text: str) -> Path:
    """Store a generated module as a file, from which tracebacks and debuggers read its lines."""
    path = folder() / f"{name}.py"
    _replace(path, text.encode())
    return path


def _replace(path: Path, data: bytes) -> None:
    """Write a file by renaming a temporary one; if that fails (a full disk, a removed folder), leave nothing behind."""
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:  # On Windows also where another process has the file open: it wrote the same bytes
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
