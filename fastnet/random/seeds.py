"""The source of seeds, from which layers, initializers and shuffling draw by default.

There is one source for the process, and one for each model with a seed of its own, whose weights are drawn from it.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted

_lock = threading.Lock()
_root: np.random.SeedSequence | None = None
_is_seeded = False
_drawn = 0


class _Drawing(threading.local):
    """The seeds of the model whose weights this thread makes; None for those of the process."""

    seeds: Iterator[int] | None = None


_drawing = _Drawing()


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
    depends only on the number of seeds drawn before. Several threads may call this. While the weights of a model with a
    seed of its own are made, the draws of this thread are that model's.

    Example:
        >>> fastnet.random.next_seed() != fastnet.random.next_seed()
        True
    """
    global _root, _drawn
    if _drawing.seeds is not None:
        return next(_drawing.seeds)
    with _lock:
        if _root is None:
            _root = np.random.SeedSequence()
        root, drawn = _root, _drawn
        _drawn += 1
    return seed_of(root.entropy, drawn)


@contextlib.contextmanager
def drawing_from(seed: int, *key: int) -> Iterator[None]:
    """Let the draws of this thread follow from a seed and a key alone.

    Example:
        >>> with fastnet.random.drawing_from(7, 1):
        ...     first = fastnet.random.next_seed()
        >>> with fastnet.random.drawing_from(7, 1):
        ...     fastnet.random.next_seed() == first
        True
    """
    before, _drawing.seeds = _drawing.seeds, (seed_of(seed, *key, n) for n in itertools.count())
    try:
        yield
    finally:
        _drawing.seeds = before


def seed_of(entropy: Any, *key: int) -> int:
    """The seed that follows from another one and a key, in [0, 2**63); one number is the key of a draw.

    Example:
        >>> fastnet.random.seed_of(7, 0, 0) == fastnet.random.seed_of(7, 0, 1)
        False
    """
    child = np.random.SeedSequence(entropy=entropy, spawn_key=key)
    return int(child.generate_state(1, np.uint64)[0] >> np.uint64(1))


class SeedGenerator:
    """A sequence of seeds: each function of random numbers that is given it draws other numbers at each call.

    As in Keras, the first draw is that of the integer itself, and those after it follow from the number of draws.

    Args:
        seed: an integer from 0 to 2**64 - 1 from which all follow; None draws one by `next_seed`.
        name: as shown.

    Raises:
        ValueError: ``seed`` is not an integer, or outside of these.

    Example:
        >>> seeds = fastnet.random.SeedGenerator(1)
        >>> a, b = (fastnet.random.normal((2,), seed=seeds) for _ in range(2))
        >>> bool((a != b).all())
        True
    """

    def __init__(self, seed: int | None = None, name: str | None = None):
        self.seed, self.name = seed, name or "seed_generator"
        self.state = np.array([next_seed() if seed is None else _checked(seed, 2**64 - 1), 0], np.uint64)
        self._lock = threading.Lock()

    def next(self, ordered: bool = True) -> np.ndarray:
        """The next seed: the first number and the number of seeds drawn before; ``ordered`` is accepted."""
        with self._lock:
            drawn = self.state.copy()
            self.state[1] += np.uint64(1)
        return drawn

    def get_config(self) -> dict[str, Any]:
        """The arguments that make a generator of the same sequence."""
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        """The generator that `get_config` described."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())


def generator_of(seed: int | SeedGenerator | None) -> np.random.Generator:
    """NumPy's generator for a seed, for the next one of a `SeedGenerator`, or for one that `next_seed` draws.

    Example:
        >>> first, second = (fastnet.random.generator_of(1).integers(100) for _ in range(2))
        >>> bool(first == second)
        True
    """
    if isinstance(seed, SeedGenerator):
        return np.random.Generator(np.random.SFC64(seed.next()))
    return np.random.Generator(np.random.SFC64(next_seed() if seed is None else _checked(seed)))


def _checked(seed: int, most: int | None = None) -> int:
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if value < 0 or isinstance(seed, bool) or (most is not None and value > most):
        bound = "" if most is None else f" and <= {most}"
        raise ValueError(
            f"The seed must be an integer >= 0{bound}, but {quoted(seed)} ({type(seed).__name__}) was received."
        )
    return value


def _after_fork() -> None:
    """Give a forked child other seeds than its parent, unless the user set the seed."""
    global _lock, _root, _drawn
    _lock = threading.Lock()  # a thread that the child lacks may have held the parent's lock
    if not _is_seeded:
        _root, _drawn = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
