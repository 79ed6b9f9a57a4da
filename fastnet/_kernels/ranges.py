"""Ranges of arguments that are numbers: whether a number lies in it, and its name in errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Whether a number is in the range, and the range's name in errors."""

    contains: Callable[[Any], bool]
    name: str

    def __reduce__(self) -> Any:
        """For pickles, such as those of optimizers: the range of this module with the name, since no pickle holds the
        function."""
        return (_named, (self.name,)) if self is _named(self.name) else (Range, tuple(self))


def _named(name: str) -> Range | None:
    """The range of this module with this name."""
    return next((each for each in globals().values() if isinstance(each, Range) and each.name == name), None)


FINITE = Range(lambda x: -math.inf < x < math.inf, "finite")
NO_NAN = Range(lambda x: x == x, "not NaN")
POSITIVE = Range(lambda x: 0 < x < math.inf, "positive and finite")
NOT_NEGATIVE = Range(lambda x: 0 <= x < math.inf, "finite and not negative")
NOT_POSITIVE = Range(lambda x: -math.inf < x <= 0, "finite and not positive")
AT_LEAST_0 = Range(lambda x: x >= 0, "at least 0")
ABOVE_1 = Range(lambda x: 1 < x < math.inf, "above 1 and finite")
UNIT = Range(lambda x: 0 <= x < 1, "at least 0 and below 1")
OPEN_UNIT = Range(lambda x: 0 < x < 1, "above 0 and below 1")
CLOSED_UNIT = Range(lambda x: 0 <= x <= 1, "at least 0 and at most 1")
COUNT = Range(lambda x: 0 <= x < math.inf and x == math.floor(x), "whole and not negative")
