"""MNIST: 70,000 handwritten digits of 28x28 pixels."""

from __future__ import annotations

import os

from . import _idx

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def load_data(path: str | os.PathLike[str] | None = None) -> _idx.Split:
    """Load MNIST (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0).

    The files are looked for in the folder ``FASTNET_DATA/mnist``, then in the cache folder (``FASTNET_CACHE_DIR``, else
    the user's). If neither has them, they are downloaded into the cache folder (11 MB) and checked by their SHA-256.

    Args:
        path: read this instead: a folder with the four IDX files, ``.gz`` or unpacked, or an ``.npz`` file like that of
            Keras.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images ``(60000, 28, 28)`` and ``(10000, 28, 28)`` with values
        0..255, uint8 labels ``(60000,)`` and ``(10000,)``.

    Raises:
        fastnet.datasets.DownloadError: every mirror failed, or sent data with another checksum.
        FileNotFoundError: ``path`` does not exist, or lacks a file.
        ValueError: a file is damaged, or holds other data.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = fastnet.datasets.mnist.load_data()
    """
    return _idx.load("mnist", MIRRORS, SHA256, path)
