"""Functions by name, for what stands below them: operators, activations and losses, `fastnet.random`."""

from collections.abc import Callable
from typing import Any

#: filled by `fastnet.ops`
FUNCTIONS: dict[str, Callable[..., Any]] = {}
#: filled by `symbolic.randomness`
DRAWN: dict[str, Callable[..., Any]] = {}
