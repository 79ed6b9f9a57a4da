"""CIFAR-10: 60,000 colour pictures of 32x32 pixels in 10 classes."""

from __future__ import annotations

import os

from fastnet.datasets import _cifar, _idx

ARCHIVE = _cifar.Archive(
    "cifar10",
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar-10-batches-bin",
    [(f"data_batch_{number}.bin", 10000) for number in range(1, 6)],
    ("test_batch.bin", 10000),
)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_data(path: str | os.PathLike[str] | None = None) -> _idx.Split:
    """Load CIFAR-10 (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).

    The archive is looked for in the folder ``FASTNET_DATA/cifar10``, then in the cache folder (``FASTNET_CACHE_DIR``,
    else the user's). If neither has it, it is downloaded into the cache folder (170 MB) and checked by its SHA-256. It
    is that of the binary files, which hold no pickles.

    Args:
        path: read this instead: the archive, or the folder with its files.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 pictures ``(50000, 32, 32, 3)`` and ``(10000, 32, 32, 3)`` with
        values 0..255, uint8 labels ``(50000, 1)`` and ``(10000, 1)``, as in Keras; `CLASSES` names the labels.

    Raises:
        fastnet.datasets.DownloadError: the mirror failed, or sent data with another checksum.
        FileNotFoundError: ``path`` does not exist, or lacks a file.
        ValueError: a file is damaged, or holds other data.

    Example:
        >>> def pictures():
        ...     return fastnet.datasets.cifar10.load_data()
    """
    return _cifar.load(ARCHIVE, path)
