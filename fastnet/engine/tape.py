"""The calls of a network in order: forward pushes them, and backward pops them.

A call is of a layer, or of an operation between results (`operations`). Each has its adjoint, `backward`, which reads
the values that `forward` saved. A layer without a `backward` of its own is a composite: the calls of its forward are
pushed instead of it. A result that is read twice has two gradients, which are added; so has a weight that is used
again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastnet.engine.operations import total
from fastnet.engine.view import View, describe

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan


@dataclass(eq=False)
class TapeEntry:
    """A layer or an operation, applied.

    Attributes:
        operation: has ``backward(plan, dy, *inputs, output)``, which returns the gradient of each input.
        label: the layer's name.
        dtype: the layer's.
        inputs: the views that it read.
        output: its result.
        saved: the values that its forward saved for its backward.
    """

    operation: Any
    label: str
    dtype: str
    inputs: tuple[View, ...]
    output: View | None = None
    saved: dict[str, Any] = field(default_factory=dict)


class Tape:
    """Calls in order.

    Args:
        plan: gets their launches.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.calls: list[TapeEntry] = []
        self.open: TapeEntry | None = None  # the call whose launches are being added

    def push(self, operation: Any, *inputs: View) -> View:
        """Apply a layer or an operation with an adjoint; its result."""
        call, outer = TapeEntry(operation, self.plan.label, self.plan.dtype, inputs), self.open
        self.open = call
        try:
            output = operation.forward(self.plan, *inputs)
        finally:
            self.open = outer
        if any(output is x for x in inputs):
            mask = output.mask
            output = output.view(output.shape)  # another object: its gradient is kept apart
            output.mask = mask
        trained = any(self.plan.trains(v) for v in getattr(operation, "variables", ()))
        trained |= self.plan.training and getattr(operation, "updates_own_weights", False)
        output.needs_gradient = trained or any(x.needs_gradient for x in inputs)
        call.output = output
        if outer is None:  # otherwise the backward of the outer layer includes it
            self.calls.append(call)
        return output

    def composite(self, layer: Any, x: View) -> View:
        """Apply a layer by the calls that its forward makes; its result.

        Raises:
            NotImplementedError: in training, the result of the layer is not a result of these calls.
        """
        y = layer.forward(self.plan, x)
        known = y is x or self.open is not None or any(call.output is y for call in reversed(self.calls))
        if self.plan.training and not known:
            raise NotImplementedError(
                f"{layer._owner} defines no backward(plan, dy, x, y), and what its forward returns is no result of "
                "plan.apply(layer, x) or plan.combine(operation, ...): no gradient would reach its weights. Define "
                "backward, or apply layers and operations alone."
            )
        return y

    def save(self, **values: Any) -> None:
        """Save values in the forward of the open call for its backward.

        Raises:
            RuntimeError: the name is taken.
        """
        assert self.open is not None, "nothing is being applied"
        for name in values:
            if name in self.open.saved:
                raise RuntimeError(
                    f"{self.open.label!r} has saved {name!r} already. A layer that applies others has no backward of "
                    "its own: apply them with plan.apply(layer, x), and leave backward out."
                )
        self.open.saved.update(values)

    def saved(self, name: str) -> Any:
        """A value that the forward of the open call saved."""
        assert self.open is not None, "nothing is going back"
        return self.open.saved[name]

    def backward(self, output: View, dy: View | None, source: View) -> View | None:
        """Add the launches that compute all gradients from that of a result.

        Args:
            output: the result.
            dy: its gradient.
            source: the view that the first calls read.

        Returns:
            The gradient of ``source``, or None.

        Raises:
            ValueError: a call read a view that is not the result of another one, such as a slice; its gradient would be
                lost.
        """
        gradients: dict[int, list[View]] = {id(output): [dy]} if dy is not None else {}
        made = {id(call.output) for call in self.calls} | {id(source)}
        outer = self.plan.dtype
        while self.calls:
            call = self.calls.pop()
            assert call.output is not None
            contributions = gradients.pop(id(call.output), [])
            if not contributions or not call.output.needs_gradient:
                continue
            self.plan.label, self.plan.dtype, self.open = call.label, call.dtype, call
            dy = total(self.plan, contributions)
            found = call.operation.backward(self.plan, dy, *call.inputs, call.output)
            for x, dx in zip(call.inputs, found if isinstance(found, tuple) else (found,), strict=True):
                if dx is not None and x.needs_gradient:
                    if id(x) not in made:
                        raise ValueError(
                            f"{call.label!r} reads a view {describe(x)} that no layer and no operation gave, and the "
                            "gradient of it would be lost: apply layers and operations to whole results."
                        )
                    gradients.setdefault(id(x), []).append(dx)
        self.open, self.plan.dtype = None, outer
        contributions = gradients.get(id(source), [])
        return total(self.plan, contributions) if contributions else None
