"""Estimators whose pickles bring the user's rules to workers."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from fastnet._kernels import portable

_ROWS = "_fastnet_rows"


class TravellingEstimator(BaseEstimator):
    """An estimator whose parameters may be functions, and names that the user registered.

    A function that makes models may use any registered name. The pickle therefore carries all.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        values = list(state.values())
        functions = [*values, *(item for value in values if isinstance(value, dict) for item in value.values())]
        portable.note_sources(functions)
        return {**state, _ROWS: portable.registered_rows()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        portable.adopt(state.pop(_ROWS, ()))
        super().__setstate__(state)
