"""The functions of `fastnet.ops` by name, for what stands below it: operators, activations, losses."""

from collections.abc import Callable
from typing import Any

#: filled by `fastnet.ops`
FUNCTIONS: dict[str, Callable[..., Any]] = {}
