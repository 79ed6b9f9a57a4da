"""Operations with launches of their own: what they read is in memory, and what they give too.

A formula is cut there (`lowering`). Layers are here; `rearrange`, `concatenation` and `products` have others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnet.engine.view import View
from fastnet.symbolic.array import Operation, ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.leaves import not_tracing

if TYPE_CHECKING:
    from fastnet.symbolic.lowering import Lowering


class Boundary(Operation):
    """An operation with launches of its own."""

    @property
    def is_boundary(self) -> bool:
        return True

    def launch(self, lowering: Lowering, x: SymbolicArray) -> View:
        """Add the launches of the result x of this operation."""
        raise NotImplementedError(f"{type(self).__name__} defines no launch(lowering, x).")


def sample_shape(x: SymbolicArray) -> tuple[int, ...]:
    """The shape of an array of the batch, without the batch."""
    return tuple(size or 0 for size in x.shape[1:])


class _Cut(Boundary):
    def launch(self, lowering: Lowering, x: SymbolicArray) -> View:
        return lowering.view(x.inputs[0])


LAYER = Boundary("layer")
IMAGE = Boundary("image operation")  # of a layer with the weight of another one, or without
CUT = _Cut("cut", lambda dy, y, x: (dy,))  # what is in front of it is computed, and then sliced


def applied(layer: Any, x: SymbolicArray, training: bool | None, mask: Any) -> SymbolicArray:
    """A layer applied within a formula.

    Args:
        layer: the layer.
        x: data.
        training: the mode, or None for that of the call.
        mask: None, or a truth value for each step of each sample, an array of the batch.

    Raises:
        TracingError: the array is not one of a batch, or the mask does not fit it.
    """
    if not x.per_row:
        raise refusal(f"the layer {layer.name!r} is applied to an array without the batch", "apply it to data")
    if mask is not None and (not isinstance(mask, SymbolicArray) or mask.shape != x.shape[:-1]):
        given = shown(mask.shape) if isinstance(mask, SymbolicArray) else type(mask).__name__
        raise refusal(
            f"the layer {layer.name!r} is given a mask ({given}) for data of shape {shown(x.shape)}",
            f"give a truth value for each step, of shape {shown(x.shape[:-1])}", ShapeError,
        )  # fmt: skip
    with not_tracing():
        shape = layer.sample_output_shape(sample_shape(x))
    return SymbolicArray(LAYER, (x,) if mask is None else (x, mask), (None, *shape), settings=(layer, training))
