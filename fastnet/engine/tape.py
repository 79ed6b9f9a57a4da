"""The calls of a network in order: forward pushes them, and backward pops them.

A call is of a layer, or of an operation between results (`operations`). Each has its adjoint, `backward`, which reads
the values that `forward` saved. A layer without a `backward` of its own is a composite: the calls of its forward are
pushed instead of it. A result that is read twice has two gradients, which are added; so has a weight that is used
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastnet.engine.operations import total
from fastnet.engine.view import View, describe, storage

if TYPE_CHECKING:
    from fastnet.engine.launch import Launch
    from fastnet.engine.plan import Plan
    from fastnet.engine.variable import Variable


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
        self.parts: set[int] | None = None  # ids of the layers that the composite being applied may apply
        self.pushed: list[tuple[int, int, View]] = []  # of each call: its first launch, the one behind it, its result
        self.deferred: list[tuple[str, str, Any, dict[str, Any]]] = []  # (label, dtype, template, operands)
        self.zeros: dict[int, View] = {}  # gradients that are 0 since something stops them, by their ids
        self.stopped: set[Variable] = set()  # weights that get such a gradient
        self.reached: set[Variable] = set()  # weights that get another one, or that a layer has named

    def push(self, operation: Any, *inputs: View) -> View:
        """Apply a layer or an operation with an adjoint; its result."""
        call, outer = TapeEntry(operation, self.plan.label, self.plan.dtype, inputs), self.open
        self.open, first = call, len(self.plan.launches)
        try:
            output = checked_result(operation, operation.forward(self.plan, *inputs))
        finally:
            self.open = outer
        if not _is_built_in(operation):
            _check_unwritten(operation, "forward", self.plan.launches[first:], inputs)
        if any(output is x for x in inputs):
            mask = output.mask
            output = output.view(output.shape)  # another object: its gradient is kept apart
            output.mask = mask
        trained = any(self.plan.trains(v) for v in getattr(operation, "variables", ()))
        trained |= self.plan.training and getattr(operation, "updates_own_weights", False)
        output.needs_gradient = trained or any(x.needs_gradient for x in inputs)
        call.output = output
        self.pushed.append((first, len(self.plan.launches), output))
        if outer is None:  # otherwise the backward of the outer layer includes it
            self.calls.append(call)
        return output

    def composite(self, layer: Any, x: View) -> View:
        """Apply a layer by the calls that its forward makes; its result.

        Raises:
            NotImplementedError: in training, the result of the layer is not a result of these calls, or its forward
                calls templates on what needs a gradient.
            ValueError: its forward writes to its input, or to a result of these calls.
        """
        outer, first, earlier = self.parts, len(self.plan.launches), len(self.pushed)
        self.parts = None if _is_built_in(layer) else _ids_within(layer)
        try:
            y = checked_result(layer, layer.forward(self.plan, x))
        finally:
            self.parts = outer
        if not _is_built_in(layer):
            self._check_launches(layer, first, [x], self.pushed[earlier:])
        known = y is x or self.open is not None or any(call.output is y for call in reversed(self.calls))
        if self.plan.training and not known:
            raise NotImplementedError(
                f"{layer._owner} defines no backward(plan, dy, x, y), and the result of its forward comes from neither "
                "plan.apply(layer, x) nor plan.combine(operation, ...): no gradient would reach its weights. Define "
                "backward, or only apply layers and operations."
            )
        return y

    def _check_launches(self, layer: Any, first: int, views: list[View], calls: list[tuple[int, int, View]]) -> None:
        """Check the launches, from the first, that a composite's forward added beside those of these calls."""
        of_calls = {position for start, stop, _ in calls for position in range(start, stop)}
        launches = [one for i, one in enumerate(self.plan.launches[first:], first) if i not in of_calls]
        _check_unwritten(layer, "forward", launches, [*views, *(result for *_, result in calls)])
        for launch in launches if self.plan.training else ():
            for operand, _ in launch.access:
                if getattr(operand, "needs_gradient", False):
                    raise NotImplementedError(
                        f"{layer._owner} defines no backward(plan, dy, x, y), and its forward calls the template "
                        f"{launch.name!r} on {describe(operand)}: no gradient would pass through it. Define backward, "
                        "or put the call into a layer with a backward, and apply that one."
                    )

    def _is_zero(self, operation: Any, gradients: Iterable[View]) -> bool:
        """Whether an operation passes only zeros on, of these gradients of its result; a user's backward may do what it
        likes."""
        if not _is_built_in(operation) or getattr(operation, "adds_gradient", False):
            return False
        stops = getattr(getattr(operation, "activation", None), "stops_gradient", False)
        return stops or all(id(each) in self.zeros for each in gradients)

    def check_part(self, layer: Any) -> None:
        """Check a layer that the forward of another one applies.

        Raises:
            ValueError: the other one does not hold it, or defines backward, to which its gradients would not come.
        """
        if self.open is not None and not _is_built_in(self.open.operation):
            raise ValueError(
                f"{layer._owner} is applied by {self.open.label!r}, which defines backward: the gradients of what it "
                "applies would be lost. Leave backward out: the plan goes back through the layers that forward applies."
            )
        if self.parts is not None and id(layer) not in self.parts:
            raise ValueError(
                f"{layer._owner} is applied by the forward of a layer that does not hold it: its weights would be "
                "neither trained nor saved. Make it in __init__, and keep it in an attribute, or in a list, tuple or "
                "dictionary that is an attribute."
            )

    def defer(self, template: Any, **operands: Any) -> None:
        """Call a template behind the backward of all layers, in the order of their forwards: a layer that is applied
        twice and moves averages then moves them in this order."""
        self.deferred.append((self.plan.label, self.plan.dtype, template, operands))

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
        produced = {id(call.output) for call in self.calls} | {id(source)}
        outer = self.plan.dtype
        while self.calls:
            call = self.calls.pop()
            assert call.output is not None
            contributions = gradients.pop(id(call.output), [])
            if not contributions or not call.output.needs_gradient:
                continue
            self.plan.label, self.plan.dtype, self.open = call.label, call.dtype, call
            dy, first = total(self.plan, contributions), len(self.plan.launches)
            found = call.operation.backward(self.plan, dy, *call.inputs, call.output)
            is_zero = self._is_zero(call.operation, contributions)
            (self.stopped if is_zero else self.reached).update(getattr(call.operation, "variables", ()))
            if not _is_built_in(call.operation):
                _check_unwritten(call.operation, "backward", self.plan.launches[first:], [dy, *call.inputs])
            for x, dx in zip(call.inputs, found if isinstance(found, tuple) else (found,), strict=True):
                if dx is None and x.needs_gradient and not _is_built_in(call.operation):
                    raise ValueError(
                        f"{call.label!r}: backward returned None, but its input needs a gradient (x.needs_gradient). "
                        "Return the gradient of x; where none flows, a buffer filled with zeros."
                    )
                if dx is not None and is_zero:
                    self.zeros[id(dx)] = dx
                if dx is not None and x.needs_gradient:
                    if id(x) not in produced:
                        raise ValueError(
                            f"{call.label!r} reads a view {describe(x)} that no layer and no operation gave, and the "
                            "gradient of it would be lost: apply layers and operations to whole results."
                        )
                    gradients.setdefault(id(x), []).append(dx)
        for label, dtype, template, operands in reversed(self.deferred):
            self.plan.label, self.plan.dtype = label, dtype
            self.plan.call(template, **operands)
        self.plan.store_assigned()
        self.open, self.plan.dtype, self.deferred = None, outer, []
        contributions = gradients.get(id(source), [])
        return total(self.plan, contributions) if contributions else None


def checked_result(operation: Any, result: Any) -> View:
    """The view that a forward returned.

    Raises:
        TypeError: it is not a view.
    """
    if not isinstance(result, View):
        owner = getattr(operation, "_owner", None) or f"The operation {type(operation).__name__}"
        given = "None" if result is None else f"{type(result).__name__} {result!r}"
        raise TypeError(f"{owner}: forward must return one view, the result, and returned {given}.")
    return result


def _is_built_in(operation: Any) -> bool:
    """Whether a layer or an operation is part of fastnet, whose tests show what the checks of others would."""
    return type(operation).__module__.startswith("fastnet.")


def _ids_within(layer: Any) -> set[int]:
    """The ids of the layers in a layer, of all depths, and its own."""
    return {id(layer)}.union(*map(_ids_within, layer.sublayers))


def _check_unwritten(operation: Any, method: str, launches: Iterable[Launch], views: Sequence[View]) -> None:
    """Check that launches leave views as they are: other layers may read them too.

    Raises:
        ValueError: one is written.
    """
    for launch in launches:
        for operand, mode in launch.access:
            if "w" in mode and any(storage(operand) is view.buffer for view in views):
                raise ValueError(
                    f"{type(operation).__name__}.{method} writes to a view that it did not make, {describe(operand)}, "
                    f"by the template {launch.name!r}. Other layers may read it too: write to plan.like(...) of it."
                )
