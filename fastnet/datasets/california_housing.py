"""California housing: the median house values of 20,640 districts in 1990."""

from __future__ import annotations

import os

from fastnet import checks
from fastnet.datasets import _housing

SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


def load_data(
    version: str = "large",
    path: str | os.PathLike[str] | None = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> _housing.Split:
    """Load the data set (Pace and Barry 1997, doi:10.1016/S0167-7152(96)00140-X), split as by Keras.

    The file is looked for in the folder ``FASTNET_DATA/california_housing``, then in the cache folder
    (``FASTNET_CACHE_DIR``, else the user's). If neither has it, it is downloaded into the cache folder and checked by
    its SHA-256.

    Args:
        version: "large", or "small" for the first 600 rows.
        path: read this ``.npz`` file with the arrays x and y instead. The name "california_housing.npz"
            alone stands for the places above, as in Keras.
        test_split: in [0, 1); the fraction of the test data.
        seed: of the order of the rows.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x of shape (rows, 8), and y of shape (rows,), in dollars.

    Raises:
        fastnet.datasets.DownloadError: the mirror failed, or sent data with another checksum.
        FileNotFoundError: ``path`` does not exist.
        ValueError: the file holds other arrays, or an argument is outside its range.

    Example:
        >>> def prices():
        ...     return fastnet.datasets.california_housing.load_data(test_split=0.1)
    """
    checks.one_of("california_housing.load_data: version", version, "large", "small")
    rows = 600 if version == "small" else None
    return _housing.load("california_housing", SHA256, path, test_split, seed, rows)
