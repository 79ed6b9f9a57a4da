"""Activations: by name, with arguments, or applied to an array."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet import checks, serialization
from fastnet._kernels import differentiate, registration, registry
from fastnet._kernels.errors import RuleError, quoted
from fastnet._kernels.rules import activation_rules as rules
from fastnet._kernels.templates import elementwise, rows
from fastnet.array_activations import ArrayActivation
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.row_activations import GatedActivation, RowActivation, applied
from fastnet.row_activations import output_shape as output_shape
from fastnet.settable import ReadOnly
from fastnet.symbolic.array import SymbolicArray, TracingError
from fastnet.symbolic.rule_formulas import of_activation

RELU, _LINEAR = registry.activations.find("relu"), registry.activations.find("linear")


class Activation:
    """An elementwise activation y = f(x) with its arguments.

    Args:
        row: its row of the registry.
        function: a user's function that the row was made of, where it was not registered: files name it.
        parameters: values of its arguments; the row's defaults where not named.

    Example:
        >>> activations.get("leaky_relu")([-1.0, 2.0], negative_slope=0.25).tolist()
        [-0.25, 2.0]
    """

    def __init__(self, row: registry.Activation, function: Callable[..., Any] | None = None, /, **parameters: float):
        unknown = set(parameters) - set(row.parameters)
        if unknown:
            raise TypeError(f"The activation {row.name!r} takes {list(row.parameters)}, received {sorted(unknown)}.")
        self.row, self.function = row, function
        owner = f"The activation {row.name!r}"
        given = {name: checks.number(f"{owner}: {name}", value, checks.NO_NAN) for name, value in parameters.items()}
        self._parameters = {**row.parameters, **given}
        self.__name__, self.__doc__ = row.name, row.f.__doc__
        either = inspect.Parameter.POSITIONAL_OR_KEYWORD
        named = [inspect.Parameter(name, either, default=value) for name, value in self.parameters.items()]
        self.__signature__ = inspect.Signature([inspect.Parameter("x", either), *named])

    def __setattr__(self, name: str, value: Any) -> None:
        if "__signature__" in vars(self):
            raise AttributeError(
                f"The activation {self.name!r} stays as it is, and {name} cannot be set. Give the layer another one: "
                f"activation.having({next(iter(self.parameters), 'argument')}=...)."
            )
        super().__setattr__(name, value)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def parameters(self) -> dict[str, float]:
        """The values of its arguments, to be read."""
        return ReadOnly(self._parameters)

    @property
    def stops_gradient(self) -> bool:
        """Whether its derivative is 0 everywhere."""
        return differentiate.vanishes(self.row.df)

    def __call__(self, x: Any, *values: float, **parameters: float) -> Any:
        """Apply to an array of any shape.

        Args:
            x: numbers; float64 stays, everything else becomes float32.
            values, parameters: other values for the arguments, in their order or by name.

        Returns:
            An array of the same shape.
        """
        try:
            given = self.__signature__.bind(x, *values, **parameters).arguments
        except TypeError as error:
            raise TypeError(f"The activation {self.name!r} takes {self.__signature__}: {error}.") from None
        if isinstance(x, SymbolicArray):
            numbers = (given.get(name, value) for name, value in self.parameters.items())
            return of_activation(self.row, x, tuple(numbers))
        return applied(self.having(**{name: given[name] for name in self.parameters if name in given}), x)

    def __eq__(self, other: Any) -> bool:
        """Whether the other one is the same function with the same arguments: ``layer.activation == relu``. A user's
        function has its defaults."""
        if other is relu or other is gelu:
            other = get(other)
        elif other is self.function is not None:
            return self._parameters == self.row.parameters
        if not isinstance(other, Activation):
            return NotImplemented
        return self.row.f is other.row.f and self._parameters == other._parameters

    def __hash__(self) -> int:
        """That of the function of this module which it is equal to. Users' functions with one text are one activation,
        which cannot have the hash of each."""
        return hash({"relu": relu, "gelu": gelu}.get(self.row.name, self.row.name))

    def having(self, **parameters: float) -> Activation:
        """The same activation with other values of these arguments."""
        return type(self)(self.row, self.function, **{**self.parameters, **parameters})

    def forward(self, plan: Plan, x: View) -> View:
        """Add the launch of y = f(x)."""
        if self.row is _LINEAR:
            return x
        y = plan.like(x)
        plan.call(elementwise.apply, f=self.row.f, x=x, y=y, p=list(self.parameters.values()))
        y.rectified = self.row is RELU
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        """Add the launch of dx = dy f'."""
        if self.row is _LINEAR or (self.row is RELU and dy.rectified):
            return dy
        dx = plan.like(x)
        saved = x if self.row.keeps == "x" else y
        values = list(self.parameters.values())
        plan.call(elementwise.chain_rule, df=self.row.df, saved=saved, dy=dy, dx=dx, p=values)
        return dx

    def as_config(self) -> Any:
        """Its name, or a function's description; with arguments of its own ``{"name": ..., "arguments": {...}}``."""
        name = self.name if self.function is None else serialization.serialize_keras_object(self.function)
        changed = {k: v for k, v in self.parameters.items() if v != self.row.parameters[k]}
        return {"name": name, "arguments": changed} if changed else name

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.parameters.items())
        return f"<activation {self.name}({arguments})>"


def get(identifier: Any):
    """The activation of a name, a function of this module, a function of a number, a description, or None (linear).

    Raises:
        ValueError: an unknown name, which offers the nearest known ones; `fastnet.RuleError`, a kind of it, for a
            function that cannot become a kernel.

    Example:
        >>> import fastnet
        >>> fastnet.activations.get("relu")([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """
    if identifier is None:
        return linear
    if isinstance(identifier, (Activation, RowActivation, ArrayActivation)):
        return identifier
    if isinstance(identifier, dict):
        return _described(identifier)
    if (of_layer := getattr(identifier, "as_activation", None)) is not None:  # layers.LeakyReLU(0.5)
        return of_layer
    if identifier is relu or identifier is gelu:
        return get(identifier.__name__)
    if inspect.isfunction(identifier):
        return of_function(identifier)
    if isinstance(identifier, str):
        if identifier in _ROWS:
            return _ROWS[identifier]
        if identifier not in registry.activations:
            raise ValueError(registry.unknown("activation", identifier, [*registry.activations, *_ROWS]))
        return Activation(registry.activations[identifier])
    raise ValueError(
        f"An activation is a name, one of fastnet.activations, a function of a number or of arrays, or a layer "
        f"that is one function, such as LeakyReLU; received {quoted(identifier)}."
    )


def of_function(function: Callable[..., Any]) -> Any:
    """The activation of a formula of a number, or else of arrays.

    Raises:
        RuleError: the function is neither.

    Example:
        >>> activations.of_function(lambda x: abs(x) + 1)([-2.0]).tolist()
        [3.0]
    """
    try:
        return Activation(registration.activation_row(registration.name_of(function), function), function)
    except RuleError as error:
        problem = error
    return of_arrays(function, {}, problem)


def of_arrays(
    function: Callable[..., Any], arguments: dict[str, Any], error: RuleError, owner: str = "", keeps_axes: bool = True
) -> Any:
    """The activation of a formula of arrays.

    Args:
        function: ``x -> y``.
        arguments: values of its further arguments.
        error: why it is no formula of a number.
        owner: what it is given to, for errors.
        keeps_axes: whether the result must have the axes of x, but for the size of the last one.

    Raises:
        RuleError: the function cannot be compiled.

    Example:
        >>> activations.of_arrays(lambda x, k: x * k, {"k": 3.0}, fastnet.RuleError("a lambda"))([1.0]).tolist()
        [3.0]
    """
    found = ArrayActivation(function, arguments, keeps_axes)
    try:
        row = found.traced.element_row()
        return found if row is None else Activation(row, function)
    except TracingError as other:
        traced = other
    raise RuleError(f"{owner}{': ' * bool(owner)}{registration.in_neither_form(function, traced, error, 'a number')}")


def _described(config: dict[str, Any]) -> Any:
    """The activation of what `serialize` gave."""
    if isinstance(config.get("class_name"), str):
        name: Any = config.get("config")
        if config["class_name"] == "function" and name in registry.activations:  # also one that was registered
            return get(serialization.get_registered_object(config.get("registered_name") or name) or name)
        return get(serialization.deserialize_keras_object(config))
    arguments = config.get("arguments", {})
    if "name" not in config or not set(config) <= {"name", "arguments"} or not isinstance(arguments, dict):
        raise ValueError(
            f"An activation's description is {{'name': name}}, or {{'name': name, 'arguments': {{argument: number}}}}; "
            f"received {quoted(config)}."
        )
    found = get(config["name"])
    if isinstance(found, RowActivation) and arguments:
        raise ValueError(f"The activation {found.name!r} has no arguments, received {arguments}.")
    return found.having(**arguments) if arguments else found


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> np.ndarray:
    """max(x, 0); or: x above threshold, 0 there, negative_slope (x - threshold) below, at most max_value.

    Args:
        x: numbers, any shape.
        negative_slope: slope below the threshold.
        max_value: largest result; None for no limit.
        threshold: where the slope changes.

    Example:
        >>> activations.relu([-1.0, 2.0, 9.0], negative_slope=0.25, max_value=6.0).tolist()
        [-0.25, 2.0, 6.0]
    """
    return relu_with(negative_slope, max_value, threshold)(x)


def relu_with(negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Activation:
    """relu with these arguments as an activation: the plain or the leaky one where they say no more."""
    if max_value is None and threshold == 0:
        return get("leaky_relu").having(negative_slope=negative_slope) if negative_slope else get("relu")
    return Activation(
        registry.activations.find("clipped_relu"),
        negative_slope=negative_slope,
        max_value=np.inf if max_value is None else max_value,
        threshold=threshold,
    )


def gelu(x: Any, approximate: bool = False) -> np.ndarray:
    """x Φ(x), or its tanh form; Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Example:
        >>> activations.gelu([-1.0, 2.0]).round(3).tolist()
        [-0.159, 1.954]
    """
    return get("approximate_gelu" if approximate else "gelu")(x)


def serialize(activation: Any) -> Any:
    """The name of an activation, or its description: ``{"name": ..., "arguments": ...}`` where it has arguments.

    Example:
        >>> activations.serialize(activations.relu)
        'relu'
    """
    return get(activation).as_config()


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation of what `serialize` gave; ``custom_objects`` maps further names to activations or functions.

    Example:
        >>> activations.deserialize("relu")([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """
    with serialization.custom_object_scope(custom_objects):
        return get((custom_objects or {}).get(config, config) if isinstance(config, str) else config)


softmax = RowActivation("softmax", rules.softmax, rules.softmax_gradient)
log_softmax = RowActivation("log_softmax", rules.log_softmax, rules.log_softmax_gradient)
sparsemax = RowActivation("sparsemax", rows.sparsemax, rules.sparsemax_gradient)
glu = GatedActivation("glu")
_ROWS = {each.name: each for each in (softmax, log_softmax, sparsemax, glu)}
# Every row of the registry is public by its names. relu and gelu are functions above: their arguments choose a row.
_elementwise = {row: Activation(row) for row in registry.activations.unique()}
globals().update({name: _elementwise[row] for name, row in registry.activations.items() if name not in globals()})
linear = _elementwise[_LINEAR]
