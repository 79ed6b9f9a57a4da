"""Fashion-MNIST: 70,000 pictures of clothes of 28x28 pixels, in the format of MNIST."""

from __future__ import annotations

import os

from . import _idx

MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
# Of the files whose MD5 the data set's own page publishes (8d4fb7e6..., 25c81989..., bef4ecab..., bb300cfd...).
SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_data(path: str | os.PathLike[str] | None = None) -> _idx.Split:
    """Load Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747; MIT licence, Zalando SE).

    The files are looked for in the folder ``FASTNET_DATA/fashion_mnist``, then in the cache folder
    (``FASTNET_CACHE_DIR``, else the user's). If neither has them, they are downloaded into the cache folder (31 MB) and
    checked by their SHA-256.

    Args:
        path: read this instead: a folder with the four IDX files, ``.gz`` or unpacked, or an ``.npz`` file like that of
            Keras.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images ``(60000, 28, 28)`` and ``(10000, 28, 28)`` with values
        0..255, uint8 labels ``(60000,)`` and ``(10000,)``; `CLASSES` names the labels.

    Raises:
        fastnet.datasets.DownloadError: every mirror failed, or sent data with another checksum.
        FileNotFoundError: ``path`` does not exist, or lacks a file.
        ValueError: a file is damaged, or holds other data.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = fastnet.datasets.fashion_mnist.load_data()
    """
    return _idx.load("fashion_mnist", MIRRORS, SHA256, path)
