"""The base class of metrics: numbers counted inside the step, and a result that follows from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import config, hooks, initializers
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules import metrics  # noqa: F401  (fills the table)
from fastnet._kernels.templates import folds
from fastnet.descriptions import Configurable, snake_case
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View, axes_of
from fastnet.losses.axes import AlongAxis
from fastnet.losses.row_weights import element_means, product
from fastnet.losses.rowwise import OnArrays, RowFunction
from fastnet.metrics.variables import MetricVariable
from fastnet.settable import argument_names


class Metric(AlongAxis, Configurable):
    """A number that sums up predictions and targets, counted inside the runner or on arrays.

    A metric of your own is written as in Keras: `add_weight` in ``__init__``, `update_state`, `result`, and
    `reset_state` if the weights do not start at 0. Attributes that are metrics, and lists or dictionaries of them, are
    reset with it, and so are `fastnet.Variable`. `update_state` receives a batch's targets, as the loss reads them,
    and predictions; for ``weighted_metrics`` also ``sample_weight``, or None.

    Where it is array code that assigns to the metric's weights alone, it is traced with symbolic arrays when a step is
    planned, and the step counts. Otherwise (it needs elements, as ``len(y_pred)``, or changes other attributes, or
    targets are labels, or there is a mask) it is called with copies of each batch, and training and evaluation stop
    after each batch to call it, which takes about 70 µs. What it does besides, such as printing, is not noticed.

    A metric that is counted inside the runner, as fastnet's own, declares the number of its accumulators (`size`), adds
    the launches that add to them (`count`) and computes the result from them (`value`). Its attributes keep the
    arguments, under their names.

    Args:
        dtype: accepted; metrics are counted in float64.
        name: its key in the logs; by default the class's name.

    Raises:
        NotImplementedError: the class defines neither `update_state` nor `size`, or neither `result` nor `value`.

    Attributes:
        direction: "up" if larger is better, "down" if smaller is, None if unknown; callbacks with ``mode="auto"`` read
            it.
        weighs_elements: whether each element may have a weight, the view ``y_true.weights``.
        checks_targets: whether `check_targets` must see all targets of a training, not only the first ones of a shape.
        masked: whether the mask of predictions (`layers.Masking`) counts as a weight of each step; as in Keras it does
            for means of rows. A metric written in Python gets the mask in ``sample_weight``.

    Example:
        >>> import numpy as np, fastnet
        >>> class Bias(fastnet.metrics.Metric):
        ...     def __init__(self, name="bias", **more):
        ...         super().__init__(name=name, **more)
        ...         self.total, self.rows = self.add_weight(name="total"), self.add_weight(name="rows")
        ...
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.total.assign_add(np.sum(y_pred - y_true))
        ...         self.rows.assign_add(len(y_pred))
        ...
        ...     def result(self):
        ...         return self.total / self.rows
        >>> float(Bias()(np.zeros(4), np.ones(4)))
        1.0
        >>> metric = fastnet.metrics.BinaryAccuracy()
        >>> metric.update_state([[1], [0]], [[0.9], [0.8]])
        >>> metric.result()
        0.5
    """

    sparse: bool | None = False  # whether targets are class indices; None: as the loss
    # Whether, on arrays, predictions of one axis are as many samples, or one; None refuses them.
    elements: bool | None = False
    ignore_class: int | None = None  # a label that is not a class
    weighs_elements: bool = False
    masked = False
    direction: str | None = None
    checks_targets = False
    #: of samples whose zeros give the result before anything is counted, where it has one, as in Keras
    shape_of_nothing: tuple[int, ...] | None = None
    is_counted = False  # whether a plan counts it: its arguments then stay

    def __setattr__(self, name: str, value: Any) -> None:
        present = vars(self).get(name, value)
        if self.is_counted and present is not value and name in argument_names(type(self)):
            raise ValueError(
                f"The metric {self.name!r}: {name} is {quoted(present)} and stays so, since a model counts it, "
                f"received {quoted(value)}. Make another one, and compile with it."
            )
        super().__setattr__(name, value)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if "name" not in vars(self) and not name.startswith("__"):
                raise hooks.unmade(type(self))
            return super().__getattribute__(name)  # raises the error again, with that of a property

    def __init__(self, dtype: Any = None, name: str | None = None):
        for names in (("update_state", "size"), ("result", "value")):
            if type(self) is not Metric and all(getattr(type(self), x) is getattr(Metric, x) for x in names):
                raise NotImplementedError(f"{type(self).__name__} defines neither {names[0]} nor {names[1]}.")
        self.name = name or snake_case(type(self).__name__)
        self.dtype = None if dtype is None else config.check_dtype(dtype, f"metric {self.name!r}")
        self._state: np.ndarray | None = None

    @property
    def in_python(self) -> bool:
        """Whether it is written in Python: its class, or a parent, overrides `update_state` or `result`, but not the
        launches; or `reset_state`."""
        if type(self).reset_state is not Metric.reset_state:
            return True
        for cls in type(self).__mro__:
            if {"count", "size"} & vars(cls).keys():
                return False
            if {"update_state", "result"} & vars(cls).keys():
                return True
        return False

    @property
    def variables(self) -> list[Variable]:
        """The weights that `add_weight` made, in order, and other variables that are attributes; then read-only copies
        of what was counted inside the runner; then the variables of metrics that are attributes."""
        found: list[Variable] = []
        for metric in (self, *self.parts):
            counted = [MetricVariable.of(name, value) for name, value in metric.counted_variables().items()]
            found += [*metric._added, *counted]
        return found

    @property
    def _added(self) -> list[Variable]:
        return [v for v in held(vars(self), Variable) if "/" not in v.path]  # those of layers are not a metric's

    @property
    def parts(self) -> list[Metric]:
        """The metrics that are its attributes or theirs, also in lists, tuples and dictionaries; each once."""
        found = [self]
        for metric in found:
            found += [one for one in held(vars(metric), Metric) if all(one is not other for other in found)]
        return found[1:]

    def counted_variables(self) -> dict[str, Any]:
        """The counts of the runner by Keras's names; subclasses define it."""
        return {}

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: Any = "sum", name: str | None = None
    ) -> MetricVariable:
        """Add a variable; `BackupAndRestore` saves it, and `reset_state` sets it to 0.

        Args:
            shape: of the variable; ``()`` for one number.
            initializer: its first values (`fastnet.initializers`); None for zeros.
            dtype: None for float64.
            aggregation: accepted; there is one machine.
            name: as shown.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        make = initializers.get("zeros" if initializer is None else initializer)
        start = np.asarray(make(shape, dtype=dtype or "float64"))
        variable = MetricVariable(start, name or f"variable_{len(self._added)}", trainable=False)
        vars(self).setdefault("_variables", []).append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> MetricVariable:
        """`add_variable` by its usual name."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def accumulators(self) -> np.ndarray:
        """Those of the metrics in it, each behind their number, and its own, as one array of float64."""
        parts = []
        for part in self.parts:
            own = part._own_accumulators()
            parts += [[len(own)], own]
        return np.concatenate([*parts, self._own_accumulators()])

    def _own_accumulators(self) -> np.ndarray:
        added = [v.array.reshape(-1).astype(np.float64) for v in self._added]
        return np.concatenate([*added, np.zeros(0) if self._state is None else self._state])

    def set_accumulators(self, values: np.ndarray) -> None:
        """Continue from the result of `accumulators`."""
        for part in self.parts:
            size, values = int(values[0]), values[1:]
            part._set_own_accumulators(values[:size])
            values = values[size:]
        self._set_own_accumulators(values)

    def _set_own_accumulators(self, values: np.ndarray) -> None:
        for variable in self._added:
            variable.assign(values[: variable.size].reshape(variable.shape))
            values = values[variable.size :]
        self._state = values.copy() if len(values) else None

    def size(self, shape: tuple[int, ...]) -> int:
        """The number of its float64 accumulators, for predictions of this shape a sample.

        Raises:
            ValueError: the shape does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no size(shape).")

    def count(self, plan: Plan, y_pred: View, y_true: View, sample_weight: View | None, state: Slot) -> None:
        """Add the launches that add a batch to the accumulators at ``state``, which start at 0."""
        raise NotImplementedError(f"{type(self).__name__} defines no count(plan, y_pred, y_true, weights, state).")

    def value(self, state: np.ndarray) -> Any:
        """The result that follows from the accumulators."""
        raise NotImplementedError(f"{type(self).__name__} defines no value(state).")

    def check_targets(self, y_true: np.ndarray) -> None:
        """Look at the values of targets before they are counted: raise a ValueError, or warn, where they do not fit."""

    def check_predictions(self, y_pred: np.ndarray) -> None:
        """The same for predictions that are given as arrays."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the rows of arrays too.

        Args:
            y_true: targets.
            y_pred: predictions (n, ...).
            sample_weight: of the targets' shape, of their first axes, or with axes of size 1; a number counts for all.

        Raises:
            ValueError: shapes or values do not fit; nothing was counted.
        """
        sparse = bool(self.sparse)
        once = OnArrays(
            y_true,
            y_pred,
            sparse,
            self.name,
            sample_weight,
            self.elements,
            self.ignore_class,
            weighs_elements=sample_weight is not None and self.weighs_elements,
            axis=self,
        )
        self.check_targets(once.inputs[once.target])
        self.check_predictions(once.inputs[once.prediction])
        size = self.size(once.prediction.shape)
        if self._state is not None and len(self._state) != size:
            raise ValueError(
                f"The metric {self.name!r} has counted predictions of another shape than {once.prediction.shape}; "
                "call reset_state() first."
            )
        slot = once.plan.slot(size)
        self.count(once.plan, once.prediction, once.target, once.weights, slot)
        state = np.zeros(size) if self._state is None else self._state
        self._state = once.run(state=(slot.index, state)).scalars[slot.index : slot.index + size].copy()

    def result(self) -> Any:
        """The number so far: a float, or an array if the metric has several.

        Raises:
            ValueError: nothing was counted, and the metric does not define the result of this.
        """
        if self._state is None and self.shape_of_nothing is not None:
            return self.value(np.zeros(self.size(self.shape_of_nothing)))
        if self._state is None:
            raise ValueError(f"The metric {self.name!r} has counted nothing yet: call update_state(y_true, y_pred).")
        return self.value(self._state)

    def reset_state(self) -> None:
        """Start to count again from 0."""
        for metric in (self, *self.parts):
            if metric is not self and type(metric).reset_state is not Metric.reset_state:
                metric.reset_state()
                continue
            metric._state = None
            for variable in metric._added:
                variable.assign(np.zeros(variable.shape))

    def __call__(self, *args: Any, **more: Any) -> Any:
        """`update_state`, then the `result`."""
        self.update_state(*args, **more)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class MeanOfRows(Metric):
    """The mean of a number for each row, each with its weight. Subclasses define `values`.

    Args:
        name, dtype: as for every `Metric`.
    """

    masked = True

    def __init__(self, name: str | None = None, dtype: Any = None):
        super().__init__(dtype, name)

    def values(self, plan: Plan, y_pred: View, y_true: View) -> View:
        """Add the launches that compute the number of each row."""
        return self.function.launch(plan, y_pred, y_true)[0]

    @property
    def function(self) -> RowFunction:
        """The formula of a row, if `values` is not overridden."""
        raise NotImplementedError(f"{type(self).__name__} defines no values(plan, y_pred, y_true).")

    def row_weights(self, plan: Plan, y_true: View, sample_weight: View) -> View:
        """The weight of each row, of rows with a weight."""
        return sample_weight

    def counted_variables(self) -> dict[str, Any]:
        """The weighted sum of the samples' numbers, each the mean of its rows', and the sum of their weights."""
        total, count = np.zeros(2) if self._state is None else self._state
        return {"total": total, "count": count}

    def size(self, shape):
        return 2

    def count(self, plan, y_pred, y_true, sample_weight, state):
        values = self.values(plan, y_pred, y_true)
        weight = product(plan, y_pred.mask if self.masked else None, sample_weight)
        if weight is not None:
            weight = self.row_weights(plan, y_true, weight)
        count = math.prod(axes_of(values)[0])
        value_sums, weight_sums = plan.chunk_sums(count), plan.chunk_sums(count)
        if y_true.weights is None:
            plan.call(folds.sum_weighted, values=values, weight=weight, total=value_sums, weights=weight_sums)
        else:  # the values are weighted
            plan.call(folds.sum_weighted, values=values, weight=weight, total=value_sums)
            means = element_means(plan, y_true.weights)
            plan.call(folds.sum_weighted, values=means, weight=weight, total=weight_sums)
        # As in Keras: samples of other batches, which may have more steps, count the same.
        steps = max(1, y_pred.row_count)
        plan.call(
            folds.add_totals, value_sums=value_sums, weight_sums=weight_sums, total=state, count=count, steps=steps
        )

    def value(self, state):
        return float(state[0] / state[1]) if state[1] else 0.0

    def result(self) -> Any:
        """The mean so far; 0 without rows."""
        return 0.0 if self._state is None else self.value(self._state)


def held(value: Any, kind: type) -> list[Any]:
    """The objects of a kind that attributes hold: themselves, or in lists, tuples and dictionaries, each once."""
    found = {id(value): value} if isinstance(value, kind) else {}
    if isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            found |= {id(one): one for one in held(each, kind)}
    return list(found.values())


def safe_divide(a: Any, b: Any) -> Any:
    """a / b, and 0 if b is 0."""
    b = np.asarray(b, np.float64)
    return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))


def as_number(value: Any) -> Any:
    """A float if there is one number, otherwise the array."""
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else value
