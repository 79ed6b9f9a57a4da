"""CIFAR-100: 60,000 colour pictures of 32x32 pixels in 100 classes, which form 20 groups."""

from __future__ import annotations

import os

from fastnet import checks
from fastnet.datasets import _cifar, _idx

ARCHIVE = _cifar.Archive(
    "cifar100",
    "cifar-100-binary.tar.gz",
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    "cifar-100-binary",
    [("train.bin", 50000)],
    ("test.bin", 10000),
    labels=2,  # the group, then the class
)


def load_data(label_mode: str = "fine", path: str | os.PathLike[str] | None = None) -> _idx.Split:
    """Load CIFAR-100 (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).

    The archive is looked for in the folder ``FASTNET_DATA/cifar100``, then in the cache folder (``FASTNET_CACHE_DIR``,
    else the user's). If neither has it, it is downloaded into the cache folder (169 MB) and checked by its SHA-256. It
    is that of the binary files, which hold no pickles.

    Args:
        label_mode: "fine" for the 100 classes, "coarse" for the 20 groups.
        path: read this instead: the archive, or the folder with its files.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 pictures ``(50000, 32, 32, 3)`` and ``(10000, 32, 32, 3)`` with
        values 0..255, uint8 labels ``(50000, 1)`` and ``(10000, 1)``, as in Keras.

    Raises:
        fastnet.datasets.DownloadError: the mirror failed, or sent data with another checksum.
        FileNotFoundError: ``path`` does not exist, or lacks a file.
        ValueError: label_mode is unknown, or a file is damaged, or holds other data.

    Example:
        >>> def pictures():
        ...     return fastnet.datasets.cifar100.load_data("coarse")
    """
    checks.one_of("cifar100.load_data: label_mode", label_mode, "fine", "coarse")
    return _cifar.load(ARCHIVE, path, label=int(label_mode == "fine"))
