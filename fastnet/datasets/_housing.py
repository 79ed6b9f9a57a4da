"""Data sets of houses: one ``.npz`` file with the arrays x and y, which Keras shuffles and splits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastnet import checks
from fastnet._kernels.cache import user_folder
from fastnet.datasets._download import download
from fastnet.datasets._idx import Split

MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)


def load(
    name: str, sha256: str, path: str | os.PathLike[str] | None, test_split: float, seed: int, rows: int | None = None
) -> Split:
    """Load ``name.npz`` from ``path``, else from ``FASTNET_DATA/name``, else from the cache, else from a mirror.

    Args:
        name: of the data set.
        sha256: hex digest of the file.
        path: the file; None, or the name of the file alone, as in Keras, for the other places. A file of this name in
            the current folder is therefore not read by chance.
        test_split: in [0, 1); the fraction of the rows that the test data get.
        seed: of the order of the rows.
        rows: the number of rows to take before they are shuffled; None for all.
    """
    checks.number(f"{name}.load_data: test_split", test_split, checks.UNIT)
    file = _file(name, sha256, path)
    with np.load(file, allow_pickle=False) as arrays:
        if not {"x", "y"} <= set(arrays.files):
            raise ValueError(f"{name}.load_data: {file} must have the arrays x and y; it has {arrays.files}.")
        x, y = arrays["x"][:rows], arrays["y"][:rows]
    # Keras's generator: the same rows are in the test data.
    order = np.arange(len(x))
    np.random.RandomState(checks.seed(f"{name}.load_data: seed", seed)).shuffle(order)
    train, test = np.split(order, [int(len(x) * (1 - test_split))])
    return (x[train], y[train]), (x[test], y[test])


def _file(name: str, sha256: str, path: str | os.PathLike[str] | None) -> Path:
    standard = f"{name}.npz"
    if path is not None and os.fspath(path) != standard:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"{name}.load_data: there is no file {os.fspath(path)!r}. Leave path out to use FASTNET_DATA, the "
                "cache or a download."
            )
        return Path(path)
    data = os.environ.get("FASTNET_DATA")
    given = Path(data).expanduser() / name / standard if data else None
    if given is not None and given.is_file():
        return given
    file = user_folder() / "datasets" / name / standard
    if not file.exists():
        urls = [mirror + standard for mirror in MIRRORS]
        download(urls, file, sha256, hint=f"put {standard} into FASTNET_DATA/{name}/")
    return file
