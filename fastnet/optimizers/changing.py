"""How an optimizer is made and changed: arguments in Keras's order, attributes that stay true to what is done."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import checks
from fastnet._kernels.registry import nearest

if TYPE_CHECKING:
    from fastnet.optimizers.base import Optimizer

#: What Keras's optimizers have, or once had, and what to do instead.
INSTEAD = {
    "lr": "it is called learning_rate",
    "decay": "a learning rate that falls is one of fastnet.optimizers.schedules",
    "apply_gradients": "updates are compiled into the step of fit and train_on_batch",
    "minimize": "updates are compiled into the step of fit and train_on_batch",
}
#: What training changes, and a name: all else that can be set is an argument.
_CHANGING = ("iterations", "states", "memory", "undecayed", "name", "learning_rate")


class Made(type):
    """The metaclass of optimizers: makes one of arguments in the order of its signature, by place or by name."""

    @property
    def __signature__(cls) -> inspect.Signature:
        """Its arguments; where it passes ``**more`` on, behind its own those of the class that takes them."""
        own = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
        parent = cls.__mro__[1]
        if isinstance(parent, Made) and any(p.kind is p.VAR_KEYWORD for p in own):
            own = [p for p in own if p.kind is not p.VAR_KEYWORD]
            taken = {"row", *(p.name for p in own)}
            rest = list(parent.__signature__.parameters.values())
            if not isinstance(parent.__mro__[1], Made):  # a rule's own numbers are not for all
                rest = [p for p in rest if p.kind is not p.VAR_KEYWORD]
            own += sorted((p for p in rest if p.name not in taken), key=lambda p: p.name == "name")  # Keras has it last
        return inspect.Signature(sorted(own, key=lambda p: p.kind))  # and behind it what is passed by name alone

    def __call__(cls, *args: Any, **more: Any) -> Any:
        signature = cls.__signature__
        if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
            for name in more:
                if name not in signature.parameters:
                    raise TypeError(unknown_argument(cls.__name__, name, signature.parameters))
            args, more = (), dict(signature.bind(*args, **more).arguments)
        made = super().__call__(*args, **more)
        made.__dict__["_made"] = True
        return made


def unknown_argument(owner: str, name: str, known: Mapping[str, Any]) -> str:
    """The sentence for an argument or an attribute that an optimizer does not have."""
    if name in INSTEAD:
        return f"{owner} has no {name}: {INSTEAD[name]}."
    near = nearest(name, known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{owner} has no {name!r}.{hint} It takes {', '.join(known)}."


def change(optimizer: Optimizer, name: str, value: Any) -> None:
    """Set an argument of an optimizer that is made; checked as when it is made, and used from the next step on.

    Raises:
        AttributeError: it takes no such argument, or what it keeps for the weights would be something else.
        ValueError: the value is out of its range.
    """
    owner, arguments = type(optimizer).__name__, optimizer.given()
    if name not in arguments:
        raise AttributeError(unknown_argument(owner, name, arguments))
    new = type(optimizer)(**{**arguments, name: value})
    if optimizer.states:
        other = new.row is not optimizer.row or any(
            new.row_of(v) is not optimizer.row_of(v) or new.kept_names(v) != optimizer.kept_names(v)
            for v in optimizer.states
        )
        if other or name in optimizer.row.starts.values():
            raise AttributeError(
                f"{owner}: {name} cannot be changed to {value!r} any more: what the optimizer keeps for each weight "
                f"began with {name}={arguments[name]!r}. Make another one, {owner}({name}={value!r}), and compile with "
                "it."
            )
    else:
        optimizer.__dict__["memory"] = new.memory
    changed = {key: item for key, item in vars(new).items() if key in (*arguments, "row", "parameters")}
    optimizer.__dict__.update(changed, _version=optimizer._version + 1)


def settable(optimizer: Optimizer, name: str) -> bool:
    """Whether an attribute is set as it is: while the optimizer is made, what training changes, a subclass's own."""
    made = optimizer.__dict__.get("_made", False)
    if not made or name in _CHANGING or name.startswith("_"):
        return True
    cls = type(optimizer)
    own = not cls.__module__.startswith("fastnet.")
    return own and name not in (*cls.__signature__.parameters, *optimizer.parameters)


class Rate(float):
    """A learning rate as it was read: a number, with the two methods that Keras's has."""

    __slots__ = ("_optimizer",)
    _optimizer: Optimizer

    def __new__(cls, value: float, optimizer: Optimizer) -> Rate:
        rate = super().__new__(cls, value)
        rate._optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Set the optimizer's learning rate."""
        self._optimizer.learning_rate = value

    def numpy(self) -> np.ndarray:
        """As an array without axes."""
        return np.array(float(self))

    def __reduce__(self) -> tuple:
        return float, (float(self),)


class Count(int):
    """A number of steps."""

    def numpy(self) -> np.ndarray:
        """As an array without axes."""
        return np.array(int(self))

    def __reduce__(self) -> tuple:
        return int, (int(self),)


def count(owner: str, value: Any) -> Count:
    """``value`` as a number of steps."""
    return Count(value if type(value) is int and value >= 0 else checks.whole(f"{owner}: iterations", value, 0))
