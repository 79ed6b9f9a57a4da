"""Functions by name, for what stands below them: those of `fastnet.ops` for operators, activations and losses, and those
of `symbolic.randomness` for `fastnet.random`."""

from collections.abc import Callable
from typing import Any

#: filled by `fastnet.ops`
FUNCTIONS: dict[str, Callable[..., Any]] = {}
#: filled by `symbolic.randomness`
DRAWN: dict[str, Callable[..., Any]] = {}
