"""The shapes and the inner layers of a layer for samples of a shape, found by its forward without a build."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastnet.engine import changes
from fastnet.engine.plan import Plan
from fastnet.engine.tape import checked_result
from fastnet.engine.view import View

Shape = tuple[int, ...]


class Use(NamedTuple):
    """A layer, applied.

    Attributes:
        input_shape, output_shape: of one sample.
        reads_data: whether all numbers that it reads are numbers of the traced layer's input.
    """

    layer: Any
    input_shape: Shape
    output_shape: Shape
    reads_data: bool


@dataclass(eq=False)
class _Trace(Plan):
    """A plan in which layers are applied only by their shapes.

    Attributes:
        uses: the layers that were applied, in order.
        data: views whose numbers are all numbers of the input.
    """

    uses: list[Use] = field(default_factory=list)
    data: list[View] = field(default_factory=list)

    def apply(self, layer: Any, x: View) -> View:
        shape, reads_data = layer.sample_output_shape(x.shape), self._is_data(x)
        self.uses.append(Use(layer, x.shape, shape, reads_data))
        y = self.buffer(shape, x.dtype)
        if reads_data and layer.keeps_values:
            self.data.append(y)
        return y

    def combine(self, operation: Any, *inputs: View) -> View:
        y = super().combine(operation, *inputs)
        if getattr(operation, "keeps_values", False) and all(map(self._is_data, inputs)):
            self.data.append(y)
        return y

    def _is_data(self, x: View) -> bool:
        return any(x is view for view in self.data)


class Traced(NamedTuple):
    """The result of `trace`: the shape of one sample's result, and the layers that were applied."""

    shape: Shape
    uses: list[Use]


def trace(layer: Any, input_shape: Shape) -> Traced:
    """Run the forward of a layer that applies others for samples of this shape; nothing is built.

    Raises:
        ValueError: the shape does not fit one of them.
    """
    plan = _Trace(False, layer.dtype, 1)
    plan.label = layer.name
    x = plan.buffer(input_shape)
    plan.data.append(x)
    with changes.lowering():
        return Traced(checked_result(layer, layer.forward(plan, x)).shape, plan.uses)
