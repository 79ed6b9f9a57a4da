"""1,797 handwritten digits of 8x8 pixels, which are part of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastnet._kernels.errors import quoted

from ._idx import Split


def load_data(test_fraction: float = 0.2) -> Split:
    """Load the digits: the test set of "Optical Recognition of Handwritten Digits" (UCI, CC BY 4.0).

    Args:
        test_fraction: share of the images in the test set, 0 <= f < 1 (default 0.2: 359 images).

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: uint8 images ``(n, 8, 8)`` with values 0..16, uint8 labels ``(n,)``.

    Raises:
        ValueError: ``test_fraction`` is outside [0, 1).

    The split is fixed and stratified. In the order of the original file, the k-th image of its class (from 0) is a test
    image if ``floor((k + 1) f + 1/2) > floor(k f + 1/2)``: with f = 0.2, the third of every five. The file is grouped
    by writer, and all 13 writers are therefore in both sets. A network classifies 98 % of these test images correctly,
    but 90 % where the test set is the last fifth of the file, whose writers are not in the training set.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = fastnet.datasets.digits.load_data()
        >>> x_train.shape, x_test.shape
        ((1438, 8, 8), (359, 8, 8))
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(f"digits: test_fraction must lie in [0, 1), but {quoted(test_fraction)} was received.")
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        x, y = file["x"], file["y"]
    is_test = np.zeros(len(y), bool)
    for label in range(10):
        of_class = np.flatnonzero(y == label)
        cumulative = np.floor(np.arange(len(of_class) + 1) * test_fraction + 0.5)
        is_test[of_class] = np.diff(cumulative) > 0
    return (x[~is_test], y[~is_test]), (x[is_test], y[is_test])
