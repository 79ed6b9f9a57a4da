"""Gradients of weights, as objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastnet.engine.view import View

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan


class Gradient:
    """The gradient of a weight, in one of several forms."""

    def dense(self, plan: Plan) -> View:
        """The gradient as a view of the weight's shape; may add launches."""
        raise NotImplementedError(f"{type(self).__name__} defines no dense(plan).")


@dataclass(frozen=True, eq=False)
class DenseGradient(Gradient):
    """A number for each element of the weight.

    Attributes:
        view: where it is.
    """

    view: View

    def dense(self, plan: Plan) -> View:
        return self.view
