"""The methods of Keras's optimizers that a class with `update_step` calls and defines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnet.engine.variable import Variable
from fastnet.optimizers.array_form import OUTSIDE, ArrayForm


class KerasForm:
    """The methods of Keras's optimizers that a subclass in array code calls and defines."""

    _form: ArrayForm | None
    states: dict[Variable, list[Variable]]
    changes: int

    def __init_subclass__(cls, **more: Any):
        super().__init_subclass__(**more)
        if "build" in vars(cls) and not cls.__module__.startswith("fastnet."):
            cls.build = _guarded(vars(cls)["build"])  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        before: Any = vars(self).get(name)
        form = vars(self).get("_form")
        if form is not None and form.is_building and isinstance(value, Variable):
            value = form.own(type(self).__name__, value, name)
        super().__setattr__(name, value)
        if form is None or form.is_building or form.step is not None or name in OUTSIDE or name[:2] == "__":
            return
        if "_completed" in vars(self) and (type(before) is not type(value) or not np.array_equal(before, value)):
            self.__dict__["changes"] = self.changes + 1

    @property
    def built(self) -> bool:
        """Whether there are states of weights."""
        return bool(self.states)

    @property
    def _learning_rate(self) -> Any:
        """The learning rate, or the schedule."""
        return self._schedule if self.scheduled else self.learning_rate  # type: ignore[attr-defined]

    @_learning_rate.setter
    def _learning_rate(self, value: Any) -> None:
        self.learning_rate = value

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Change a weight and its states: what a subclass defines in array code, and fastnet compiles.

        It is called with symbolic arrays when the optimizer is built, for each weight twice, and again when an
        attribute is set to another value. What it assigns becomes one pass over the weight; numbers that depend on
        the step alone are computed once a step, in float64, and sums over the weight before the pass. In a subclass
        of `Adam` or another of fastnet's rules, ``super().update_step`` is the rule.

        Args:
            gradient: of the weight, after clips.
            variable: the weight.
            learning_rate: of the step.

        Raises:
            fastnet.RuleError: the update cannot be compiled; the message says why, and in which line.

        Example:
            >>> import numpy as np
            >>> from fastnet import ops
            >>> class Signs(optimizers.Optimizer):
            ...     def update_step(self, gradient, variable, learning_rate):
            ...         self.assign_sub(variable, learning_rate * ops.sign(gradient))
            >>> w = np.array([1.0, -1.0])
            >>> Signs(learning_rate=0.25).apply([w], [w])
            >>> w.tolist()
            [0.75, -0.75]
        """
        if self._form is None or not self._form.has_rule(self):
            raise NotImplementedError(f"{type(self).__name__}: no parent has an update_step.")
        self._form.apply_rule(self, gradient, variable, learning_rate)

    def add_variable(
        self, shape: Sequence[int], initializer: Any = "zeros", dtype: Any = None, aggregation: str = "none",
        layout: Any = None, name: str | None = None,
    ) -> Variable:  # fmt: skip
        """A new state, in `build`: of a weight's shape, or () for one number, which is float64.

        It belongs to the weight whose update uses it.

        Args:
            shape: its shape.
            initializer: of its first value.
            dtype, aggregation, layout: accepted; the dtype is the weight's.
            name: as in `Optimizer.state`.

        Raises:
            ValueError: no weight has this shape, or it is called outside of `build`.

        Example:
            >>> import numpy as np
            >>> class Shrinking(optimizers.Optimizer):
            ...     def build(self, variables):
            ...         super().build(variables)
            ...         self.factors = [self.add_variable((), "ones", name="factor") for _ in variables]
            ...     def update_step(self, gradient, variable, learning_rate):
            ...         factor = self.factors[self._get_variable_index(variable)]
            ...         self.assign(factor, factor * 0.5)
            ...         self.assign_sub(variable, factor * gradient)
            >>> w, optimizer = np.array([4.0]), Shrinking(learning_rate=1.0)
            >>> for _ in range(2):
            ...     optimizer.apply([np.ones(1)], [w])
            >>> w.tolist()
            [3.25]
        """
        form = self._form_of("add_variable")
        return form.add(type(self).__name__, tuple(shape), initializer, name or "var", None, dtype)

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A new state of a weight, of its shape and dtype, in `build`.

        Args:
            reference_variable: the weight.
            name: as in `Optimizer.state`.
            initializer: of its first value.

        Raises:
            ValueError: it is called outside of `build`, or with another weight.

        Example:
            >>> import numpy as np
            >>> class Heavy(optimizers.Optimizer):
            ...     def build(self, variables):
            ...         super().build(variables)
            ...         self.momentums = [self.add_variable_from_reference(v, "momentum") for v in variables]
            ...     def update_step(self, gradient, variable, learning_rate):
            ...         m = self.momentums[self._get_variable_index(variable)]
            ...         self.assign(m, 0.5 * m - learning_rate * gradient)
            ...         self.assign_add(variable, m)
            >>> optimizer = Heavy(learning_rate=0.1)
            >>> optimizer.build([np.zeros(2)])
            >>> [v.name for v in optimizer.variables]
            ['iteration', 'learning_rate', 'momentum']
        """
        form, shape = self._form_of("add_variable_from_reference"), reference_variable.shape
        return form.add(type(self).__name__, shape, initializer, name or "var", reference_variable)

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """A list with a state for each weight, or one list for each of several names, in `build`.

        Args:
            trainable_variables: the weights.
            name: one or several.
            initializer: of first values; one, or one for each name.

        Raises:
            ValueError: it is called outside of `build`, or the numbers of names and initializers differ.

        Example:
            >>> import numpy as np
            >>> class Averages(optimizers.Optimizer):
            ...     def build(self, variables):
            ...         super().build(variables)
            ...         self.m, self.v = self.add_optimizer_variables(variables, ["m", "v"])
            ...     def update_step(self, gradient, variable, learning_rate):
            ...         self.assign_sub(variable, learning_rate * gradient)
            >>> optimizer = Averages(learning_rate=0.1)
            >>> optimizer.build([np.zeros(2), np.zeros(3)])
            >>> [v.shape for v in optimizer.m]
            [(2,), (3,)]
        """
        names = [name] if isinstance(name, str) else list(name)
        firsts = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(names) != len(firsts):
            raise ValueError(
                f"{type(self).__name__}: add_optimizer_variables takes one initializer for each name, received "
                f"{len(firsts)} for {len(names)}."
            )
        weights = list(trainable_variables)
        add = self.add_variable_from_reference
        lists = [[add(v, each, first) for v in weights] for each, first in zip(names, firsts, strict=True)]
        return lists[0] if isinstance(name, str) else tuple(lists)

    def assign(self, variable: Variable, value: Any) -> None:
        """Set a weight or a state, in `update_step` as everywhere: ``variable.assign(value)``.

        Example:
            >>> import numpy as np
            >>> dense = layers.Dense(1)
            >>> dense.build((None, 1))
            >>> optimizers.SGD().assign(dense.bias, np.ones(1))
            >>> dense.bias.numpy().tolist()
            [1.0]
        """
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to a weight or a state: ``variable.assign_add(value)``.

        Example:
            >>> import numpy as np
            >>> dense = layers.Dense(1)
            >>> dense.build((None, 1))
            >>> optimizers.SGD().assign_add(dense.bias, np.ones(1))
            >>> dense.bias.numpy().tolist()
            [1.0]
        """
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from a weight or a state: ``variable.assign_sub(value)``.

        Example:
            >>> import numpy as np
            >>> dense = layers.Dense(1)
            >>> dense.build((None, 1))
            >>> optimizers.SGD().assign_sub(dense.bias, np.ones(1))
            >>> dense.bias.numpy().tolist()
            [-1.0]
        """
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Variable) -> int:
        """The number of a weight in the lists that `build` made."""
        return self._form_of("_get_variable_index").indices[variable]

    def decays(self, variable: Variable) -> bool:
        """Whether a weight decays in front of the rule: not where a class defines its own decay."""
        return not defines(type(self), "_apply_weight_decay") and super().decays(variable)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Iterable[Variable]) -> None:
        """Let weights decay, which a subclass may do in another way: it is traced as a part of the update of each."""
        for variable in variables:
            decay = self.decay_of(variable)  # type: ignore[attr-defined]
            if decay and self._use_weight_decay(variable):  # type: ignore[attr-defined]
                variable.assign(variable - variable * (decay * self.learning_rate))  # type: ignore[attr-defined]

    def _decay_and_update(self, gradient: Any, variable: Variable, learning_rate: Any) -> Any:
        """The update of a weight as it is traced."""
        if defines(type(self), "_apply_weight_decay"):
            self._apply_weight_decay([variable])
        return self.update_step(gradient, variable, learning_rate)  # type: ignore[func-returns-value]

    @property
    def _has_shared_step(self) -> bool:
        return defines(type(self), "_backend_update_step")

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        """Update all weights. A subclass may assign numbers that they share before or after it calls this method."""
        shared = self._form_of("_backend_update_step").shared_step
        if shared is None:
            raise TypeError(
                f"{type(self).__name__}._backend_update_step is traced; apply(gradients, weights) is a step."
            )
        shared.update_all(grads, trainable_variables, learning_rate)

    def _overwrite_variable_with_gradient(self, variable: Variable) -> bool:
        """Whether the gradient is the new value: of no weight."""
        return False

    def _form_of(self, method: str) -> ArrayForm:
        if self._form is None:
            raise TypeError(
                f"{type(self).__name__}.{method}: states are added to an optimizer whose class defines update_step."
            )
        return self._form


def defines(cls: type, method: str) -> bool:
    """Whether a user's class defines a method of `KerasForm`."""
    return getattr(cls, method) is not getattr(KerasForm, method)


def form_of(optimizer: Any, base: type) -> ArrayForm | None:
    """The form of a new optimizer; None where its class defines no `update_step`.

    Raises:
        TypeError: it does, and one of fastnet's classes above it updates weights in another way.
    """
    cls = type(optimizer)
    if cls.update_step is KerasForm.update_step:
        return None
    changed = [
        name for name in ("row_of", "redirect", "start", "launch") if getattr(cls, name) is not getattr(base, name)
    ]
    if changed:
        raise TypeError(
            f"{cls.__name__} defines update_step, and inherits {changed[0]}, another way to update weights; make it a "
            "subclass of optimizers.Optimizer."
        )
    return ArrayForm()


def _guarded(build: Callable[..., Any]) -> Callable[..., Any]:
    """A user's `build`, which runs for weights that have no states yet."""

    @functools.wraps(build)
    def guarded(self: Any, variables: Iterable[Any]) -> None:
        if self._form is None or self._form.is_building:
            build(self, variables)
        else:
            self._form.build(self, build, variables)

    return guarded
