"""Numbers that the updates of all weights share: what `_backend_update_step` of an optimizer assigns once a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastnet.engine.variable import Variable, tracing
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, refusal, shown
from fastnet.symbolic.leaves import argument, constant
from fastnet.symbolic.order import signature


class SharedStep:
    """A call of `_backend_update_step` with symbolic numbers.

    Args:
        candidates: the numbers that it may assign.
        rate: the learning rate of the step.
    """

    def __init__(self, candidates: Iterable[Variable], rate: SymbolicArray):
        self.variables = list(candidates)
        self.leaves = {id(v): argument(()) for v in self.variables}
        self.current = dict(self.leaves)
        self.at_updates: dict[int, SymbolicArray] | None = None
        self.gradients, self.weights, self.rate = _All("gradients"), _All("weights"), rate

    def leaf(self, variable: Variable) -> SymbolicArray:
        """The present value of a number."""
        return self.current[self._known(variable, "read")]

    def assign(self, variable: Variable, value: Any) -> None:
        """Give a number another value."""
        key, given = self._known(variable, "assigned"), constant(value)
        if given.shape:
            problem = f"{variable.name!r} is one number, and is assigned an array of shape {shown(given.shape)}"
            raise refusal(problem, "assign a number", ShapeError)
        self.current[key] = given

    def update_all(self, gradients: Any, weights: Any, rate: Any) -> None:
        """The updates of all weights: they read the present values of the numbers."""
        if gradients is not self.gradients or weights is not self.weights or self.at_updates is not None:
            raise refusal(
                "super()._backend_update_step gets other gradients or weights than it was called with, or runs twice",
                "call it once, with (grads, trainable_variables, learning_rate); change gradients in update_step",
            )
        self.at_updates, self.rate = dict(self.current), constant(rate)

    def _known(self, variable: Variable, what: str) -> int:
        if id(variable) not in self.current:
            raise refusal(
                f"{variable.name!r} is {what} in _backend_update_step",
                "it has numbers that build makes, add_variable(()); weights and their states belong to update_step",
            )
        return id(variable)


class _All:
    """Stands for the gradients or the weights of all updates, which are traced one by one."""

    def __init__(self, what: str):
        self._what = what

    def _refuse(self, *_: Any) -> Any:
        raise refusal(f"the {self._what} are read in _backend_update_step", "read one at a time, in update_step")

    __iter__ = __len__ = __getitem__ = __bool__ = _refuse


def traced_shared_step(
    optimizer: Any, candidates: Iterable[Variable], rate: SymbolicArray, step_leaves: list[SymbolicArray],
    begin: Callable[[SharedStep], None],
) -> SharedStep:  # fmt: skip
    """What `_backend_update_step` does.

    Args:
        optimizer: whose.
        candidates: the numbers that it may assign.
        rate: the learning rate of the step.
        step_leaves: what all updates share.
        begin: gets each call before it is made.

    Raises:
        TracingError: it does what cannot be compiled, or something else when it is called again.
    """
    calls, given = [], list(candidates)
    for _ in range(2):
        call = SharedStep(given, rate)
        begin(call)
        with tracing.within(leaf=call.leaf, assign=call.assign, refuse=_refuse, check_fold=_no_fold):
            optimizer._backend_update_step(call.gradients, call.weights, rate)
        if call.at_updates is None:
            raise TracingError("it updates no weight: call super()._backend_update_step(...) with what it was given.")
        arguments = [*step_leaves, *call.leaves.values()]
        found = [*call.current.values(), *call.at_updates.values(), call.rate]
        calls.append((call, [signature(arguments, x) for x in found]))
    if calls[0][1] != calls[1][1]:
        raise TracingError("it does something else when it is called again.")
    return calls[0][0]


def _refuse(variable: Variable) -> None:
    raise refusal(f"the elements of {variable.name!r} are read", "use it as it is, with operators")


def _no_fold(name: str, x: SymbolicArray, axes: tuple[int, ...]) -> None:
    """A fold of a number is the number."""
