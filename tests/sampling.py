"""Which of many cases of one kind the plain run has; CI runs all of them."""

import pytest


def every_second(cases):
    """Parameters of which those between are slow."""
    return [pytest.param(case, marks=pytest.mark.slow) if number % 2 else case for number, case in enumerate(cases)]
