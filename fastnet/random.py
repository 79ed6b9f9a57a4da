"""The process-wide source of seeds, from which layers, initializers and shuffling draw by default."""

from __future__ import annotations

import operator
import os
import threading

import numpy as np

_lock = threading.Lock()
_root: np.random.SeedSequence | None = None
_is_seeded = False
_drawn = 0


def set_seed(seed: int | None) -> None:
    """Restart the sequence of seeds.

    Args:
        seed: An integer >= 0: the same seeds follow in the same order, in every process. ``None``: a sequence from the
            operating system's entropy, as in a fresh process.

    Raises:
        ValueError: ``seed`` is not an integer, or negative.

    Example:
        >>> fastnet.random.set_seed(0); a = fastnet.random.next_seed()
        >>> fastnet.random.set_seed(0); a == fastnet.random.next_seed()
        True
    """
    global _root, _is_seeded, _drawn
    root = np.random.SeedSequence(None if seed is None else _checked(seed))
    with _lock:
        _root, _is_seeded, _drawn = root, seed is not None, 0


def next_seed() -> int:
    """Draw the next seed: an integer in [0, 2**63).

    The n-th draw is a hash of the root and n (numpy's ``SeedSequence(entropy=root, spawn_key=(n,))``). It therefore
    depends only on the number of seeds drawn before. Several threads may call this.

    Example:
        >>> fastnet.random.next_seed() != fastnet.random.next_seed()
        True
    """
    global _root, _drawn
    with _lock:
        if _root is None:
            _root = np.random.SeedSequence()
        root, drawn = _root, _drawn
        _drawn += 1
    child = np.random.SeedSequence(entropy=root.entropy, spawn_key=(drawn,))
    return int(child.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _checked(seed: int) -> int:
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if value < 0 or isinstance(seed, bool):
        raise ValueError(f"The seed must be an integer >= 0, but {seed!r} ({type(seed).__name__}) was received.")
    return value


def _after_fork() -> None:
    """Give a forked child other seeds than its parent, unless the user set the seed."""
    global _lock, _root, _drawn
    _lock = threading.Lock()  # a thread that the child lacks may have held the parent's lock
    if not _is_seeded:
        _root, _drawn = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
