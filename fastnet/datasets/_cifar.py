"""Finds and reads the CIFAR data sets: an archive of files of records, each of labels and a picture of bytes."""

from __future__ import annotations

import gzip
import math
import os
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from fastnet._kernels.cache import user_folder
from fastnet.datasets._download import download
from fastnet.datasets._idx import Split

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_PICTURE = (3, 32, 32)  # of a record: the red, the green and the blue plane


class Archive(NamedTuple):
    """A data set: its archive, and the files in it.

    Attributes:
        name: of the data set.
        file: of the archive, whose SHA-256 is ``sha256``.
        folder: in the archive.
        train, test: files of records, in order, and the number of records in each.
        labels: bytes of labels in a record, before the picture.
    """

    name: str
    file: str
    sha256: str
    folder: str
    train: Sequence[tuple[str, int]]
    test: tuple[str, int]
    labels: int = 1


def load(archive: Archive, path: str | os.PathLike[str] | None, label: int = 0) -> Split:
    """Load a data set from ``path``, else from ``FASTNET_DATA/name``, else from the cache, else from a mirror.

    Args:
        archive: describes it.
        path: the archive, or the folder with its files.
        label: the number of the label in a record.
    """
    place = _place(archive, path)
    if place.is_dir():
        parts = _of_folder(archive, place)
    else:
        parts = _of_archive(archive, place)
    *train, test = (_records(archive, *part) for part in parts)
    return _split(np.concatenate(train), archive.labels, label), _split(test, archive.labels, label)


def _place(archive: Archive, path: str | os.PathLike[str] | None) -> Path:
    """The archive, or the folder with its files."""
    if path is not None:
        given = Path(path).expanduser()
        if not given.exists():
            raise FileNotFoundError(
                f"{archive.name}.load_data: path must be {archive.file} or the folder with its files, but "
                f"{str(path)!r} does not exist. Leave path out to use FASTNET_DATA, the cache or a download."
            )
        return given
    if data := os.environ.get("FASTNET_DATA"):
        folder = Path(data).expanduser() / archive.name
        for found in (folder / archive.file, folder / archive.folder):
            if found.exists():
                return found
        if folder.exists():
            return folder  # with the files themselves, or an error that names what it lacks
    file = user_folder() / "datasets" / archive.name / archive.file
    if not file.exists():
        urls = [mirror + archive.file for mirror in MIRRORS]
        download(urls, file, archive.sha256, hint=f"put {archive.file} into FASTNET_DATA/{archive.name}/")
    return file


def _of_folder(archive: Archive, folder: Path) -> Iterable[tuple[str, int, bytes]]:
    """The place, the number of records and the contents of each file."""
    for name, records in (*archive.train, archive.test):
        file = folder / name
        if not file.is_file():
            raise FileNotFoundError(f"{archive.name}: {folder} lacks {name}.")
        yield str(file), records, file.read_bytes()


def _of_archive(archive: Archive, file: Path) -> Iterable[tuple[str, int, bytes]]:
    try:
        with tarfile.open(file) as members:
            for name, records in (*archive.train, archive.test):
                member: IO[bytes] | None = members.extractfile(f"{archive.folder}/{name}")
                if member is None:
                    raise ValueError(f"{file} is not {archive.file}: {name} is no file.")
                yield f"{file}: {name}", records, member.read()
    except KeyError as error:
        raise ValueError(f"{file} is not {archive.file}: {str(error).strip(chr(34))}.") from None
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file} is damaged ({error}). Delete it and load again.") from error


def _records(archive: Archive, where: str, records: int, data: bytes) -> np.ndarray:
    size = archive.labels + math.prod(_PICTURE)
    if len(data) != records * size:
        raise ValueError(
            f"{where} should have {records * size} bytes, {records} records of {size}, but has {len(data)}."
        )
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def _split(records: np.ndarray, labels: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 32, 32, 3), and labels (n, 1)."""
    pictures = records[:, labels:].reshape(-1, *_PICTURE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pictures), records[:, label : label + 1].copy()
