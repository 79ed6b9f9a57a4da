"""Launches: a kernel with its operands, as a call of a template makes it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastnet._kernels.chain import CHUNK_ELEMENTS, CHUNK_ROWS, LANES, SHAPE, Chain, Step
from fastnet._kernels.chain import Operand as ChainOperand
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import Kind
from fastnet._kernels.template import Template
from fastnet._kernels.templates import folds
from fastnet.engine.sizes import Extent, axis_extent, chunks, cost_of, extent_of, size_at
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View, axes_of, collapsed, describe, storage

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan

ELEMENT_GRAIN, ROW_GRAIN = 64, 16


@dataclass(eq=False)
class Launch:
    """One call of a kernel.

    Attributes:
        kernel: a `Kernel`, or what else a device has a binder for.
        operands: name → view, weight, slot or number; several have a name each.
        access: (operand, "r", "w" or "rw") pairs of those that are memory.
        extent: the length of the parallel axis.
        grain: parts of the axis begin at multiples of it.
        cost: scalar operations of a unit of the axis.
        flops: floating-point operations of a product, for a row of the batch where it goes over these.
        shape: (rows, columns) of the elements of a chain, as sizes.
        epilogue: what a product does to its result while a tile of it is in cache.
    """

    kernel: Any
    operands: Mapping[str, Any]
    access: Sequence[tuple[View | Variable | Slot, str]]
    extent: Extent = field(default_factory=Extent)
    grain: int = 1
    cost: int = 1
    flops: int = 0
    shape: tuple[int, int] = (0, 0)
    label: str = ""
    phase: str = ""
    flags: int = 0
    period: int = 1
    epilogue: Launch | None = None

    @property
    def name(self) -> str:
        """Of its template."""
        return self.kernel.name if isinstance(self.kernel, Product) else self.kernel.template.name

    def arguments(self) -> list[Any]:
        """The values of the kernel's arguments, in order."""
        return [
            float(self.operands[name]) if kind.name == "real" else self.operands[name]
            for name, kind in self.kernel.parameters
        ]


@dataclass(frozen=True)
class Product:
    """The matrix product c = op(a) op(b), as a kernel without code: a device has its own for it.

    Args:
        dtype: of all operands.
        m, n, k: sizes; those that follow from the rows of the batch are negative (`engine.sizes`).
        transpose_a, transpose_b: whether op is a transposition.
        relu: whether negative results become 0.
    """

    dtype: str
    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    relu: bool = False
    name = "product"

    @property
    def label(self) -> str:
        return f"product_{self.dtype}"

    @property
    def of_batch(self) -> bool:
        """Whether one of its sizes follows from the rows of the batch."""
        return min(self.m, self.n, self.k) < 0

    @classmethod
    def launch(
        cls, a: View | Variable, b: View | Variable, c: View, bias: Variable | None, relu: bool, transpose_a: bool,
        transpose_b: bool,
    ) -> Launch:  # fmt: skip
        """The launch of a product whose sizes follow from its operands."""
        matrices = {}
        for name, operand in (("a", a), ("b", b), ("c", c)):
            try:
                matrices[name] = collapsed(operand, 2)
            except ValueError as error:
                raise ValueError(f"product: {name} {describe(operand)}: {error}.") from None
        (m, k), (inner, n) = matrices["a"][0], matrices["b"][0]
        m, k = (k, m) if transpose_a else (m, k)
        inner, n = (n, inner) if transpose_b else (inner, n)
        if inner != k or matrices["c"][0] != [m, n] or (bias is not None and bias.size != n):
            raise ValueError(
                f"product: op(a) is {m}×{k}, op(b) {inner}×{n} and c {describe(c)}"
                f"{'' if bias is None else f', bias {describe(bias)}'}: the sizes do not fit."
            )
        access = [(a, "r"), (b, "r"), (c, "w")] + ([(bias, "r")] if bias is not None else [])
        _check_overlap("product", [("a", a, "r"), ("b", b, "r"), ("c", c, "w"), ("bias", bias, "r")])
        operands: dict[str, Any] = {"a": a, "b": b, "c": c, "bias": bias}
        operands |= {f"{name}_ld": distance for name, (_, distance) in matrices.items()}
        flops = 2 * abs(m * n * k)
        return Launch(cls(c.dtype, m, n, k, transpose_a, transpose_b, relu), operands, access, flops=flops)


class _Call:
    """The operands of one call, checked against the parameters of its template."""

    def __init__(self, template: Any, operands: Mapping[str, Any]):
        self.template, self.parameters = template, template.parameters
        self.operands: dict[str, Any] = {}
        self.access: list[tuple[Any, str]] = []
        self.views: list[tuple[str, Any, str]] = []
        self.rules: list[tuple[str, Any]] = []
        self.counts: list[tuple[str, int]] = []
        self.absent: list[str] = []
        self.functions: list[tuple[str, str]] = []
        self.dtypes: dict[str, str] = {}
        self.given = operands
        for name in operands:
            if name not in self.parameters:
                raise self.error(f"it has no parameter {name!r}; it has {', '.join(self.parameters)}")
        for name, kind in self.parameters.items():
            self._take(name, kind, operands.get(name))
        _check_overlap(template.name, self.views)

    def error(self, problem: str) -> TypeError:
        return TypeError(f"The template {self.template.name!r}: {problem}.")

    def _take(self, name: str, kind: Kind, value: Any) -> None:
        if kind.name in ("lo", "hi"):
            return
        if kind.name == "size":
            if value is not None:
                self.operands[name] = value
            elif getattr(self.template, "form", "loop") != "loop" and name not in SHAPE:
                raise self.error(f"the size {name!r} is missing")
            return
        if value is None and kind.name == "reals":
            value = ()
        if value is None:
            if not kind.optional:
                raise self.error(f"the operand {name!r} ({kind.name}) is missing")
            self.absent.append(name)
        elif kind.several:
            self.counts.append((name, len(value)))
            for i, one in enumerate(value):
                self._take(f"{name}_{i}", kind.one, one)
        elif kind.name == "rule":
            if not callable(value):
                raise self.error(f"{name!r} must be a rule, received {value!r}")
            self.rules.append((name, value))
        elif kind.name == "function":
            self.functions.append((name, value))
        elif kind.access:
            self._take_view(name, kind, value)
        elif kind.name in ("value", "count"):
            if not isinstance(value, Slot):
                raise self.error(f"{name!r} must be a slot of the step block, received {value!r}")
            self.operands[name] = value
            self.access.append((value, "r"))
        else:
            self._take_number(name, kind, value)

    def _take_number(self, name: str, kind: Kind, value: Any) -> None:
        whole = kind.name == "integer"
        try:
            self.operands[name] = value.__index__() if whole else float(value)
        except (AttributeError, TypeError, ValueError):
            raise self.error(f"{name!r} must be {'an integer' if whole else 'a number'}, received {value!r}") from None

    def _take_view(self, name: str, kind: Kind, value: Any) -> None:
        if not isinstance(value, (View, Variable, Slot)):
            raise self.error(f"{name!r} must be a view, a weight or a slot, received {type(value).__name__} {value!r}")
        dtype = (kind.dtype if kind.dtype == "int64" else "float64") if isinstance(value, Slot) else value.dtype
        if kind.dtype is None:
            self.dtypes[name] = dtype
        elif kind.dtype != dtype:
            raise self.error(f"{name!r} must be {kind.dtype}, received {describe(value)} of {dtype}")
        self.operands[name] = value
        self.access.append((value, kind.access))
        self.views.append((name, value, kind.access))

    def dtype(self, default: str | None) -> str:
        """The dtype that the views of no dtype of their own share."""
        found = set(self.dtypes.values())
        if len(found) > 1:
            listed = ", ".join(f"{name} is {dtype}" for name, dtype in self.dtypes.items())
            raise self.error(f"its operands must have one dtype: {listed}")
        return found.pop() if found else default or "float64"

    def kernel(self, template: Any, dtype: str) -> Kernel:
        rules, counts = tuple(self.rules), tuple(self.counts)
        return Kernel(template, rules, dtype, counts, tuple(self.absent), tuple(self.functions))


def launch_of(plan_rows: int, template: Any, operands: Mapping[str, Any], dtype: str | None) -> Launch:
    """The launch of a call.

    Args:
        plan_rows: the largest batch.
        template: what is called.
        operands: by the names of its parameters.
        dtype: of the kernel, where no view says it.
    """
    call = _Call(template, operands)
    if getattr(template, "form", "loop") != "loop":
        return _chain_launch(call, "flat")
    sizes = _sizes(call)
    kernel = call.kernel(template, call.dtype(dtype))
    return Launch(
        kernel, call.operands, call.access, axis_extent(template.axis, sizes), template.grain,
        max(1, cost_of(template.cost, sizes, plan_rows)),
    )  # fmt: skip


def _sizes(call: _Call) -> dict[str, int]:
    """The sizes of a call's dimensions by name; the operands get those and the distances of rows."""
    sizes = {name: v for name, v in call.operands.items() if isinstance(v, int)}
    said: dict[str, str] = {}
    for name, operand, _ in call.views:
        base = name if name in call.parameters else name.rpartition("_")[0]
        dims = call.parameters[base].dims
        if not dims or isinstance(operand, Slot):
            continue
        try:
            shape, distance = collapsed(operand, len(dims))
        except ValueError as error:
            raise ValueError(f"The template {call.template.name!r}: {name} {describe(operand)}: {error}.") from None
        if len(dims) == 2:
            call.operands[f"{name}_ld"] = distance
        for dim, size in zip(dims, shape):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(
                    f"The template {call.template.name!r}: {name} {describe(operand)} has {_told(size)} as {dim!r}, "
                    f"but {said.get(dim, 'the call')} has {_told(sizes[dim])}."
                )
            said.setdefault(dim, f"{name} {describe(operand)}")
    for name, kind in call.parameters.items():
        if kind.name == "size":
            if name not in sizes:
                raise call.error(f"the size {name!r} follows from no operand")
            call.operands[name] = sizes[name]
    return sizes


def _told(size: int) -> str:
    return str(extent_of(size))


# ---- loops over elements


def chain_launch(
    kernel: Kernel, operands: Mapping[str, Any], access: Sequence[tuple[Any, str]], shape: tuple[int, int]
):
    """The launch of a chain over elements of a shape (rows, columns)."""
    chain = kernel.template
    calls = 2 * len(kernel.rules) + sum(bool(o.kind.access) for o in chain.operands)
    flat = chain.form == "flat"
    named = {f"{o.name}_at": operands[o.name] for o in chain.operands if o.kind.access and o.name in operands}
    more = {"row_count": shape[0], "column_count": shape[1]}
    extent = extent_of(shape[0] * shape[1] if flat else shape[0])
    return Launch(
        kernel, {**operands, **named, **more}, access, extent, ELEMENT_GRAIN if flat else ROW_GRAIN,
        max(1, calls * (1 if flat else shape[1])), shape=shape,
    )  # fmt: skip


def _chain_launch(call: _Call, form: str) -> Launch:
    """The launch of one elementwise template: a chain of one step."""
    rows, columns, strided = _element_shape(call)
    grid = bool(strided) or any(_index(call.parameters, name) in ("row", "column") for name, _, _ in call.views)
    sizes = tuple([name for name, kind in call.parameters.items() if kind.name == "size" and name in call.operands])
    kernel = _chain_kernel(
        call.template, tuple(call.rules), tuple(call.counts), tuple(call.absent), sizes, tuple(strided),
        "grid" if grid and form == "flat" else form, call.dtype(None),
    )  # fmt: skip
    launch = chain_launch(kernel, call.operands, call.access, (rows, columns))
    launch.operands = {**launch.operands, **{f"{name}_ld": ld for name, ld in strided.items()}}
    return launch


@functools.cache
def _chain_kernel(
    template: Template, rules: tuple, counts: tuple, absent: tuple[str, ...], sizes: tuple[str, ...],
    strided: tuple[str, ...], form: str, dtype: str,
) -> Kernel:  # fmt: skip
    """The kernel of a chain of one step."""
    parameters, many = template.parameters, dict(counts)
    operands, binding = [], []
    for name, kind in parameters.items():
        if kind.name in ("rule", "function") or (kind.name == "size" and name not in sizes):
            continue
        names = [f"{name}_{i}" for i in range(many[name])] if kind.several else [name]
        names = [] if name in absent else names
        binding.append((name, tuple(names)))
        one = kind.one if kind.several else kind
        operands += [ChainOperand(n, one, _index(parameters, n) if one.access else "", n in strided) for n in names]
    chain = Chain((Step(template, tuple(binding)),), tuple(operands), form)
    return Kernel(chain, tuple((f"0.{name}", rule) for name, rule in rules), dtype)


def _index(parameters: Mapping[str, Kind], name: str) -> str:
    """How a view is indexed: by element, or as its kind says."""
    kind = parameters.get(name) or parameters[name.rpartition("_")[0]]
    return kind.dims[0] if kind.dims else "element"


def _element_shape(call: _Call) -> tuple[int, int, dict[str, int]]:
    """(rows, columns, row distances of the operands whose rows lie apart) of an elementwise template's operands."""
    found: dict[str, list[tuple[str, Any]]] = {"element": [], "row": [], "column": [], "total": []}
    for name, operand, _ in call.views:
        if not isinstance(operand, Slot):
            found[_index(call.parameters, name)].append((name, operand))
    if not found["element"]:
        raise call.error("it has no operand that says how many elements there are")
    first = found["element"][0][1]
    rows, columns = natural_shape(first)
    total = rows * columns
    if found["column"]:
        columns = _size_of(found["column"][0][1])
        rows = total // columns
    elif found["row"]:
        rows = _size_of(found["row"][0][1])
        columns = total // rows
    strided = {}
    for index, wanted in (("element", total), ("row", rows), ("column", columns)):
        for name, operand in found[index]:
            size = _size_of(operand)
            if size != wanted or rows * columns != total or columns < 0:
                raise ValueError(
                    f"The template {call.template.name!r}: {name} {describe(operand)} has {_told(size)} elements, but "
                    f"{'another operand' if index == 'element' else f'the {index}'} of {describe(first)} has "
                    f"{_told(wanted)}."
                )
            try:
                collapsed(operand, 1)
            except ValueError:
                strided[name] = _row_distance(call, name, operand, columns)
    return rows, columns, strided


def natural_shape(operand: View | Variable) -> tuple[int, int]:
    """(rows, columns) of an operand: its last axis has the columns, unless that is the batch."""
    sizes, _ = axes_of(operand)
    if not sizes or sizes[-1] < 0:
        return math.prod(sizes), 1
    return math.prod(sizes[:-1]), sizes[-1]


def _size_of(operand: View | Variable) -> int:
    """How many elements an operand has; of sums of chunks, those of a chunk."""
    if isinstance(operand, View) and operand.buffer.entries.unit > 1:
        return operand.width
    return math.prod(axes_of(operand)[0])


def _row_distance(call: _Call, name: str, operand: View, columns: int) -> int:
    try:
        (_, width), distance = collapsed(operand, 2)
    except ValueError as error:
        raise ValueError(f"The template {call.template.name!r}: {name} {describe(operand)}: {error}.") from None
    if width != columns or _index(call.parameters, name) != "element":
        raise ValueError(f"The template {call.template.name!r}: the elements of {name} {describe(operand)} lie apart.")
    return distance


# ---- sums over rows


def fold(plan: Plan, template: Any, operands: Mapping[str, Any], period: int, flags: int) -> Launch:
    """Append a fold: the sums of chunks, and where there are several the launch that adds them in order."""
    call = _Call(template, operands)
    rows, columns, _ = _element_shape(call)
    if any(_index(call.parameters, name) == "total" for name, _, mode in call.views if "w" in mode):
        launch = _chain_launch(call, "fold")
        launch.extent, launch.grain = chunk_entries(rows * columns, CHUNK_ELEMENTS), 1
        launch.cost *= max(1, CHUNK_ELEMENTS // columns)
        return plan.append(launch, period, flags)
    count = -(-size_at(rows, plan.rows) // CHUNK_ROWS)
    sums = {name: operand for name, operand, mode in call.views if "w" in mode}
    if count > 1:
        entries = chunk_entries(rows, CHUNK_ROWS)
        partial = {name: View.of((columns,), total.dtype, entries) for name, total in sums.items()}
        call = _Call(template, {**operands, **partial})
    launch = _chain_launch(call, "fold")
    launch.extent, launch.grain = chunk_entries(rows, CHUNK_ROWS) * -(-columns // LANES), 1
    launch.cost = max(1, launch.cost * min(CHUNK_ROWS, size_at(rows, plan.rows)) // max(1, -(-columns // LANES)))
    plan.append(launch, period, flags)
    for name, total in sums.items() if count > 1 else ():
        plan.call(folds.add_chunks, chunk_sums=partial[name], total=total, count=rows, period=period, flags=flags)
    return launch


def chunk_entries(size: int, unit: int) -> Extent:
    """How many chunks of ``unit`` a size is cut into."""
    length = chunks(extent_of(size) if size < 0 else size, unit)
    return length if isinstance(length, Extent) else Extent(fixed=length)


# ---- overlap


def _check_overlap(name: str, views: Sequence[tuple[str, Any, str]]) -> None:
    """A view that is written shares no element with another operand.

    Raises:
        ValueError: it does.
    """
    for position, (first_name, first, first_mode) in enumerate(views):
        for other_name, other, other_mode in views[position + 1 :]:
            if first is None or other is None or "w" not in first_mode + other_mode:
                continue
            if storage(first) is storage(other) and overlap(first, other):
                raise ValueError(
                    f"The template {name!r}: {first_name} {describe(first)} and {other_name} {describe(other)} "
                    "overlap, and one of them is written."
                )


def overlap(a: Any, b: Any) -> bool:
    """Whether two operands of one memory share an element."""
    if not (isinstance(a, View) and isinstance(b, View)):
        return True
    (a_first, a_last), (b_first, b_last) = a.span(), b.span()
    if a_last <= b_first or b_last <= a_first:
        return False
    rows = a.strides[-2:-1] or (a.buffer.width,)
    if a.strides == b.strides and len(a.shape) > 1 and a.strides[-1] == 1:
        # Columns of the same rows: they meet where their columns do.
        distance = rows[0]
        a_column, b_column = a_first % distance, b_first % distance
        return a_column < b_column + b.shape[-1] and b_column < a_column + a.shape[-1]
    return True
