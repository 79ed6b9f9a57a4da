"""Optimizers outside of a model: they change weights, or plain arrays, by gradients that are given."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine import changes
from fastnet.engine.bind import bind
from fastnet.engine.executable import Executable
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

_MOST = 8  # plans that an optimizer keeps


@dataclass
class _Known:
    """The arrays and plans that an optimizer has met; copies of the optimizer begin without them.

    Attributes:
        arrays: id of an array → the array, and the weight that stands for it.
        plans: the kind of a step → its plan with memory, and the views of the gradients.
    """

    arrays: dict[int, tuple[np.ndarray, Variable]] = field(default_factory=dict)
    plans: dict[tuple, tuple[Executable, list[View]]] = field(default_factory=dict)


_known: weakref.WeakKeyDictionary[Any, _Known] = weakref.WeakKeyDictionary()


class AppliesGradients:
    """The methods of an optimizer that apply given gradients."""

    states: dict[Variable, list[Variable]]
    iterations: Any
    loss_scale_factor: Any
    rates: Any
    version: Any
    start: Any
    launch: Any
    advance: Any
    build: Any

    def apply(self, grads: Any, trainable_variables: Iterable[Any] | None = None) -> None:
        """Change weights or arrays by their gradients, as one step: of a model, or of any other function.

        The numbers are those of `fit`: clips, decay, accumulation, moving averages and the constraints of weights
        included. Penalties are part of a loss; the gradients of `Sequential.gradients` have them. With a
        ``loss_scale_factor`` the gradients are divided by it, as in Keras (`scale_loss`). NaN is not looked for.

        Args:
            grads: a list of arrays, one for each weight, or what `Sequential.gradients` gave. None leaves a weight out,
                with a warning.
            trainable_variables: weights, or arrays of float32 or float64, which are changed in place; by default all
                that this optimizer has changed, or was built with. The optimizer knows an array as an object, not by
                its values, and keeps it alive.

        Raises:
            ValueError: the numbers of gradients and weights, or the shapes of one, differ; all gradients are None; an
                array cannot be changed in place. Nothing has changed then.

        Example:
            >>> import numpy as np
            >>> w, optimizer = np.array([4.0, -2.0]), optimizers.SGD(0.25)
            >>> for _ in range(2):
            ...     optimizer.apply([2 * w], [w])  # the gradient of w²
            >>> w.tolist()
            [1.0, -0.5]
        """
        owner, gradients = type(self).__name__, _in_order(grads)
        if not gradients:
            return
        if trainable_variables is None:
            if not self.states:
                raise ValueError(
                    f"{owner}.apply: give the weights too, apply(gradients, weights), or call build(weights) first."
                )
            variables = list(self.states)
        else:
            given = list(trainable_variables)
            if len({id(each) for each in given}) < len(given):
                raise ValueError(f"{owner}.apply: a weight is given twice; add its gradients.")
            variables = [self.variable_of(each) for each in given]
        if len(gradients) != len(variables):
            raise ValueError(f"{owner}.apply: {len(gradients)} gradients for {len(variables)} weights; give one each.")
        missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
        if len(missing) == len(variables):
            raise ValueError(f"{owner}.apply: every gradient is None.")
        if missing:
            warnings.warn(f"{owner}.apply: no gradient is given for {missing}: they are not changed.", stacklevel=2)
        pairs = [(v, _checked(owner, v, g)) for v, g in zip(variables, gradients, strict=True) if g is not None]
        self._apply([v for v, _ in pairs], [g for _, g in pairs])

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> int:
        """`apply` of pairs (gradient, weight); the number of steps done.

        Example:
            >>> import numpy as np
            >>> w = np.array([1.0])
            >>> int(optimizers.SGD(0.5).apply_gradients([(np.array([1.0]), w)])), w.tolist()
            (1, [0.5])
        """
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def scale_loss(self, loss: Any) -> Any:
        """``loss`` times ``loss_scale_factor``, by which `apply` divides."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def variable_of(self, weight: Any) -> Variable:
        """A weight itself, or that which stands for an array.

        Raises:
            ValueError: it is neither, or an array that cannot be changed in place.
        """
        if isinstance(weight, Variable):
            return weight
        owner, arrays = type(self).__name__, _of(self).arrays
        found = arrays.get(id(weight))
        if found is not None:
            return found[1]
        if not isinstance(weight, np.ndarray) or weight.dtype not in (np.float32, np.float64):
            given = f"an array of {weight.dtype}" if isinstance(weight, np.ndarray) else repr(weight)[:80]
            raise ValueError(
                f"{owner} changes weights (model.trainable_weights) and float32 or float64 arrays in place; received "
                f"{given}. Make it an array first: w = np.array(..., 'float32')."
            )
        if not weight.flags.writeable:
            raise ValueError(f"{owner} changes arrays in place, and one is read-only; give a copy: np.array(w).")
        variable = Variable(weight, f"variable_{len(arrays)}" if arrays else "variable")
        arrays[id(weight)] = weight, variable
        return variable

    def _apply(self, variables: Sequence[Variable], gradients: Sequence[np.ndarray]) -> None:
        """One step of the optimizer."""
        standing = {id(v): array for array, v in _of(self).arrays.values()}
        for v in variables:
            if id(v) in standing:
                v.array[...] = standing[id(v)]
        self.build(variables)
        executable, views = self._plan_of(variables)
        for view, gradient in zip(views, gradients, strict=True):
            executable.read(view.flat, 1)[...] = gradient.ravel() / (self.loss_scale_factor or 1.0)
        rates, block = self.rates(1), executable.step
        block[abi.ITERATION] = self.iterations
        block[abi.RATES], block[abi.RATES_COUNT] = rates.ctypes.data, 1
        executable.run(0, 1, 1, 1, 0.0)
        self.advance(1)
        for v in variables:
            v.assignments += 1
            if id(v) in standing:
                standing[id(v)][...] = v.array
        changes.weights.mark()

    def _plan_of(self, variables: Sequence[Variable]) -> tuple[Executable, list[View]]:
        """The plan of a step of these weights, with memory."""
        replaced = [(v.changes, 0 if v.constraint is None else v.constraint.changes) for v in variables]
        plans, key = _of(self).plans, (self.version, *variables, *replaced)
        found = plans.pop(key, None)
        if found is None:
            plan = Plan(True, variables[0].dtype, 1)
            plan.phase, plan.label = "update", type(self).__name__
            scalars = self.start(plan)
            views = [plan.buffer(v.shape, v.dtype, per_row=False) for v in variables]
            labels = [v.path.rpartition("/")[0] or v.name for v in variables]
            self.launch(plan, list(zip(labels, variables, views, strict=True)), scalars)
            fuse(plan)
            found = bind(plan, 1, pinned=views), views
            if len(plans) == _MOST:
                del plans[next(iter(plans))]
        plans[key] = found  # last, as the one used last
        return found


def _of(optimizer: Any) -> _Known:
    return _known.setdefault(optimizer, _Known())


def _in_order(grads: Any) -> list[Any]:
    """Gradients as a list: those of the weights, of what `Sequential.gradients` gives."""
    if not isinstance(grads, Mapping):
        return list(grads)
    return _leaves({name: layer for name, layer in grads.items() if isinstance(layer, Mapping)})  # without the data's


def _leaves(tree: Any) -> list[Any]:
    """The arrays of a dictionary of dictionaries, in order."""
    return [leaf for value in tree.values() for leaf in _leaves(value)] if isinstance(tree, Mapping) else [tree]


def _checked(owner: str, variable: Variable, gradient: Any) -> np.ndarray:
    """A gradient as an array of the weight's shape."""
    array = np.asarray(gradient)
    if array.dtype.kind not in "fiub" or array.shape != variable.shape:
        raise ValueError(
            f"{owner}.apply: the gradient of {variable.path!r} must be an array of real numbers of shape "
            f"{variable.shape}; received {array.dtype} of shape {array.shape}."
        )
    return array
