"""Boston housing: the prices of 506 houses around Boston in the 1970s."""

from __future__ import annotations

import os

from fastnet.datasets import _housing

SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: str | os.PathLike[str] | None = "boston_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> _housing.Split:
    """Load the data set (Harrison and Rubinfeld 1978, doi:10.1016/0095-0696(78)90006-2), split as by Keras.

    One of its columns, "B", assumes that racial segregation influences prices; take it to discuss such data, and
    `california_housing` for anything else.

    The file is looked for in the folder ``FASTNET_DATA/boston_housing``, then in the cache folder
    (``FASTNET_CACHE_DIR``, else the user's). If neither has it, it is downloaded into the cache folder and checked by
    its SHA-256.

    Args:
        path: read this ``.npz`` file with the arrays x and y instead. The name "boston_housing.npz"
            alone stands for the places above, as in Keras.
        test_split: in [0, 1); the fraction of the test data.
        seed: of the order of the rows.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x of shape (rows, 13), and y of shape (rows,), in 1000 dollars.

    Raises:
        fastnet.datasets.DownloadError: the mirror failed, or sent data with another checksum.
        FileNotFoundError: ``path`` does not exist.
        ValueError: the file holds other arrays, or an argument is outside its range.

    Example:
        >>> def prices():
        ...     return fastnet.datasets.boston_housing.load_data(test_split=0.1)
    """
    return _housing.load("boston_housing", SHA256, path, test_split, seed)
