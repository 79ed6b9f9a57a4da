"""A plan: a flat list of launches over views with known sizes. It knows nothing of a device."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels.chunks import CHUNK_ELEMENTS
from fastnet._kernels.cpu import processor
from fastnet._kernels.errors import RuleError, quoted, template_error
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import DTYPES
from fastnet._kernels.snapshots import is_fixed, snapshot
from fastnet._kernels.template import Template
from fastnet._kernels.templates import elementwise
from fastnet._kernels.window import Window
from fastnet.engine import changes
from fastnet.engine.call import launch_of
from fastnet.engine.elements import chunk_entries, elementwise_launch, fold
from fastnet.engine.gradients import DenseGradient, Gradient
from fastnet.engine.launch import Launch, Product
from fastnet.engine.operations import Cast, Penalized, Penalty, total
from fastnet.engine.split import split_product, splits
from fastnet.engine.tape import Tape
from fastnet.engine.text import plan_text
from fastnet.engine.variable import Variable
from fastnet.engine.view import BATCH, ONCE, Slot, View, axes_of, collapsed


@dataclass(eq=False)
class Plan:
    """The launches of one step.

    Args:
        training: whether layers behave as in training.
        dtype: of new buffers by default; during a layer's forward and backward, the layer's.
        rows: the largest batch.
        trained: the weights whose gradients are wanted; None for all trainable weights.
        snapshots: users' templates and rules as they were when the model first used them.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> x = plan.buffer((3,))
        >>> plan.apply(layers.ReLU(name="relu"), x).shape
        (3,)
        >>> print(plan)
        forward  relu  apply  f=relu x=%0[rows×3] y→%1[rows×3] | 3·rows × 4
    """

    training: bool
    dtype: str
    rows: int = 32
    trained: frozenset[Variable] | None = None
    launches: list[Launch] = field(default_factory=list)
    slots: int = abi.HEADER
    gradients: dict[Variable, list[Gradient]] = field(default_factory=dict)
    results: list[View] = field(default_factory=list)  # views that are read after a step
    label: str = ""
    phase: str = "forward"
    random_streams: int = 0  # layers that draw random numbers
    outputs: list[tuple[Any, View]] = field(default_factory=list)  # (layer, its result) in order; last the network's
    penalized: list[Penalty] = field(default_factory=list)  # on results of layers
    prepared: set[Any] = field(default_factory=set)  # layers whose launches of once a step are there
    assigned: dict[Variable, View] = field(default_factory=dict)  # by layers' calls, to be stored
    penalty_state: dict[Variable, dict[str, View]] = field(default_factory=dict)  # from a penalty to its gradient
    snapshots: dict[Any, Any] = field(default_factory=dict)  # users' templates and rules as the model read them first
    tape: Tape = field(init=False)

    def __post_init__(self) -> None:
        self.tape = Tape(self)

    def buffer(self, shape: Sequence[int], dtype: str | None = None, per_row: bool = True) -> View:
        """New memory for ``shape`` in each row of the batch, or once where ``per_row`` is False."""
        return View.of(shape, dtype or self.dtype, BATCH if per_row else ONCE)

    def like(self, x: View) -> View:
        """New memory for as many elements as ``x`` has, of its shape."""
        return View.of(x.shape, x.dtype, BATCH if x.per_row else ONCE)

    def chunk_sums(self, count: int) -> View:
        """New memory for the sums of the chunks that ``count`` elements are cut into by a fold over all of them."""
        return View.of((), "float64", chunk_entries(count, CHUNK_ELEMENTS))

    def streams(self, *views: View) -> int:
        """1 if the buffers of a batch take more than half of the last cache, else 0: kernels then store past it."""
        return int(2 * sum(view.buffer.size(self.rows) for view in views) > processor.cache(3).bytes)

    def slot(self, count: int = 1) -> Slot:
        """New numbers in the step block."""
        self.slots += count
        return Slot(self.slots - count)

    # ---- layers

    def apply(self, layer: Any, x: View) -> View:
        """Add the launches of a layer; its result.

        The input is converted to the dtype that the layer reads (`Layer.reads`). A layer without a backward of its own
        applies others in its forward.
        """
        self.tape.check_part(layer)
        outer = self.label, self.dtype
        self.label, self.dtype = layer.name, layer.dtype
        try:
            with changes.lowering():
                return self._applied(layer, x)
        finally:
            self.label, self.dtype = outer

    def _applied(self, layer: Any, x: View) -> View:
        wanted = {"float": layer.dtype, "any": x.dtype}.get(layer.reads, layer.reads)
        if x.dtype != wanted:
            x = self.tape.push(Cast(wanted), x)
        if not layer.built:
            if self.trained is not None:
                raise ValueError(
                    f"{layer._owner} is applied, but was not built with its model, and would not be trained: it was "
                    "added later, or forward applies it in training only. Store it in an attribute before the model is "
                    "built; where forward applies it in training only, build it in make_weights(input_shape)."
                )
            layer.connect(x.shape)
        if layer.composite:
            y = self.tape.composite(layer, x)
        else:
            y = self.tape.push(layer, x)
            y.mask = layer.compute_mask(self, x, y)
        self.outputs.append((layer, y))
        if layer.activity_regularizer is not None:
            y = self.tape.push(Penalized(layer.activity_regularizer), y)
            self.penalized.append(Penalty(layer.name, layer.activity_regularizer, y))
        return y

    def combine(self, operation: Any, *inputs: View) -> View:
        """Add the launches of an operation between results (`operations`); its result."""
        return self.tape.push(operation, *inputs)

    def save(self, **values: Any) -> None:
        """Save values in a layer's forward for its backward."""
        self.tape.save(**values)

    def saved(self, name: str) -> Any:
        """A value that `save` received."""
        return self.tape.saved(name)

    # ---- weights

    def trains(self, variable: Variable) -> bool:
        """Whether the gradient of a weight is wanted."""
        return variable.trainable if self.trained is None else variable in self.trained

    def gradient(self, variable: Variable) -> View | None:
        """The view to which a layer writes the gradient of a weight; None if it is not wanted.

        A weight that is used again has several gradients, which are added.
        """
        if not self.trains(variable):
            return None
        view = self.buffer(variable.shape, variable.dtype, per_row=False)
        self.gradients.setdefault(variable, []).append(DenseGradient(view))
        return view

    def total_gradient(self, variable: Variable) -> View:
        """The gradient of a weight: the sum of those it has, in order.

        Raises:
            ValueError: the weight has no gradient.
        """
        found = self.gradients.get(variable)
        if not found:
            raise ValueError(
                f"The weight {variable.path!r} has no gradient: its layer's backward writes none, or its layer defines "
                "none and applies others, to which the weight should belong."
            )
        return total(self, [gradient.dense(self) for gradient in found])

    def gradient_or_buffer(self, variable: Variable | None, shape: Sequence[int]) -> View:
        """The view of a weight's gradient, or a new buffer if the gradient is computed but not wanted."""
        gradient = None if variable is None else self.gradient(variable)
        return self.buffer(shape, per_row=False) if gradient is None else gradient

    def store_assigned(self) -> None:
        """Add the launches that give weights what layers assigned to them, behind all that reads their values.

        Raises:
            RuleError: a weight is changed by another launch too.
        """
        for variable, view in self.assigned.items():
            access = (pair for launch in self.launches for pair in launch.access)
            if any(operand is variable and "w" in mode for operand, mode in access):
                raise RuleError(
                    f"The weight {variable.path!r} is assigned in call, and its layer changes it by itself: assign "
                    "weights of the class's own."
                )
            self.label = variable.path.rpartition("/")[0]
            self.call(elementwise.copy, x=view, y=variable)

    def operations_at(self, rows: int) -> float:
        """Operations of a step for a batch of ``rows``: those of the products, or of all else if these are more."""
        products = sum(launch.flops_at(rows) for launch in self.launches)
        others = sum(launch.cost * launch.extent.at(rows) for launch in self.launches if not launch.flops)
        return max(products, others)

    # ---- launches

    def call(self, template: Any, *, period: Any = 1, flags: Any = 0, dtype: Any = None, **operands: Any) -> Launch:
        """Append a call of a template; operands by the names of its parameters.

        The dtype, the counts, the sizes, the extent of the parallel axis and the memory that is read and written follow
        from the operands. A fold over more rows than a chunk is followed by the sum of its chunks.

        Args:
            template: a `Template`.
            period: the launch runs only in steps whose number, from 1, is a multiple of it.
            flags: of `abi`.
            dtype: of the kernel, if no view decides it.
            operands: views, weights, slots, numbers, rules; several in a sequence.

        Raises:
            TypeError: an operand is missing, unknown, or of another kind than its parameter.
            ValueError: sizes do not fit, a view that is written overlaps another operand, or the period or the dtype is
                not one.
        """
        if not hasattr(template, "parameters"):
            raise TypeError(
                f"plan.call takes a template, received {quoted(getattr(template, '__name__', template))}: declare one "
                "with @extend.elementwise, @extend.fold or @extend.template(axis)."
            )
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(
                f"The template {template.name!r}: dtype must be one of {', '.join(DTYPES)}, received {quoted(dtype)}."
            )
        launch_count = len(self.launches)
        try:
            template = self._as_read(template)
            operands = {name: self._readable(template, name, value) for name, value in operands.items()}
            if template.form == "fold":
                return fold(self, template, operands, period, flags)
            if template.form == "elementwise":
                return self.append(elementwise_launch(template, operands), period, flags)
            return self.append(launch_of(self.rows, template, operands, dtype), period, flags)
        except (TypeError, ValueError):
            del self.launches[launch_count:]
            raise

    def sums(self, template: Any, **operands: Any) -> tuple[View, int]:
        """Call a fold over everything, whose result is ``total``.

        Args:
            template: a fold; its first view says how many elements there are.
            operands: as for `call`, without ``total``.

        Returns:
            (the sums of chunks, the number of elements), as templates that add the chunks take them.
        """
        views = (operand for operand in operands.values() if isinstance(operand, (View, Variable)))
        count = math.prod(axes_of(next(views))[0])
        total = self.chunk_sums(count)
        self.call(template, total=total, **operands)
        return total, count

    def _readable(self, template: Any, name: str, value: Any) -> Any:
        """An operand as its template takes it; a copy if its elements lie further apart."""
        kind = template.parameters.get(name)
        if kind is None or kind.access != "r":
            return self._rule_as_read(template, name, value) if kind is not None and kind.name == "rule" else value
        if kind.several and isinstance(value, Sequence):
            return [self.packed(one) for one in value]
        elements = template.form != "loop" and not kind.dims and not template.sums_all
        return self.packed(value, 2 if elements or len(kind.dims) == 2 else 1)

    def _rule_as_read(self, template: Any, name: str, rule: Any) -> Any:
        try:
            return self._as_read(rule) if inspect.isfunction(rule) else rule
        except RuleError as error:
            raise template_error(template.name, f"its rule {name!r}: {str(error).rstrip('.')}") from None

    def _as_read(self, item: Any) -> Any:
        """A template or a rule as it was when it was first used; fastnet's own do not change."""
        if item.built_in if isinstance(item, Template) else is_fixed(item):
            return item
        if item not in self.snapshots:
            self.snapshots[item] = item.snapshot() if isinstance(item, Template) else snapshot(item)
        return self.snapshots[item]

    def packed(self, x: Any, dimensions: int = 1) -> Any:
        """A view whose elements lie back to back; of two dimensions, whose rows lie at even distances.

        Args:
            x: a view, which is copied if necessary; any other object is returned.
            dimensions: 1 or 2.
        """
        if not isinstance(x, View) or x.packed:
            return x
        try:
            collapsed(x, dimensions)
        except ValueError:
            return self._copy(x, self.like(x))
        return x

    def reshaped(self, x: View, shape: Sequence[int]) -> View:
        """The same elements under another shape; a copy if rows lie apart and the shape cuts them."""
        try:
            return x.view(shape)
        except ValueError:
            return self._copy(x, self.like(x)).view(shape)

    def _copy(self, x: View, y: View) -> View:
        """Copy x to y in one launch, or in one for each step, where steps and rows lie at different distances; y."""
        if not x.shape:
            self._copy(x.view((1,)), y.view((1,)))
            return y
        try:
            collapsed(x, 2)
        except ValueError:
            for step in range(x.shape[0]):
                parts = (view.slice(0, step, step + 1).view(view.shape[1:]) for view in (x, y))
                self._copy(*parts)
        else:
            self.append(elementwise_launch(elementwise.copy, {"x": x, "y": y}))
        return y

    def append(self, launch: Launch, period: int = 1, flags: int = 0) -> Launch:
        """Append a launch; see `call`."""
        if not isinstance(period, numbers.Integral) or period < 1:
            raise ValueError(
                f"The template {launch.name!r}: period must be an integer of at least 1, received {quoted(period)}."
            )
        launch.label, launch.phase, launch.period, launch.flags = self.label, self.phase, period, flags
        if isinstance(launch.kernel, Kernel) and not launch.kernel.template.built_in:
            launch.kernel.source()  # raises the errors of a user's template at the call
        self.launches.append(launch)
        return launch

    def product(
        self, a: View | Variable, b: View | Variable, c: View, bias: Variable | None = None, *, relu: bool = False,
        transpose_a: bool = False, transpose_b: bool = False, window: Window | None = None, winograd: bool = False,
        period: int = 1, chunks: int = 1,
    ) -> Launch:  # fmt: skip
        """Append the matrix product c = op(a) op(b) + bias.

        A view is a matrix whose columns are its last axis, with all other axes, that of the batch included, as rows.
        A factor whose rows lie at uneven distances, such as some steps of each sample, is copied. A product of few rows
        with a large weight that is trained becomes several launches (`split`); the bits are the same.

        Args:
            a, b: the factors; op transposes if ``transpose_a`` or ``transpose_b``.
            c: the result, which no other operand overlaps.
            bias: added to every row.
            relu: whether negative results become 0.
            window: a are images, and the factor is the matrix of their patches.
            winograd: b are the transformed taps of Winograd's convolution.
            period: steps from one run to the next.
            chunks: of k, whose sums are the matrices of c, one behind the other, and are still to be added. Only a
                window's transposed matrix can be cut so.

        Returns:
            The launch, or the first of several.

        Raises:
            TypeError: an operand is neither a view nor a weight, or its dtype differs from that of ``c``.
            ValueError: sizes do not fit.
        """
        launch_count = len(self.launches)
        try:
            a, b = self.packed(a, 2), self.packed(b, 2)
            if not (transpose_a or transpose_b or window) and period == 1 and splits(self, b, c):
                return split_product(self, a, b, c, bias, relu)
            transposed = {"transpose_a": transpose_a, "transpose_b": transpose_b}
            launch = Product.launch(a, b, c, bias, relu, **transposed, window=window, winograd=winograd, chunks=chunks)
            return self.append(launch, period)
        except (TypeError, ValueError):
            del self.launches[launch_count:]
            raise

    def __str__(self) -> str:
        """One line a launch: phase, label, template, operands with shapes and offsets, extent, cost."""
        return plan_text(self)
