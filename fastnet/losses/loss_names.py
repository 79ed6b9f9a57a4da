"""Losses by name, and as plain data."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet._kernels import registry
from fastnet._kernels.errors import quoted
from fastnet.descriptions import Configurable, Family
from fastnet.losses import loss_functions, overlap, pairs
from fastnet.losses.function_loss import FunctionLoss
from fastnet.losses.loss import Loss

family = Family(
    "a loss",
    Loss,
    [*loss_functions.CLASSES, *overlap.CLASSES, *pairs.CLASSES],
    table=registry.losses,
    twins={**loss_functions.FUNCTIONS, **overlap.FUNCTIONS, **pairs.FUNCTIONS},
    wanted="a name, one of fastnet.losses, a subclass of fastnet.losses.Loss or a function of two numbers "
    "f(y_true, y_pred), to which fastnet.register_loss(name, function) gives a name",
)


def of_one_output(given: Any, argument: str) -> Any:
    """The entry of an argument of ``compile`` for a model's one output; a list or a dictionary has one entry.

    Raises:
        ValueError: the argument has entries for another number of outputs.
    """
    several = isinstance(given, (list, tuple)) or (isinstance(given, dict) and "class_name" not in given)
    if not several:
        return given
    if len(given) != 1:
        raise ValueError(
            f"compile: {argument} must be given for one output, which is what a Sequential has; received "
            f"{quoted(given)}."
        )
    return next(iter(given.values() if isinstance(given, dict) else given))


def get(identifier: Any, gradient: bool = True, **parameters: Any) -> Any:
    """The loss of a name, a class, a description, one of this module's functions, or a function of two numbers.

    None for None.

    Args:
        identifier: what to look up.
        gradient: False for a metric, whose function need have no derivative.
        parameters: arguments for a class or a function.

    Raises:
        ValueError: an unknown name, which offers the nearest known ones; a function that cannot become a kernel.

    Example:
        >>> import fastnet
        >>> fastnet.losses.get("mse")([[1.0, 2.0]], [[1.0, 4.0]])
        2.0
    """
    if identifier is None:
        return None
    found = family.look_up(identifier)
    is_function = callable(found) and not isinstance(found, (type, Configurable))
    if isinstance(found, registry.Loss) or is_function:
        return FunctionLoss(found, gradient=gradient, **parameters)
    return family.create(found, **parameters)


def loss_weight(given: Any) -> float:
    """``loss_weights`` of a model with one output as a factor; 1 where None.

    Raises:
        ValueError: no finite number, nor a list or a dictionary of one.
    """
    given = of_one_output(given, "loss_weights")
    if given is None:
        return 1.0
    return checks.number("loss_weights (of the one output of a Sequential)", given)


def serialize(loss: Any) -> Any:
    """A description of a loss as plain data; a name or None stays.

    Args:
        loss: a `Loss`, or a function.

    Example:
        >>> losses.serialize(losses.Huber(2.0))["config"]["delta"]
        2.0
    """
    return family.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Loss:
    """The loss that `serialize` described.

    Args:
        name: a description or a name.
        custom_objects: name → class or function of yours that it mentions.

    Raises:
        ValueError: nothing of that name is known.

    Example:
        >>> losses.deserialize(losses.serialize(losses.Huber(2.0))).delta
        2.0
    """
    return family.deserialize(name, custom_objects, get)
