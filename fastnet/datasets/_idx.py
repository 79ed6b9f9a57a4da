"""Finds and reads data sets in the format of MNIST: four IDX files."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from .._kernels.cache import user_folder
from ._download import download

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray]
Split: TypeAlias = tuple[Arrays, Arrays]

PARTS = (
    ("train-images-idx3-ubyte", (60000, 28, 28)),
    ("train-labels-idx1-ubyte", (60000,)),
    ("t10k-images-idx3-ubyte", (10000, 28, 28)),
    ("t10k-labels-idx1-ubyte", (10000,)),
)


def load(name: str, mirrors: Sequence[str], sha256: Mapping[str, str], path: str | os.PathLike[str] | None) -> Split:
    """Load a data set from ``path``, else from ``FASTNET_DATA/name``, else from the cache, else from a mirror.

    Args:
        name: of the data set.
        mirrors: addresses of folders with the four ``.gz`` files, tried in order.
        sha256: hex digest of each ``.gz`` file.
        path: a folder with the four files (``.gz`` or unpacked), or an ``.npz`` file like that of Keras.
    """
    if path is not None:
        return _given(name, Path(path).expanduser())
    data = os.environ.get("FASTNET_DATA")
    if data:
        folder = Path(data).expanduser() / name
        found = [_find(folder, part) for part, _ in PARTS]
        if all(found):
            return _read_all([file for file in found if file])
        if any(found):
            raise FileNotFoundError(_missing(name, folder))
    cache = user_folder() / "datasets" / name
    files = []
    for part, _ in PARTS:
        file = cache / f"{part}.gz"
        if not file.exists():
            urls = [f"{mirror}{part}.gz" for mirror in mirrors]
            download(urls, file, sha256[f"{part}.gz"], hint=f"put the files of {name} into FASTNET_DATA/{name}/")
        files.append(file)
    return _read_all(files)


def _given(name: str, path: Path) -> Split:
    if path.is_dir():
        found = [_find(path, part) for part, _ in PARTS]
        if not all(found):
            raise FileNotFoundError(_missing(name, path))
        return _read_all([file for file in found if file])
    if path.suffix != ".npz" or not path.is_file():
        raise FileNotFoundError(
            f"{name}.load_data: path must be a folder with the four IDX files or an .npz file, "
            f"but {str(path)!r} is neither. Leave path out to use FASTNET_DATA, the cache or a download."
        )
    with np.load(path, allow_pickle=False) as file:
        missing = [key for key in ("x_train", "y_train", "x_test", "y_test") if key not in file]
        if missing:
            raise ValueError(f"{name}.load_data: {path} has no array {', '.join(missing)}; it has {file.files}.")
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])


def _find(folder: Path, part: str) -> Path | None:
    for file in (folder / part, folder / f"{part}.gz"):
        if file.is_file():
            return file
    return None


def _missing(name: str, folder: Path) -> str:
    absent = ", ".join(part for part, _ in PARTS if not _find(folder, part))
    return f"{name}: {folder} lacks {absent} (plain, or with .gz)."


def _read_all(files: Sequence[Path]) -> Split:
    x_train, y_train, x_test, y_test = (read_idx(file, shape) for file, (_, shape) in zip(files, PARTS, strict=True))
    return (x_train, y_train), (x_test, y_test)


def read_idx(file: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Read an IDX file of unsigned bytes, unpacked or ``.gz``.

    Layout: two zero bytes, the type (8: unsigned byte), the rank, each size as a big-endian uint32, the values.

    Args:
        file: the file.
        shape: the expected sizes; None accepts any.

    Raises:
        ValueError: the file has another format, other sizes than ``shape``, or too few or too many bytes.
    """
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file} is damaged ({error}). Delete it and load again.") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise ValueError(
            f"{file} is not an IDX file of unsigned bytes: it must start with bytes 00 00 08, "
            f"but starts with {data[:4].hex(' ') or 'nothing'}."
        )
    rank = data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise ValueError(f"{file} is cut short within its header: {len(data)} bytes, at least {start} expected.")
    sizes = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if shape is not None and sizes != shape:
        raise ValueError(f"{file} holds an array of shape {sizes}, but {shape} is expected.")
    expected = start + math.prod(sizes)
    if len(data) != expected:
        raise ValueError(f"{file} should have {expected} bytes for shape {sizes}, but has {len(data)}.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(sizes).copy()
