"""The base class of initializers."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from fastnet import checks
from fastnet.descriptions import Configurable
from fastnet.random import SeedGenerator

Seed: TypeAlias = int | SeedGenerator | None


class Initializer(Configurable):
    """Makes the initial values of a weight. Subclasses define ``__call__(shape, dtype=None)``, in array code; as in
    Keras, the dtype is given by its name. A function with these arguments is an initializer too.

    A random initializer draws new values at each call. With an integer as its seed it returns the same values at each
    call; with a `fastnet.random.SeedGenerator` the values follow from the generator and the number of its seeds drawn
    before.

    Example:
        >>> class Halves(initializers.Initializer):
        ...     def __call__(self, shape, dtype="float32"):
        ...         return np.full(shape, 0.5, dtype)
        >>> layers.Dense(3, kernel_initializer=Halves()).kernel_initializer
        Halves()
    """

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
        """Make an array of this shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(shape, dtype).")

    def _number(self, argument: str, value: Any, allowed: checks.Range = checks.FINITE) -> float:
        return checks.number(f"{type(self).__name__}: {argument}", value, allowed)

    def _seed(self, value: Any) -> Seed:
        return value if isinstance(value, SeedGenerator) else checks.seed(f"{type(self).__name__}: seed", value)

    def clone(self) -> Initializer:
        """Make an initializer with the same arguments."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items() if not k.startswith("_"))
        return f"{type(self).__name__}({arguments})"
