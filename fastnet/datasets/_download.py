"""Fetch one file, once: checked, and whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_STALE = 3600.0  # seconds after which a partial file belongs to a process that was killed


class DownloadError(OSError):
    """A data set could not be downloaded: no address could be reached, or what came had another checksum."""


def download(urls: Sequence[str], target: Path, sha256: str, hint: str) -> None:
    """Download the first of ``urls`` that delivers a file with the given SHA-256 to ``target``.

    The bytes go to a temporary file beside ``target``, which is renamed when they are checked; so a reader, or a
    second process that downloads the same file, sees a whole file or none.

    Raises:
        DownloadError: none did; the message has each address with its reason, and ``hint`` as the remedy.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target.parent)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    except OSError as error:
        raise DownloadError(
            f"No file can be written to {target.parent} ({error}). "
            f"Set FASTNET_CACHE_DIR to a folder of yours, or {hint}."
        ) from error
    partial = Path(name)
    try:
        reasons = []
        with os.fdopen(handle, "wb") as file:
            for url in urls:
                reason = _fetch(url, file, sha256)
                if reason is None:
                    break
                reasons.append(f"  {url}: {reason}")
            else:
                raise DownloadError(
                    f"{target.name} could not be downloaded:\n" + "\n".join(reasons) + f"\nWithout a network, {hint}."
                )
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _fetch(url: str, file: BinaryIO, sha256: str) -> str | None:
    """Write what ``url`` delivers to ``file``; why it is of no use, or None."""
    import urllib.request  # here: it would be most of the time of `import fastnet.datasets`, and is seldom needed
    from http.client import HTTPException

    if sys.stderr is not None and sys.stderr.isatty():
        print(f"fastnet: downloading {url}", file=sys.stderr)
    file.seek(0)
    file.truncate()
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            length = answer.headers.get("Content-Length")
    except (OSError, HTTPException) as error:  # URLError, HTTPError and time-outs are OSErrors
        return str(error) or type(error).__name__
    if length is not None and int(length) != file.tell():  # a closed connection looks like the end of the file
        return f"cut short: {file.tell()} of {length} bytes came"
    if digest.hexdigest() != sha256:
        return f"wrong checksum: SHA-256 {sha256} expected, {digest.hexdigest()} received"
    return None


def _remove_stale(folder: Path) -> None:
    """Remove what killed downloads left; a living one writes all the time, so its file is young."""
    for partial in folder.glob("*.part"):
        with contextlib.suppress(OSError):  # another process removed it, or (Windows) still has it open
            if time.time() - partial.stat().st_mtime > _STALE:
                partial.unlink()
