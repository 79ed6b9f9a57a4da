"""Layers written as array code, in Keras's form: `build`, `add_weight` and `call(self, x)`."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnet import checks, hooks
from fastnet._kernels.errors import RuleError
from fastnet._kernels.templates import elementwise
from fastnet.engine.operations import Concatenate
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable, tracing
from fastnet.engine.view import View
from fastnet.symbolic.added_losses import Added, AddLosses, check_samples
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.assigned_weights import Assigned, RowCount, SumOverBatch
from fastnet.symbolic.boundaries import CUT, IMAGE, LAYER, sample_shape
from fastnet.symbolic.concatenation import CONCATENATE
from fastnet.symbolic.formulas import not_equal
from fastnet.symbolic.gradient import with_gradient
from fastnet.symbolic.leaves import Weights
from fastnet.symbolic.lowering import Known, constant_weight
from fastnet.symbolic.order import ordered
from fastnet.symbolic.products import MATMUL
from fastnet.symbolic.randomness import NORMAL, UNIFORM, Draw
from fastnet.symbolic.rearrange import TAKE_ROWS
from fastnet.symbolic.reshape import GROUND, RESHAPE_ALL
from fastnet.symbolic.segments import Load, MatMul, Reshaped, Segment, TakeRows, WithMask
from fastnet.symbolic.trace import traced
from fastnet.symbolic.weight_formulas import ASSIGNED, BATCH_SUM, ONCE_A_STEP, ROWS, grounded, lifted

#: operations with an entry of the tape of their own
ON_TAPE = (
    LAYER, IMAGE, MATMUL, TAKE_ROWS, CUT, CONCATENATE, RESHAPE_ALL, GROUND, NORMAL, UNIFORM, *ONCE_A_STEP
)  # fmt: skip
#: methods of Keras that such a layer may define
ALLOWED = ("call", "build", "compute_output_shape")


def is_array_code(cls: type) -> bool:
    """Whether a user's class defines `call`."""
    return hooks.overrides(cls, "call")


def adopt(cls: Any, base: Any) -> None:
    """Give a class that defines `call` the methods that fastnet calls; shapes and gradients follow from tracing.

    Args:
        cls: the class.
        base: `Layer`.

    Raises:
        TypeError: it defines `forward` or `backward` too.
    """
    for name in ("forward", "backward", "sample_output_shape"):
        if name in vars(cls):
            raise TypeError(f"The layer class {cls.__name__} defines call and {name}: leave one of them out.")
    cls.forward, cls.backward, cls.sample_output_shape = forward, base.backward, base.sample_output_shape
    if (build := _of_users(cls, "build")) is not None:
        cls.make_weights, cls.build = _as_make_weights(build), _build_of_subclasses(build, base)
    if "compute_output_shape" in vars(cls):
        del cls.compute_output_shape


@dataclass(frozen=True)
class Inherited:
    """What a layer does without its class's `call`, as an operation of the tape: ``super().call(x)`` applies it.

    Attributes:
        layer: the layer.
        parent: the nearest class that is fastnet's; has a backward of its own.
        read: the weights that its launches read.
    """

    layer: Any
    parent: Any
    read: list[Any] = field(default_factory=list, compare=False)

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def _owner(self) -> str:
        return self.layer._owner

    @property
    def variables(self) -> list[Variable]:
        return self.layer._variables

    @property
    def updates_own_weights(self) -> bool:
        return self.layer.updates_own_weights

    def sample_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample's result."""
        method = self.parent.sample_output_shape
        is_default = method.__module__ == f"{__package__}.layer"  # which would trace `call`
        return input_shape if is_default else method(self.layer, input_shape)

    def forward(self, plan: Plan, x: View) -> View:
        first = len(plan.launches)
        y = self.parent.forward(self.layer, plan, x)
        self.read.extend(operand for launch in plan.launches[first:] for operand, _ in launch.access)
        y.mask = self.layer.compute_mask(plan, x, y)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        return self.parent.backward(self.layer, plan, dy, x, y)


def inherited(layer: Any, base: Any) -> Inherited:
    """What ``super().call(x)`` is in the class of a layer.

    Args:
        layer: its class, or a parent that is not fastnet's, defines `call`.
        base: `Layer`.

    Raises:
        NotImplementedError: the parent is `Layer`, or applies other layers.
    """
    parent = hooks.nearest_own(type(layer))
    if parent.backward is base.backward:
        why = "does nothing itself" if parent is base else "applies other layers: apply them in call"
        raise NotImplementedError(f"{layer._owner}: super().call is that of {parent.__name__}, which {why}.")
    return Inherited(layer, parent)


def _of_users(cls: Any, name: str) -> Any:
    """A method that a class, or a mixin of it, defines; not what an earlier class of a user's already became."""
    owners = itertools.takewhile(lambda owner: "_adopted" not in vars(owner), hooks.users_classes(cls))
    found = next((vars(owner)[name] for owner in owners if name in vars(owner)), None)
    cls._adopted = True
    return found


def _build_of_subclasses(build: Callable, base: Any) -> Callable:
    """The method `build`: it builds the layer, or makes weights where a subclass's build calls that of super()."""

    def method(self: Any, input_shape: Any) -> None:
        (build if "_is_building" in vars(self) else base.build)(self, input_shape)

    return method


def _as_make_weights(build: Callable) -> Callable:
    """`build` of Keras as the method that makes weights."""

    def make_weights(self: Any, input_shape: tuple[int, ...]) -> None:
        vars(self)["_is_building"] = True
        try:
            build(self, (None, *input_shape))
        finally:
            del vars(self)["_is_building"]

    return make_weights


def forward(layer: Any, plan: Plan, x: View) -> View:
    """Trace `call` for data of this shape, and add what it does to the plan."""
    parameters = inspect.signature(layer.call).parameters
    given: dict[str, Any] = {"training": plan.training} if "training" in parameters else {}
    views = [x, *([x.mask] if "mask" in parameters and x.mask is not None else [])]

    added, weight_count = Added(), len(layer._variables)
    assigned = Assigned(layer._owner, layer._variables, plan.assigned)

    def call(data: SymbolicArray, mask: SymbolicArray | None = None) -> Any:
        added.begin()
        assigned.begin()
        if "mask" in parameters:
            given["mask"] = None if mask is None else not_equal(mask, 0.0)
        result = layer.call(data, **given)
        if made := layer._variables[weight_count:]:
            raise RuleError(f"{layer._owner}: call makes the weight {made[0].name!r}: make it in build(input_shape).")
        return result

    arguments, result, weights = traced(
        call, [(None, *view.shape) for view in views], f"{layer._owner}: call", in_layer=True
    )
    check_samples(f"{layer._owner}: call", result)
    if not result.per_row:
        if tracing.alone is not layer or result.value is not None:
            raise RuleError(f"{layer._owner}: call must return an array of the batch, and returned {result!r}.")
        result = grounded(lifted(result))
    terms, values = added.terms(layer._owner), assigned.values()
    known = {id(each): (each, view) for each, view in zip(arguments, views, strict=True)}
    lowering = _Lowering(plan, layer.name, weights, known | assigned.known(plan))
    y = lowering.view(result)
    if terms:
        y = plan.combine(AddLosses(layer.name, terms), y, *(lowering.view(term.rows) for term in terms))
    new = {variable: lowering.view(value) for variable, value in values.items()}
    _check_assigned(layer, plan, weights, new, [result, *values.values()])
    plan.assigned |= new
    _fill_missing(layer, plan, weights, [result, *(term.rows for term in terms)])
    if layer.supports_masking and y is not x and y.shape[:-1] == x.shape[:-1]:
        y.mask = x.mask
    return y


def _check_assigned(
    layer: Any, plan: Plan, weights: Weights, new: Mapping[Variable, View], results: Sequence[SymbolicArray]
) -> None:
    """Check that what was assigned is read as it is assigned: launches read a weight as it was when the step began.

    Raises:
        RuleError: a layer that is applied assigns what the call reads, or a parent's call reads what is assigned.
    """
    for variable, _ in weights.values():
        if variable in plan.assigned:
            raise RuleError(
                f"{layer._owner}: call reads the weight {variable.path!r}, which a layer that it applies assigns: read "
                "it in that layer's call."
            )
    parents = (x.settings[0] for x in ordered(results) if x.operation is LAYER)
    for operand in (each for one in parents if isinstance(one, Inherited) for each in one.read):
        if isinstance(operand, Variable) and operand in new:
            raise RuleError(
                f"{layer._owner}: call assigns the weight {operand.name!r}, which super().call reads as it was: assign "
                "weights of the class's own."
            )


def _fill_missing(layer: Any, plan: Plan, weights: Weights, results: Sequence[SymbolicArray]) -> None:
    """Warn, once a layer, of its trained weights that no gradient reaches; one of 0 for those that nothing reads."""
    reached = with_gradient(results)
    read = {id(x) for x in ordered(results)}
    leaves = {id(variable): leaf for variable, leaf in weights.values() if id(leaf) in read}
    parents = [x.settings[0] for x in ordered(results) if x.operation is LAYER and id(x) in reached]
    of_parents = {id(each) for one in parents if isinstance(one, Inherited) for each in one.read}
    trained = [one for one in layer._variables if plan.training and plan.trains(one) and id(one) not in of_parents]
    missing = [one for one in trained if id(one) not in leaves or id(leaves[id(one)]) not in reached]
    for variable in missing:
        if id(variable) not in leaves and (gradient := plan.gradient(variable)) is not None:
            plan.call(elementwise.fill, y=gradient, number=0.0)
    plan.tape.reached.update(missing)
    if missing and layer not in _warned:
        _warned.add(layer)
        names = ", ".join(repr(variable.name) for variable in missing)
        checks.warn(f"{layer._owner}: no gradient reaches {names}: call does not use it, or stops it.")


_warned = checks.Met()  # layers


class _Lowering:
    """Adds a formula to a plan: products and layers, and the segments between them.

    Args:
        plan: the plan.
        name: of the kernels.
        weights: those that take part.
        known: the arguments and their views.
        per_row: False for a formula of weights alone.
    """

    def __init__(self, plan: Plan, name: str, weights: Weights, known: Known, per_row: bool = True):
        self.plan, self.weights, self.known, self.per_row = plan, weights, known, per_row
        self.loaded: dict[int, View] = {}  # weights as results, by their ids
        self.of_weights: _Lowering | None = None  # adds the formulas of weights alone, whose parts are computed once
        self.name = name if name.isidentifier() else "formula"

    def view(self, root: SymbolicArray) -> View:
        """The view of a formula's result."""
        for x in ordered([root]):
            if x.operation not in ON_TAPE or id(x) in self.known:
                continue
            views = [self._materialized(each) for each in x.inputs if each.per_row or each.operation is GROUND]
            if x.operation in (NORMAL, UNIFORM):
                view = self.plan.combine(Draw(x))
            elif x.operation is GROUND:
                view = self._of_weights(x)
            elif x.operation is IMAGE:
                view = self.plan.combine(self._of_images(x), *views)
            elif x.operation is CUT:
                view = views[0]
            elif x.operation is BATCH_SUM:
                view = self.plan.combine(SumOverBatch(tuple(size or 0 for size in x.shape)), *views)
            elif x.operation is ROWS:
                view = self.plan.combine(RowCount())
            elif x.operation is ASSIGNED:
                view = views[0] if views else self.plan.combine(Load(constant_weight(x.inputs[0], self.plan.dtype)))
            elif x.operation is LAYER:
                view = self._applied(*x.settings, *views)
            else:
                view = self.plan.combine(self._operation(x, views[0].dtype), *views)
            self.known[id(x)] = x, view
        return self._materialized(root)

    def _applied(self, layer: Any, training: bool | None, x: View, mask: View | None = None) -> View:
        """A layer applied, in the mode of the plan.

        Raises:
            RuleError: it is given another one.
        """
        if training is not None and bool(training) != self.plan.training:
            raise RuleError(
                f"{layer._owner} is applied with training={training} in a call whose training is {self.plan.training}: "
                "pass training on as it is; layer.trainable = False keeps a BatchNormalization as it is."
            )
        x = x if mask is None else self.plan.combine(WithMask(), x, mask)
        return self.plan.combine(layer, x) if isinstance(layer, Inherited) else self.plan.apply(layer, x)

    def _of_weights(self, x: SymbolicArray) -> View:
        """The result of a formula of weights alone."""
        formula, known = x.settings[0], {}
        for sample in formula.arguments:
            if id(sample.lifted) in self.known:  # what is there once a step
                known[id(sample)] = sample, self.known[id(sample.lifted)][1]
                continue
            variable = self._factor(sample.lifted, self.plan.dtype)
            if id(variable) not in self.loaded:
                self.loaded[id(variable)] = self.plan.combine(Load(variable))
            known[id(sample)] = sample, self.loaded[id(variable)]
        if self.of_weights is None:
            self.of_weights = _Lowering(self.plan, f"{self.name}_weights", {}, {}, per_row=False)
        self.of_weights.known |= known
        return self.of_weights.view(formula.root)

    def _of_images(self, x: SymbolicArray) -> Any:
        """The operation of the tape of a convolution or of pooling."""
        kernels = x.inputs[1:]
        given = [self._factor(each, self.plan.dtype) for each in kernels if each.operation is not GROUND]
        return x.settings[0].on_tape(self.plan.dtype, given[0] if given else None, bool(kernels))

    def _operation(self, x: SymbolicArray, dtype: str) -> Any:
        """The operation of the tape of a boundary."""
        if x.operation in (MATMUL, TAKE_ROWS):
            weight = None if x.inputs[1].operation is GROUND else self._factor(x.inputs[1], dtype)
            if x.operation is TAKE_ROWS:
                return TakeRows(weight)
            is_turned, shape = x.settings
            return MatMul(weight, shape, is_turned)
        return Concatenate() if x.operation is CONCATENATE else Reshaped(sample_shape(x))

    def _factor(self, x: SymbolicArray, dtype: str) -> Variable:
        """The weight of a leaf; a constant as a weight that is not trained."""
        found = next((variable for variable, leaf in self.weights.values() if leaf is x), None)
        return constant_weight(x, dtype) if found is None else found

    def _materialized(self, root: SymbolicArray) -> View:
        """The view of a formula of results that have views."""
        if id(root) not in self.known:
            leaves = [x for x in ordered([root], leaves=self.known) if id(x) in self.known]
            segment = Segment(self.name, root, leaves, self.weights, dict(self.known), self.per_row)
            view = self.plan.combine(segment, *(self.known[id(x)][1] for x in leaves))
            self.known[id(root)] = root, view
        return self.known[id(root)][1]
