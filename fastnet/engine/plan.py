"""A plan: a flat list of launches over buffers with known sizes. It knows nothing of a device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import buffer_access
from fastnet.engine.variable import Variable

SIZES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "uint8": 1}


@dataclass(eq=False)
class Buffer:
    """Memory a plan needs while it runs.

    Args:
        shape: of one row, or of the whole where ``per_row`` is False.
        dtype: of its elements.
        per_row: whether it holds this shape for each row of the batch.
        needs_gradient: whether a weight stands before it, so that its gradient is of use.
        root: the buffer whose memory this one names with another shape.
        mask: 1 for each step (a place of every axis but the last) that counts and 0 for each that is left out; None
            where all count.
    """

    shape: tuple[int, ...]
    dtype: str
    per_row: bool = True
    needs_gradient: bool = False
    root: Buffer | None = None
    mask: Buffer | None = None

    @property
    def width(self) -> int:
        """Elements in a row."""
        return math.prod(self.shape)

    @property
    def storage(self) -> Buffer:
        return self.root or self

    def view(self, shape: tuple[int, ...]) -> Buffer:
        """The same memory under another shape of a row."""
        return Buffer(shape, self.dtype, self.per_row, self.needs_gradient, self.storage)

    def size(self, rows: int) -> int:
        """Bytes for a batch of ``rows``."""
        return self.width * SIZES[self.dtype] * (rows if self.per_row else 1)


@dataclass(frozen=True)
class Slot:
    """A number in the step block."""

    index: int


@dataclass(frozen=True)
class Extent:
    """How far a launch's parallel axis reaches: times * ceil(rows * per_row / unit) + fixed."""

    per_row: int = 0
    unit: int = 1
    times: int = 1
    fixed: int = 0

    def at(self, rows: int) -> int:
        return self.times * -(-rows * self.per_row // self.unit) + self.fixed


@dataclass(eq=False)
class Launch:
    """One call of a kernel: its arguments in order, what it touches, and how it may be shared out."""

    kernel: Any
    arguments: Sequence[Any]
    access: Sequence[tuple[Buffer | Variable | Slot, str]]
    extent: Extent
    grain: int
    cost: int  # picoseconds for a unit of extent
    label: str
    phase: str
    flops: int = 0  # of a product, for a row of the batch where it goes over these
    flags: int = 0
    period: int = 1  # runs in each step whose number, from 1, is a multiple
    epilogue: Launch | None = None  # what a product does to its result while a tile of it is in cache


@dataclass(eq=False)
class Plan:
    """What one step does.

    Args:
        training: whether layers behave as in training.
        dtype: of the data that flows.
        typical_rows: the batch's size, for estimates of cost.
    """

    training: bool
    dtype: str
    typical_rows: int = 32
    launches: list[Launch] = field(default_factory=list)
    slots: int = abi.HEADER
    gradients: dict[Variable, Buffer] = field(default_factory=dict)
    label: str = ""
    phase: str = "forward"
    kept: dict[tuple[object, str], Any] = field(default_factory=dict)
    layer_count: int = 0

    def buffer(
        self, shape: Sequence[int], dtype: str | None = None, per_row: bool = True, needs_gradient=False
    ) -> Buffer:
        """New memory for ``shape`` in each row, or once where ``per_row`` is False."""
        return Buffer(tuple(shape), dtype or self.dtype, per_row, needs_gradient)

    def slot(self, count: int = 1) -> Slot:
        """New numbers in the step block."""
        self.slots += count
        return Slot(self.slots - count)

    def keep(self, owner: object, **values: Any) -> None:
        """Hand something from a layer's forward to its backward."""
        self.kept.update({(owner, name): value for name, value in values.items()})

    def recall(self, owner: object, name: str) -> Any:
        """What `keep` was given."""
        return self.kept[owner, name]

    def gradient(self, variable: Variable) -> Buffer:
        """Where the gradient of a weight is to be written."""
        buffer = self.buffer(variable.shape, variable.dtype, per_row=False)
        self.gradients[variable] = buffer
        return buffer

    def launch(
        self, kernel: Kernel, arguments: Mapping[str, Any], extent: Extent, grain: int = 1, cost: int = 1000, **more
    ):
        """Append a call of a generated kernel; ``arguments`` by the names of its template's parameters."""
        ordered, access = [], []
        for name, kind in kernel.parameters():
            try:
                value = arguments[name]
            except KeyError:
                base, _, index = name.rpartition("_")
                value = arguments[base][int(index)]
            ordered.append(float(value) if kind == "real" else value)
            mode = buffer_access(kind) or ("r" if kind in ("value", "count") else None)
            if mode:
                access.append((value, mode))
        self.append(kernel, ordered, access, extent, grain, cost, **more)

    def append(self, kernel, arguments, access, extent: Extent, grain: int, cost: int, **more) -> None:
        """Append a call whose arguments are already in order."""
        touched = [id(b.storage if isinstance(b, Buffer) else b) for b, _ in access]
        for (operand, mode), place in zip(access, touched, strict=True):
            if "w" in mode and isinstance(operand, Buffer) and touched.count(place) > 1:
                raise AssertionError(f"{kernel.label}: a buffer that is written is passed twice")
        self.launches.append(
            Launch(kernel, tuple(arguments), tuple(access), extent, grain, max(1, cost), self.label, self.phase, **more)
        )

    def elements(self, kernel: Kernel, like: Buffer, cost: int, /, **arguments: Any) -> None:
        """Append a kernel that runs over every element of ``like``."""
        extent = Extent(per_row=like.width) if like.per_row else Extent(fixed=like.width)
        self.launch(kernel, arguments, extent, 64, cost)

    def rows(self, kernel: Kernel, inner: int, cost: int, /, **arguments: Any) -> None:
        """Append a kernel that runs over ``inner`` rows of each row of the batch."""
        self.launch(kernel, arguments, Extent(per_row=inner), 16, cost)

    def columns(self, kernel: Kernel, width: int, cost: int, /, **arguments: Any) -> None:
        """Append a kernel that runs over ``width`` columns."""
        self.launch(kernel, arguments, Extent(fixed=width), 16, cost)

    def product(
        self,
        product: Product,
        a: Buffer | Variable,
        b: Buffer | Variable,
        c: Buffer,
        bias: Variable | None = None,
        **more: Any,
    ) -> None:
        """Append a matrix product."""
        access = [(a, "r"), (b, "r"), (c, "w")] + ([(bias, "r")] if bias is not None else [])
        sizes = [product.inner if size == ROWS else size for size in (product.m, product.n, product.k)]
        self.append(product, (a, b, c, bias), access, Extent(), 1, 1, flops=2 * math.prod(sizes), **more)

    def once(self, kernel: Kernel, /, **arguments: Any) -> None:
        """Append a kernel without a parallel axis."""
        self.launch(kernel, arguments, Extent(fixed=1))


@dataclass(frozen=True)
class Product:
    """The matrix product c = op(a) op(b), as a kernel without code: the backend has its own for it.

    Args:
        dtype: of all operands.
        m, n, k: sizes; `ROWS` stands for ``inner`` times the rows of the batch.
        inner: rows of the product for each row of the batch.
        transpose_a, transpose_b: whether op is a transposition.
        relu: whether negative results become 0.
    """

    dtype: str
    m: int
    n: int
    k: int
    inner: int = 1
    transpose_a: bool = False
    transpose_b: bool = False
    relu: bool = False

    @property
    def label(self) -> str:
        return f"product_{self.dtype}"

    @property
    def of_batch(self) -> bool:
        """Whether one of its sizes is that of the batch."""
        return ROWS in (self.m, self.n, self.k)

    @property
    def lda(self) -> int:
        """Elements in a stored row of a."""
        return self.m if self.transpose_a else self.k

    @property
    def ldb(self) -> int:
        """Elements in a stored row of b."""
        return self.k if self.transpose_b else self.n


ROWS = -1
