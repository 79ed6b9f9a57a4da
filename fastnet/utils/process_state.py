"""State of the process that all models share."""

from __future__ import annotations

import gc
import itertools

from fastnet import random, sequential
from fastnet.layers import base


def set_random_seed(seed: int) -> None:
    """Make what follows repeatable: initial weights, shuffling and dropout of models built and trained after this.

    Args:
        seed: An integer >= 0.

    Raises:
        ValueError: ``seed`` is no integer, or negative.

    Keras's function of this name also seeds Python's ``random``, NumPy and its backend.  fastnet changes no other
    library's state: seed those yourself where your own code draws from them.

    Example:
        >>> fastnet.utils.set_random_seed(1)
    """
    if seed is None:
        raise ValueError("set_random_seed: an integer >= 0 is needed, but None was received.")
    random.set_seed(seed)


def clear_session(free_memory: bool = True) -> None:
    """Name layers and models anew, from ``dense`` and ``sequential`` on; seeds and models stay as they are.

    Args:
        free_memory: Whether Python's garbage is collected now: models that nobody holds give their memory back.

    Example:
        >>> fastnet.utils.clear_session()
        >>> fastnet.layers.Dense(2).name
        'dense'
    """
    base._counters.clear()
    sequential._names = itertools.count()
    if free_memory:
        gc.collect()
