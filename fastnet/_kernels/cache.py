"""The kernel cache: machine code on disk, named by everything that went into it.

The folder holds code that will be executed, so it must belong to this user and be writable by nobody else.  Files are
written beside their place and renamed, so a reader, or a second writer, sees a whole file or none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

_MAGIC = b"fastnet kernel 1\n"


def user_folder() -> Path:
    """The user's cache folder for fastnet: ``FASTNET_CACHE_DIR``, else the platform's."""
    chosen = os.environ.get("FASTNET_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fastnet"


def _is_private(folder: Path) -> bool:
    """Whether code in ``folder`` can have been written by this user alone, and new code can be added."""
    info = folder.stat()
    if not stat.S_ISDIR(info.st_mode) or not os.access(folder, os.W_OK | os.X_OK):
        return False
    if not hasattr(os, "getuid"):
        return True  # Windows: the profile's folders are the user's own
    return info.st_uid == os.getuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@lru_cache(maxsize=8)
def _private_folder(wanted: Path, process: int) -> Path:
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_private(wanted):
            return wanted
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        pass
    return Path(tempfile.mkdtemp(prefix="fastnet-kernels-"))


def folder() -> Path:
    """Where kernels are kept: a private folder below `user_folder`, else a temporary one of this process."""
    try:
        wanted = user_folder() / "kernels"
    except RuntimeError:  # no home folder
        wanted = Path(os.devnull) / "kernels"
    return _private_folder(wanted, os.getpid())


def read(name: str) -> bytes | None:
    """The machine code stored under ``name``; None when there is none or it is damaged."""
    try:
        data = (folder() / f"{name}.o").read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + 32
    if not data.startswith(_MAGIC) or hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        return None
    return data[start:]


def write(name: str, code: bytes) -> None:
    """Store machine code under ``name``, whole or not at all."""
    _replace(folder() / f"{name}.o", _MAGIC + hashlib.sha256(code).digest() + code)


def write_source(name: str, text: str) -> Path:
    """Store a generated module as a real file, so that tracebacks and debuggers show its lines."""
    path = folder() / f"{name}.py"
    _replace(path, text.encode())
    return path


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        # Windows refuses to replace a file that another process has open: that process wrote the same bytes.
        if not isinstance(error, PermissionError) or not path.exists():
            raise
