"""The loss of a function of the user's, or of a row of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnet import checks, serialization
from fastnet._kernels import registry
from fastnet.descriptions import snake_case
from fastnet.losses.function_rows import function_row
from fastnet.losses.loss import Loss
from fastnet.settable import argument_names


class FunctionLoss(Loss):
    """The loss of a formula given as a function, or of a row of the registry.

    Args:
        fn: a function ``f(y_true, y_pred)`` of two numbers, whose mean over the last axis is a row's loss, or of arrays
            (`fastnet.ops`); or a row of the registry.
        reduction, name, dtype: as for every `Loss`.
        gradient: False for a function that need have no derivative, as a metric.
        parameters: values of the function's further arguments.

    Raises:
        ValueError: a function that cannot become a kernel, or unknown arguments.

    Example:
        >>> def cubic(y_true, y_pred):
        ...     return abs(y_pred - y_true) ** 3
        >>> losses.FunctionLoss(cubic)([[0.0, 1.0]], [[2.0, 1.0]])
        4.0
    """

    _fixed = ("fn",)
    _kind = "function loss"

    def __init__(
        self,
        fn: Callable | registry.Loss,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        *,
        gradient: bool = True,
        **parameters: float,
    ):
        self._found = row = fn if isinstance(fn, registry.Loss) else function_row(fn, gradient)
        super().__init__(name or (row.name if row is fn else _name_of(fn)), reduction, dtype)
        unknown = set(parameters) - set(row.parameters)
        if unknown:
            raise ValueError(f"The loss {row.name!r} takes {list(row.parameters)}, received {sorted(unknown)}.")
        self.fn = fn
        for parameter, value in {**row.parameters, **parameters}.items():
            setattr(self, parameter, value)

    def is_argument(self, name: str) -> bool:
        """Whether an attribute is an argument, or one of the function's."""
        return super().is_argument(name) or ("_found" in vars(self) and name in self.row.parameters)

    def checked_argument(self, name: str, value: Any) -> Any:
        """The value that an argument gets; a number or a truth value where it is the function's."""
        if name in self.row.parameters and not isinstance(value, bool):
            return checks.number(f"{self.name}: {name}", value, self.row.ranges.get(name, checks.FINITE))
        return super().checked_argument(name, value)

    @property
    def row(self) -> registry.Loss:
        return self._found

    @property
    def parameters(self) -> dict[str, float]:
        """The values of the function's arguments."""
        return {name: float(getattr(self, name)) for name in self.row.parameters}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it; a registered loss is known by its name."""
        if "fn" not in argument_names(type(self)):  # a subclass that gives the function itself
            return super().get_config()
        known = registry.losses.knows(self.row)
        fn = self.row.name if known else serialization.serialize_keras_object(self.fn)
        given = {name: getattr(self, name) for name in self.row.parameters}
        return {"fn": fn, "name": self.name, "reduction": self.reduction, **given}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FunctionLoss:
        """The loss that `get_config` described."""
        if "fn" not in argument_names(cls):
            return super().from_config(config)
        config = serialization.arguments(cls, config)
        fn = config.pop("fn")
        fn = registry.losses.find(fn) if isinstance(fn, str) else serialization.deserialize_keras_object(fn)
        return cls(fn, **config)


def _name_of(function: Any) -> str:
    """The name of a function, that of an object's class: "lambda" of a lambda, as in Keras."""
    name = getattr(function, "__name__", None)
    return snake_case(type(function).__name__) if name is None else name.strip("<>")
