"""Downloads a file, checks it, and stores it completely or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

_TIMEOUT = 30.0  # seconds without any data
_CHUNK = 1 << 18
_STALE = 3600.0  # seconds after which a partial file belongs to a process that was killed


class DownloadError(OSError):
    """A data set could not be downloaded: every address failed, or sent data with another checksum."""


def download(urls: Sequence[str], target: Path, checksum: str | None, hint: str) -> None:
    """Download a file to ``target`` from the first of ``urls`` that sends the data with this checksum.

    Args:
        urls: tried in order.
        target: the file; missing folders are created.
        checksum: SHA-256 or MD5, as hexadecimal digits; None accepts any data.
        hint: what to do without a network.

    The data are written to a temporary file beside ``target``, checked, and then renamed. A reader, or a second process
    that downloads the same file, therefore sees a complete file or none.

    Raises:
        DownloadError: every address failed; the message gives the reason for each, and ``hint`` as the remedy.
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
                reason = _fetch(url, file, checksum)
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


def digest_of(checksum: str | None) -> tuple[str, Any]:
    """The name of the function that made a checksum, by its length, and a new digest of it."""
    if checksum is not None and len(checksum) == 32:
        return "MD5", hashlib.md5(usedforsecurity=False)
    return "SHA-256", hashlib.sha256()


def _fetch(url: str, file: BinaryIO, checksum: str | None) -> str | None:
    """Write the data of ``url`` to ``file``; the reason for a failure, or None."""
    import urllib.request  # here: importing it takes 35 ms, and few processes download
    from http.client import HTTPException

    if sys.stderr is not None and sys.stderr.isatty():
        print(f"fastnet: downloading {url}", file=sys.stderr)
    file.seek(0)
    file.truncate()
    function, digest = digest_of(checksum)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            length = answer.headers.get("Content-Length")
    except (OSError, HTTPException) as error:  # URLError, HTTPError and time-outs are OSErrors
        return str(error) or type(error).__name__
    if length is not None and int(length) != file.tell():  # urllib takes a closed connection for the end
        return f"cut short: {file.tell()} of {length} bytes came"
    if checksum is not None and digest.hexdigest() != checksum.lower():
        return f"wrong checksum: {function} {checksum} expected, {digest.hexdigest()} received"
    return None


def _remove_stale(folder: Path) -> None:
    """Remove the partial files of killed downloads. A running download writes often, which keeps its file young."""
    for partial in folder.glob("*.part"):
        with contextlib.suppress(OSError):  # another process removed it, or (Windows) still has it open
            if time.time() - partial.stat().st_mtime > _STALE:
                partial.unlink()
