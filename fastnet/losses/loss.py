"""The base class of losses: a formula of the registry, its reduction, and the launches that follow from both."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from fastnet import checks, config, hooks
from fastnet._kernels import abi, registration, registry
from fastnet._kernels.rules import losses, row_losses  # noqa: F401  (fills the table)
from fastnet._kernels.rules import scalars as rules
from fastnet._kernels.templates import folds, labels
from fastnet.descriptions import Configurable, rule_parameters, snake_case
from fastnet.engine import changes
from fastnet.engine.plan import Plan
from fastnet.engine.variable import tracing
from fastnet.engine.view import Slot, View
from fastnet.losses.axes import AlongAxis
from fastnet.losses.function_rows import numbers_of_a_row, traced_row
from fastnet.losses.reductions import reduced
from fastnet.losses.row_formulas import formula_of_row, signs_of_labels
from fastnet.losses.row_weights import element_means, product
from fastnet.losses.rowwise import OnArrays, RowFunction
from fastnet.settable import Completed, SettableArguments
from fastnet.symbolic.array import SymbolicArray, TracingError, refusal
from fastnet.symbolic.functions import FUNCTIONS
from fastnet.symbolic.leaves import constant, leaf_of
from fastnet.symbolic.loss_results import of_rows
from fastnet.symbolic.rule_formulas import of_rule

MEANS = ("sum_over_batch_size", "mean")
REDUCTIONS = (*MEANS, "mean_with_sample_weight", "sum", "none", None)
#: what a formula of a subclass's own decides, instead of its parent
_OF_FORMULA = ("row", "function", "weighs_elements", "counted_rows", "of_symbols", "_counted", "_is_one", "_values")


class Loss(AlongAxis, SettableArguments, Configurable, metaclass=Completed):
    """A loss: a number for each row of predictions, and the reduction of these to the loss of a batch.

    A loss of your own is a subclass with ``call(self, y_true, y_pred)``, a formula of arrays (`fastnet.ops`) that gives
    a number for each row or each element. Or it has a static method ``call(y_true, y_pred)``, a formula of two numbers
    whose mean over the last axis is the loss of a row. Further arguments of this take the values of the attributes of
    their names, which ``__init__`` must set, and its derivative by ``y_pred`` is found by differentiation, or is the
    static method ``gradient`` of the same arguments. An argument that is set again counts from the next step on.

    Args:
        name: as shown; by default the class's name.
        reduction: "sum_over_batch_size" or "mean", the sum of loss * weight over the number of rows;
            "mean_with_sample_weight", the same over the sum of the weights; "sum", where a formula of your own that
            gives a number for each element is summed over all of them; "none" or None, the loss of each row, which
            cannot be trained on.
        dtype: accepted, by default `fastnet.config.floatx()`; a loss is computed in the dtype of the predictions.

    Raises:
        ValueError: the reduction or the dtype is another one; ``call`` is not a formula of numbers, or its further
            arguments are not attributes.

    Example:
        >>> import fastnet
        >>> class Pinball(fastnet.losses.Loss):
        ...     def __init__(self, quantile=0.5, **more):
        ...         super().__init__(**more)
        ...         self.quantile = quantile
        ...
        ...     @staticmethod
        ...     def call(y_true, y_pred, quantile=0.5):
        ...         return quantile * (y_true - y_pred) if y_true > y_pred else (1 - quantile) * (y_pred - y_true)
        >>> round(Pinball(0.9)([[1.0, 2.0]], [[1.0, 4.0]]), 4)
        0.1
    """

    _row: str | None = None  # name of its row in the registry, of fastnet's own losses
    _checks: ClassVar = {"reduction": lambda what, value: checks.one_of(what, value, *REDUCTIONS)}
    ignore_class: int | None = None
    target_range: tuple[float, float] | None = None  # what targets must lie in; Keras trains on others without a word
    _kind = "loss"  # of `hooks.HOOKS`
    _of_no_rows = math.nan  # of a loss that is one number of the batch

    def __init_subclass__(cls, **more: Any):
        super().__init_subclass__(**more)
        hooks.refuse(cls, cls._kind)
        hooks.check_parameters(cls, call="self, y_true, y_pred")
        if hooks.overrides(cls, "call"):  # the formula replaces the parent's
            cls._row = cls.target_range = None
            for name in _OF_FORMULA:
                if name in vars(cls):
                    raise TypeError(
                        f"The class {cls.__name__} defines {name!r}, a name that fastnet.losses.Loss needs beside "
                        "call: give it another one."
                    )
                setattr(cls, name, vars(Loss)[name])
            cls.row_axis = -1  # type: ignore[method-assign, assignment]  # it gets arrays as they are

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None):
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = config.floatx() if dtype is None else config.check_dtype(dtype, f"loss {self.name!r}")
        self.compiled_weight = 1.0  # `compile`'s loss_weights

    def set_argument(self, name: str, value: Any) -> None:
        """Check an argument's value and keep it; plans with another value of it are void."""
        previous = self.changes
        super().set_argument(name, value)
        if self.changes != previous:
            changes.losses.mark()

    def __setattr__(self, name: str, value: Any) -> None:
        replaced = name in vars(self) and not self.is_argument(name)  # such as an argument of its formula
        super().__setattr__(name, value)
        if replaced:
            vars(self)["changes"] = self.changes + 1
            changes.losses.mark()

    @property
    def row(self) -> registry.Loss:
        """Its row of the registry."""
        if self._row is not None:
            return registry.losses[self._row + "_from_logits" * bool(getattr(self, "from_logits", False))]
        if "_read" in vars(self):
            return vars(self)["_read"]
        state = self.changes, changes.losses.token
        if vars(self).get("_traced", (None,))[0] == state:
            return vars(self)["_traced"][1]
        formula, slope = _users_call(type(self)), inspect.getattr_static(type(self), "gradient", None)
        if formula is not None and not isinstance(formula, staticmethod):
            if slope is not None:
                raise ValueError(
                    f"The loss {type(self).__name__} defines gradient beside a call of arrays, which is "
                    "differentiated: leave it out, or make both static methods of numbers."
                )
            vars(self)["_traced"] = state, traced_row(self.call, self.name, True)  # which reads attributes
            return vars(self)["_traced"][1]
        slope = slope and _formula(self, slope)
        row = registration.loss_row(self.name, _formula(self, formula), slope, of_class=True)
        return vars(self).setdefault("_read", row)

    def completed(self) -> None:
        """Look at it once it is made: read its formula, whose arguments must be there."""
        if "name" not in vars(self):
            raise hooks.unmade(type(self))
        formula = _users_call(type(self))
        if self._row is None and formula is not None:
            if isinstance(formula, staticmethod):
                rule_parameters(self, _formula(self, formula), 2)
            _ = self.row

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which read the formula anew."""
        return {name: value for name, value in vars(self).items() if name not in ("_read", "_traced")}

    @property
    def parameters(self) -> dict[str, float]:
        """The values of its formula's arguments."""
        if self._row is not None:
            return {name: float(getattr(self, name, default)) for name, default in self.row.parameters.items()}
        if self.row.f is None:  # written as array code, which reads attributes itself
            return {}
        return rule_parameters(self, self.row.f, 2)

    @property
    def function(self) -> RowFunction:
        """Its formula with the values of its arguments."""
        return RowFunction(self.row, tuple(self.parameters.values()), float(getattr(self, "label_smoothing", 0.0)))

    @property
    def sparse(self) -> bool:  # type: ignore[override]
        """Whether a target is an integer instead of a row."""
        return self.row.sparse

    @property
    def weighs_elements(self) -> bool:
        """Whether it is a mean over elements, each of which may have a weight."""
        if self.row.traced is not None:
            return self.row.traced.is_of_elements
        return self.row.row is None and self.row.outputs == 1

    def target_shape(self, shape: tuple[int, ...], received: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """The shape of the targets of predictions of this shape a sample.

        Args:
            shape: of a prediction.
            received: the shape of the targets that are given, on which a formula of arrays decides.

        Raises:
            ValueError: predictions lack the loss's axis, or it cannot be divided among the predictions of a target.
        """
        return self.row.target_shape(self.along(shape).shape if self.sparse else shape, received)

    def values(self, plan: Plan, y_pred: View, y_true: View) -> View:
        """Add the launches of the loss of each row: 0 where its label is ignored."""
        return self._values(plan, y_pred, y_true)[0]

    def values_and_gradient(
        self, plan: Plan, y_pred: View, y_true: View, row_weight: View | None = None
    ) -> tuple[View, View]:
        """Add the launches of the loss of each row, and of the gradient of the batch's loss by ``y_pred``.

        Args:
            row_weight: what `row_weight` gave.
        """
        values, dy = self._values(plan, y_pred, y_true, True, row_weight)
        assert dy is not None
        return values, dy

    def _values(self, plan, y_pred, y_true, gradient=False, row_weight=None):
        values, dy = self.function.launch(plan, y_pred, y_true, gradient, row_weight)
        if self.ignore_class is not None:
            plan.call(labels.zero_where_ignored, values=values, labels=y_true, ignored=self.ignore_class)
        return values, dy

    def counted_rows(self, plan: Plan, y_true: View, dtype: str) -> View | None:
        """Add the launch that says of each row whether it counts: 0 where its label is the ignored one, else 1.

        None where all rows count.
        """
        if self.ignore_class is None:
            return None
        counts = plan.buffer((y_true.width,), dtype)
        plan.call(labels.counted_labels, labels=y_true, counts=counts, ignored=self.ignore_class)
        return counts

    def row_weight(self, plan: Plan, y_pred: View, y_true: View, sample_weight: View | None) -> View | None:
        """Add the launches of what each row's loss counts in the batch's; None where that is the mean of all rows.

        Args:
            sample_weight: the weight of each row, or None.
        """
        dtype, counts, reduction = y_pred.dtype, y_pred.mask, self._reduction_of(y_pred, y_true, sample_weight)
        counts = product(plan, counts, self.counted_rows(plan, y_true, dtype))
        each = product(plan, sample_weight, counts)  # the weights of elements are in the values
        counted = counts if reduction in MEANS else each  # what the mean is taken over; None for all rows
        if y_true.weights is not None and reduction == "mean_with_sample_weight":
            counted = product(plan, counts, element_means(plan, y_true.weights))
        weight = self.compiled_weight * self._numbers(y_pred, y_true)
        plain = each is None and counted is None and weight == 1.0
        if plain and reduction not in ("sum", "none", None):
            return None
        row_weight = plan.buffer((y_pred.row_count,), dtype)
        if reduction == "sum" or counted is None:
            count = 1 if reduction == "sum" else -y_pred.row_count
            plan.call(folds.divide_by_count, x=each, y=row_weight, factor=weight, count=count)
            return row_weight
        chunk_sums, count = plan.sums(folds.sum_weighted, values=counted)
        factor = plan.slot()
        operands = {"chunk_sums": chunk_sums, "count": count, "result": factor, "p": [self.compiled_weight]}
        plan.call(folds.total_of, f=rules.divided_by, **operands)
        plan.call(folds.scale_by, x=each, y=row_weight, factor=factor)
        return row_weight

    def _reduction_of(self, y_pred: View, y_true: View, sample_weight: View | None) -> str | None:
        # Without weights of rows, the sum is that of one number, the batch's; with them, as in Keras, one of each row.
        is_plain = self.reduction == "sum" and sample_weight is None and y_pred.mask is None
        return "mean" if is_plain and self._is_of_batch(y_pred, y_true) else self.reduction

    def _numbers(self, y_pred: View, y_true: View) -> int:
        """How many numbers a sum adds for a row, or for the batch, of which the loss has the mean."""
        return numbers_of_a_row(self.row, y_true.shape, y_pred.shape) if self.reduction == "sum" else 1

    def _is_one(self, y_pred: View, y_true: View) -> bool:
        """Whether it is one number of the batch, which then stands for each row."""
        traced = self.row.traced
        return traced is not None and traced.form(y_true.shape, y_pred.shape).is_one

    def _is_of_batch(self, y_pred: View, y_true: View) -> bool:
        """Whether it is one number of the batch, or the mean of its rows."""
        traced = self.row.traced
        is_mean = traced is not None and traced.form(y_true.shape, y_pred.shape).is_mean
        return is_mean or self._is_one(y_pred, y_true)

    def total(self, plan: Plan, values: View, row_weight: View | None) -> Slot:
        """Add the launches of the batch's loss; the slot of its sum over the rows of an epoch, and of their number."""
        total = plan.slot(2)
        chunk_sums, count = plan.sums(folds.sum_weighted, values=values, weight=row_weight)
        slots = {"loss": Slot(abi.LOSS), "nonfinite": Slot(abi.NONFINITE), "total": total}
        mean = row_weight is None
        plan.call(folds.batch_loss, chunk_sums=chunk_sums, count=count, mean=mean, rows=-1, **slots)
        return total

    def mean(self, state: np.ndarray) -> float:
        """The mean over an epoch's rows, from what `total` counts."""
        return float(state[0] / state[1]) if state[1] else 0.0

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of arrays: a number, or with ``reduction=None`` that of each row.

        Args:
            y_true, y_pred: targets and predictions; predictions of one axis are one row.
            sample_weight: of the targets' shape, of their first axes, or with axes of size 1; a number counts for all.

        Raises:
            ValueError: shapes that do not fit.
        """
        y_true, y_pred, sample_weight = map(leaf_of, (y_true, y_pred, sample_weight))
        if isinstance(y_true, SymbolicArray) or isinstance(y_pred, SymbolicArray):
            given = self.of_symbols(y_true, y_pred)
            return reduced(given, sample_weight, self.reduction, self._counted(given))
        if isinstance(sample_weight, SymbolicArray):
            raise refusal(
                f"the loss {self.name!r} of arrays alone has a sample_weight that is an argument of the formula",
                "give it an argument as y_true or y_pred too, or multiply its number by a mean of the weights",
            )
        once = self._on_arrays(y_true, y_pred, sample_weight)
        values, is_one = self._values_of(once)
        if is_one and sample_weight is None:
            value = self._read(once, values, is_one)
            numbers = self._numbers(once.prediction, once.target)
            return value if self.reduction in ("none", None) else float(value) * numbers
        if self.reduction in ("none", None):
            result = once.run(values).read(values, once.rows)
            if once.weights is not None:
                result = result * once.inputs[once.weights]
            return result.reshape(once.shape).copy()
        self.total(once.plan, values, self.row_weight(once.plan, once.prediction, once.target, once.weights))
        return float(once.run().scalars[abi.LOSS])

    def _values_of(self, once: OnArrays) -> tuple[View, bool]:
        """Add the launches of the loss of each row; its view, and whether it is one number of the batch."""
        values = self.values(once.plan, once.prediction, once.target)
        return values, self._is_one(once.prediction, once.target)

    def _read(self, once: OnArrays, values: View, is_one: bool) -> Any:
        """The loss of each row, or the number of the batch."""
        found = once.run(values).read(values, once.rows).reshape(once.shape).copy()
        if not is_one:
            return found
        return found.reshape(-1)[0] if found.size else found.dtype.type(self._of_no_rows)

    def _on_arrays(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> OnArrays:
        return OnArrays(
            y_true, y_pred, self.sparse, self.name, sample_weight, ignored=self.ignore_class,
            target_shape=self.row.target_shape, classes=self.row.classes, axis=self,
            weighs_elements=sample_weight is not None and self.weighs_elements,
        )  # fmt: skip

    def of_symbols(self, y_true: Any, y_pred: Any) -> SymbolicArray:
        """Its formula of arrays: the number of each row, or that of the batch.

        Raises:
            TracingError: it has none.
        """
        row, values = self.row, tuple(self.parameters.values())
        if row.traced is not None:
            given = constant(row.traced.function(y_true, y_pred))
            return given if tracing.is_whole else of_rows(given, constant(y_pred).shape[:-1])
        if row.f is not None and row.outputs == 1 and row.targets in ("dense", "raw", "signs"):
            y_true = signs_of_labels(y_true) if row.targets == "signs" else y_true
            slopes = {} if row.df is None else {1: row.df}
            return FUNCTIONS["mean"](of_rule(row.f, (y_true, y_pred), values, slopes), axis=-1)
        if (of_each := formula_of_row(self, self._row, y_true, y_pred)) is not None:
            return of_each
        raise TracingError(f"The loss {self.name!r} is not there in formulas: write it with fastnet.ops.")

    def _counted(self, values: SymbolicArray) -> SymbolicArray | None:
        """In a formula, what says of each row whether it counts in the mean; None where all rows do."""
        return None

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row, without the axis of the predictions' elements.

        A subclass's own is a formula (see `Loss`), which may use this as ``super().call(y_true, y_pred)``.

        Raises:
            NotImplementedError: no parent of the class has a formula.
            TracingError: in a formula, of a loss that is not there in formulas.

        Example:
            >>> class Squared(losses.MeanAbsoluteError):
            ...     def call(self, y_true, y_pred):
            ...         return super().call(y_true, y_pred) ** 2
            >>> Squared()([[0.0]], [[3.0]])
            9.0
        """
        if hooks.nearest_own(type(self)) is Loss:
            raise NotImplementedError(
                f"The loss class {type(self).__name__} needs a method call(self, y_true, y_pred); no parent has one."
            )
        return hooks.as_parent(self, self.__getstate__()).per_row(y_true, y_pred)

    def per_row(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row: of the predictions' shape without the last axis; of a loss that gives one number for
        the batch, this.

        Raises:
            ValueError: shapes that do not fit.
        """
        y_true, y_pred = leaf_of(y_true), leaf_of(y_pred)
        if isinstance(y_true, SymbolicArray) or isinstance(y_pred, SymbolicArray):
            return self.of_symbols(y_true, y_pred)
        once = self._on_arrays(y_true, y_pred)
        return self._read(once, *self._values_of(once))

    def __repr__(self) -> str:
        return f"<loss {self.name}>"


def _users_call(cls: type) -> Any:
    """The method `call` of a loss's class; None where it is that of `Loss`."""
    found = inspect.getattr_static(cls, "call")
    return None if found is vars(Loss)["call"] else found


def _formula(loss: Loss, function: Any) -> Callable:
    if not isinstance(function, staticmethod):
        raise ValueError(
            f"The loss {type(loss).__name__} needs a method call(self, y_true, y_pred), a formula of arrays, or a "
            "static one, a formula of two numbers, and so for gradient; docs/extending.md shows both."
        )
    return function.__func__
