"""Files from the network, in the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fastnet._kernels.cache import user_folder
from fastnet._kernels.errors import quoted


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Download a file unless the cache folder has it.

    Args:
        fname: name of the file in the cache; by default that of ``origin``.
        origin: its address.
        untar: extract it as a tar archive.
        md5_hash, file_hash: the checksum, MD5 or SHA-256; a file in the cache with another one is downloaded again.
        cache_subdir: folder within ``cache_dir``, or a whole path.
        hash_algorithm: "auto", "sha256" or "md5".
        extract: extract an archive, tar or zip, into a folder beside it.
        archive_format: "auto", "tar", "zip", several of these, or None.
        cache_dir: by default the user's cache folder of fastnet (``FASTNET_CACHE_DIR``).
        force_download: download it in any case.

    Returns:
        The path of the file, or of the folder with what it contained.

    Raises:
        ValueError: no ``origin``, or ``fname`` contains a folder, or the archive has another format.
        fastnet.datasets.DownloadError: the download failed, or the data have another checksum.

    Example:
        >>> def shakespeare(address):
        ...     return fastnet.utils.get_file("shakespeare.txt", address)
    """
    from urllib.parse import urlsplit  # here, as below: training needs none of them

    from fastnet.datasets._download import download

    if not origin:
        raise ValueError("get_file: origin, the address of the file, is missing.")
    name = os.fspath(fname) if fname else os.path.basename(urlsplit(origin).path)
    if not name or os.path.basename(name) != name:
        raise ValueError(f"get_file: fname must be the name of a file without a folder, received {quoted(name)}.")
    checksum = md5_hash if file_hash is None else file_hash
    sizes = {"auto": (32, 64), "md5": (32,), "sha256": (64,)}.get(hash_algorithm, ())
    if not sizes or (checksum is not None and len(checksum) not in sizes):
        raise ValueError(
            "get_file: file_hash must be an MD5 or SHA-256 of 32 or 64 digits, as hash_algorithm ('auto', 'md5' or "
            f"'sha256') says; received {quoted(checksum)} and {hash_algorithm!r}."
        )
    folder = (user_folder() if cache_dir is None else Path(cache_dir).expanduser()) / cache_subdir
    unpack = extract or untar
    file = folder / (f"{name}_archive" if unpack and (not fname or "." not in name) else name)
    if force_download or not file.exists() or not _has(file, checksum):
        download([origin], file, checksum, hint=f"put the file at {file}")
    if not unpack:
        return str(file)
    target = folder / (name if file.name != name else f"{name.partition('.')[0]}_extracted")
    _extract(file, target, "tar" if untar else archive_format)
    return str(target)


def _has(file: Path, checksum: str | None) -> bool:
    """Whether a file has a checksum; any file has None."""
    from fastnet.datasets._download import digest_of

    if checksum is None:
        return True
    _, digest = digest_of(checksum)
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == checksum.lower()


def _extract(file: Path, target: Path, formats: str | Sequence[str] | None) -> None:
    """Extract an archive; members that would lie outside of ``target`` are an error."""
    import tarfile
    import zipfile

    allowed = [formats] if isinstance(formats, str) else list(formats or ())
    both = "auto" in allowed
    if (both or "tar" in allowed) and tarfile.is_tarfile(file):
        with tarfile.open(file) as archive:
            archive.extractall(target, filter="data")
    elif (both or "zip" in allowed) and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:  # drops ".." and roots itself
            archive.extractall(target)
    else:
        raise ValueError(f"get_file: {file} is not an archive of the format {formats!r} (tar, tar.gz, tar.bz2, zip).")
