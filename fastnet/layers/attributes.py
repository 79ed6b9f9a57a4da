"""The attributes of layers: arguments, weights, and what a user's class keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnet import activations, checks, constraints, hooks, initializers, regularizers
from fastnet._kernels.errors import RuleError
from fastnet.engine import changes
from fastnet.engine.variable import Variable
from fastnet.layers.tree import parts_of
from fastnet.refused import REFUSED_OF_LAYERS, attribute_error
from fastnet.settable import SettableArguments

_OF_BUILDING = ("built", "changes", "input_shape", "output_shape")
#: the last word of an argument → the family of its objects
_NAMED = {
    "activation": activations,
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}


class LayerAttributes(SettableArguments):
    """Checks what the attributes of a layer are set to, and refuses those that it lacks."""

    name: str
    built: bool
    sublayers: Any
    _kind: str
    _variables: list[Variable]

    def __setattr__(self, name: str, value: Any) -> None:
        """Check an attribute that is an argument; assign the value of one that is a weight."""
        current = vars(self).get(name)
        if isinstance(current, Variable) and any(current is v for v in self._variables):
            if value is not current:
                current.assign(value)
            return
        if name in hooks.HOOKS[self._kind]:
            raise AttributeError(hooks.not_called(f"{self._owner} was given", self._kind, name))
        if current is not value and self._in_use and not self.is_argument(name) and name not in _OF_BUILDING:
            self._replace(name, current, value)
        super().__setattr__(name, value)

    def _replace(self, name: str, current: Any, value: Any) -> None:
        """Note that an attribute other than an argument is replaced; its forward may depend on the value.

        Raises:
            ValueError: it holds sublayers, or follows from arguments.
        """
        built_in = type(self).__module__.startswith("fastnet.")
        if changes.is_lowering() or (built_in and (name[0] == "_" or name not in vars(self))):
            return
        if built_in or [*parts_of(current), *parts_of(value)]:
            why = "follows from its arguments" if built_in else "holds layers, whose weights are made"
            raise ValueError(f"{self._owner}: {name} {why}, and stays as it is; make another layer.")
        vars(self)["changes"] = self.changes + 1
        changes.arguments.mark()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if "name" not in vars(self) and not name.startswith("__"):
                raise hooks.unmade(type(self))
            if name in REFUSED_OF_LAYERS:
                raise attribute_error(type(self).__name__, name, REFUSED_OF_LAYERS)
            return super().__getattribute__(name)  # raises the error again, with that of a property

    def is_argument(self, name: str) -> bool:
        """Whether an attribute is an argument, which is checked; False before `Layer.__init__`."""
        return "name" in vars(self) and super().is_argument(name)

    def set_argument(self, name: str, value: Any) -> None:
        """Check and store an argument's value; the next step checks all layers for changes."""
        super().set_argument(name, value)
        changes.arguments.mark()
        if name == "trainable":
            for part in self.sublayers:
                part.trainable = value

    def is_fixed(self, name: str) -> bool:
        """Whether an argument is fixed: with weights, also those by which the weights were made."""
        weight_arguments = ("dtype", "initializer", "constraint", "regularizer")
        weights_follow = self._in_use and name.endswith(weight_arguments) and name != "activity_regularizer"
        return weights_follow or super().is_fixed(name)

    def checked_argument(self, name: str, value: Any) -> Any:
        """The value that an argument gets."""
        value = super().checked_argument(name, value)
        if name.rsplit("_", 1)[-1] in _NAMED:
            return self.named(name, value)
        return checks.flag(f"{self._owner}: {name}", value) if name == "trainable" else value

    @property
    def _in_use(self) -> bool:
        """Whether it was built for data of a shape."""
        return self.built and vars(self).get("output_shape") is not None

    @property
    def _owner(self) -> str:
        """The beginning of its errors."""
        return f"Layer {self.name!r} ({type(self).__name__})"

    def named(self, argument: str, identifier: Any) -> Any:
        """Get the object of an argument that may be a name; errors name the layer and the argument.

        Args:
            argument: "activation", or a name that ends with "initializer", "regularizer" or "constraint".
            identifier: a name, a description or an object.

        Raises:
            ValueError: the name is unknown (the error offers the nearest ones), or the object is of another kind.
        """
        try:
            return _NAMED[argument.rsplit("_", 1)[-1]].get(identifier)
        except ValueError as error:
            kind = RuleError if isinstance(error, RuleError) else ValueError
            raise kind(f"{self._owner}: {argument}: {error}") from None
