"""The state that all models of a process share: seeds and default names."""

from __future__ import annotations

import gc

from fastnet import default_names, random
from fastnet.engine.variable import Allocated

_LARGE = 2**26  # bytes whose garbage is worth a collection


def set_random_seed(seed: int) -> None:
    """Seed the initial weights, the shuffling and the dropout of models that are built and trained after this.

    Args:
        seed: an integer >= 0.

    Raises:
        ValueError: ``seed`` is not an integer, or negative.

    Keras's function of this name also seeds Python's ``random``, NumPy and its backend. fastnet changes only its own
    state: seed the others where your code draws from them.

    Example:
        >>> fastnet.utils.set_random_seed(1)
    """
    if seed is None:
        raise ValueError("set_random_seed: an integer >= 0 is needed, but None was received.")
    random.set_seed(seed)


def clear_session(free_memory: bool = True) -> None:
    """Restart the numbering of default names at ``dense`` and ``sequential``; seeds and models do not change.

    Args:
        free_memory: whether to run Python's garbage collector, which frees the memory of models without references, if
            64 MiB were allocated since this function ran it last. It takes up to 0.1 s; Python itself runs it after so
            many new objects, but does not know how large they are.

    Example:
        >>> fastnet.utils.clear_session()
        >>> fastnet.layers.Dense(2).name
        'dense'
    """
    default_names.restart()
    if free_memory and Allocated.bytes >= _LARGE:
        Allocated.bytes = 0
        gc.collect()
