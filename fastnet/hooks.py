"""Methods that Keras calls and fastnet does not: a subclass that defines one is refused when it is defined."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

_EXTENDING = "(docs/extending.md)"
_SHAPE = "weights are made for the shape that the network has; leave it out"
_FILES = "files hold all weights; make what must be saved a weight: add_weight(..., trainable=False)"
_LAYER = {
    "call": f"define call(self, x) in the class, as array code {_EXTENDING}",
    "__call__": f"a layer defines forward(plan, x) {_EXTENDING}",
    "build": "it belongs to call(self, x), array code; a layer with forward defines make_weights(input_shape), which "
    f"is given the shape of one sample {_EXTENDING}",
    "compute_output_shape": "it belongs to call(self, x), array code; a layer with forward defines "
    f"sample_output_shape(input_shape), from the shape of one sample to that of its result {_EXTENDING}",
    "compute_output_spec": "there are no symbolic tensors; a layer defines sample_output_shape(input_shape)",
    "quantized_call": "weights are float32 or float64; leave it out",
    "get_build_config": _SHAPE,
    "build_from_config": _SHAPE,
    "save_own_variables": _FILES,
    "load_own_variables": _FILES,
}
_LAYER_OF_LAYERS = f"a network applies its layers in order; a layer of layers defines forward(plan, x) {_EXTENDING}"
_COMPILED = "steps are compiled when they are first needed"
_WRAPPED = "A method (self, data) may wrap that of super(), and look at the batch and the logs."
_METRICS = "a metric is a subclass of metrics.Metric, given to compile(metrics=[...])"
_SEQUENTIAL = {
    **_LAYER,
    "call": _LAYER_OF_LAYERS,
    "__call__": _LAYER_OF_LAYERS,
    "build": "give the layers to __init__; they are built for the first data",
    "compute_output_shape": "the shape follows from the layers",
    "train_step": f"{_COMPILED}. {_WRAPPED} A step of another kind is gradients(x, y) and train_on_gradient(x, "
    "gradient); a new loss or update is a rule (docs/extending.md); a callback acts between steps",
    "test_step": f"{_COMPILED}. {_WRAPPED} {_METRICS[0].upper()}{_METRICS[1:]}; a callback acts between steps",
    "predict_step": f"{_COMPILED}. Call predict, and go on from its result",
    "compute_loss": f"a loss is a rule, a function of two numbers {_EXTENDING}; a penalty is a regularizer",
    "compute_loss_and_updates": f"a loss is a rule, a function of two numbers {_EXTENDING}",
    "compute_metrics": _METRICS,
    "get_metrics_result": f"{_METRICS}; a callback may change the logs",
    "reset_metrics": _METRICS,
    "metrics": _METRICS,
    **dict.fromkeys(
        ("make_train_function", "make_test_function", "make_predict_function"),
        f"{_COMPILED}; a callback acts between steps",
    ),
}
_STEP = f"define update_step(self, gradient, variable, learning_rate) in array code {_EXTENDING}"

#: kind of class → method → the alternative
HOOKS: dict[str, dict[str, str]] = {
    "layer": _LAYER,
    "model": _SEQUENTIAL,
    "loss": {"__call__": f"a loss defines call(y_true, y_pred), a static method of two numbers {_EXTENDING}"},
    "function loss": {"call": "its formula is the argument fn; make a subclass of losses.Loss"},
    "optimizer": {
        **dict.fromkeys(
            ("apply_gradients", "stateless_apply", "apply", "assign", "assign_add", "assign_sub", "scale_loss"), _STEP
        ),
        **dict.fromkeys(
            ("_backend_update_step", "_apply_weight_decay"), f"it belongs to a class with update_step {_EXTENDING}"
        ),
    },
}


#: Methods that are refused by `Sequential.compile`, not when the class is defined: without it no step runs. One that
#: wraps its parent's is called.
AT_COMPILE = ("train_step", "test_step")


def refuse(cls: type, kind: str, at_compile: bool = False, allowed: tuple[str, ...] = ()) -> None:
    """Check that neither a user's class nor its mixins define a method that would be ignored in silence.

    Args:
        cls: the class.
        kind: one of `HOOKS`.
        at_compile: whether to look for `AT_COMPILE`, or for the others.
        allowed: methods that it may define.

    Raises:
        TypeError: one is defined.
    """
    defined = {
        name
        for owner in users_classes(cls)
        for name in vars(owner)
        if (name in AT_COMPILE) is at_compile and not (at_compile and _wraps_parents(owner, name))
    }
    if (name := next((name for name in HOOKS[kind] if name in defined and name not in allowed), None)) is not None:
        raise TypeError(not_called(f"The {kind} class {cls.__name__} defines", kind, name))


def _wraps_parents(owner: type, name: str) -> bool:
    """Whether a method (self, data) names that of ``super()``; a step sees whether it is called."""
    method = vars(owner)[name]
    is_method = inspect.isfunction(method) and len(inspect.signature(method).parameters) == 2
    return is_method and {"super", name} <= set(method.__code__.co_names)


def not_called(beginning: str, kind: str, name: str) -> str:
    """The sentence for a method that would be ignored."""
    return f"{beginning} {name}, which fastnet does not call: {HOOKS[kind][name]}."


def unmade(cls: type) -> AttributeError:
    """The error for an object whose parent's ``__init__`` was not called."""
    return AttributeError(f"{cls.__name__}.__init__ must call super().__init__(**more) first.")


def check_parameters(cls: type, **methods: str) -> None:
    """Check that methods which a user's class defines take what they are called with.

    Args:
        cls: the class.
        **methods: each with its parameters, ``compute_mask="self, plan, x, y"``.

    Raises:
        TypeError: one takes more or fewer.
    """
    if cls.__module__.startswith("fastnet."):
        return
    for method, wanted in methods.items():
        found = vars(cls).get(method)
        if not inspect.isfunction(found):
            continue
        signature = inspect.signature(found)
        try:
            signature.bind(*wanted.split(", "))
        except TypeError:
            raise TypeError(
                f"The class {cls.__name__} defines {method}{signature}; in fastnet it is {method}({wanted}) "
                f"{_EXTENDING}."
            ) from None


def users_classes(cls: type) -> Iterator[type]:
    """The classes that a class inherits from, itself included, without fastnet's and Python's own."""
    return (owner for owner in cls.__mro__ if not owner.__module__.startswith(("fastnet.", "builtins", "typing")))


def nearest_own(cls: type) -> Any:
    """The nearest class in the ancestry of a class that is fastnet's own."""
    return next(owner for owner in cls.__mro__ if owner.__module__.startswith("fastnet."))


def as_parent(item: Any, state: dict[str, Any]) -> Any:
    """An object of a user's class as one of the nearest class that is fastnet's: what ``super()`` is in its methods.

    Args:
        item: the object.
        state: the attributes of the new one.
    """
    twin = object.__new__(nearest_own(type(item)))
    vars(twin).update(state)
    return twin


def overrides(cls: type, method: str) -> bool:
    """Whether a user's class defines a method of its parents."""
    return any(method in vars(owner) for owner in users_classes(cls))
