"""Launches: a kernel with its operands. The matrix product is a kernel without code, for which a device has its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnet._kernels.errors import quoted
from fastnet._kernels.window import TapGroups, Window
from fastnet.engine.sizes import Extent, extent_of
from fastnet.engine.variable import Variable
from fastnet.engine.view import ONCE, Slot, View, collapsed, describe, storage


@dataclass(eq=False)
class Launch:
    """One call of a kernel.

    Attributes:
        kernel: a `Kernel`, or another type for which a device has a binder.
        operands: name → view, weight, slot or number; several have a name each.
        access: (operand, "r", "w" or "rw") pairs of those that are memory.
        extent: the length of the parallel axis.
        grain: parts of the axis begin at multiples of it.
        cost: scalar operations of a unit of the axis.
        flops: floating-point operations of a product; for one row, if a size follows from the rows of the batch.
        shape: (rows, columns) of the elements of a chain, as sizes.
        epilogue: the launch of a chain that a product applies to each tile of its result while it is in cache.
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

    def flops_at(self, rows: float) -> float:
        """The floating-point operations of a product for a batch of ``rows``."""
        return self.flops * (1 if isinstance(self.kernel, Product) and not self.kernel.of_batch else rows)

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
        split: whether the sums of the K-blocks are written side by side, and added by others (`Plan.product`).
        window: a is the patch matrix of a batch of images, or None. n counts the columns of all its groups.
        winograd: whether b are the transformed taps of Winograd's convolution, 36 for each channel.
        chunks: of the K-blocks. c has so many matrices, one behind the other, which others add.
    """

    dtype: str
    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    relu: bool = False
    split: bool = False
    window: Window | None = None
    winograd: bool = False
    chunks: int = 1
    name = "product"

    @property
    def full_name(self) -> str:
        return f"product_{self.dtype}"

    @property
    def is_scattered(self) -> bool:
        """Whether the rows of c are pixels that lie apart."""
        return self.window is not None and self.window.is_scattered

    @property
    def takes_chain(self) -> bool:
        """Whether a chain may follow the tiles of its result."""
        return not self.is_scattered and self.chunks == 1

    @property
    def of_batch(self) -> bool:
        """Whether one of its sizes follows from the rows of the batch."""
        return min(self.m, self.n, self.k) < 0

    @classmethod
    def launch(
        cls, a: View | Variable, b: View | Variable, c: View, bias: Variable | None = None, relu: bool = False,
        transpose_a: bool = False, transpose_b: bool = False, split: bool = False, window: Window | None = None,
        winograd: bool = False, chunks: int = 1,
    ) -> Launch:  # fmt: skip
        """The launch of a product whose sizes follow from its operands."""
        for name, operand in (("a", a), ("b", b), ("c", c), ("bias", bias)):
            if not isinstance(operand, (View, Variable)) and not (operand is None and name == "bias"):
                raise TypeError(f"product: {name} must be a view or a weight, received {quoted(operand)}.")
            if operand is not None and (operand.dtype != c.dtype or c.dtype not in ("float32", "float64")):
                raise TypeError(
                    f"product: all operands must be float32, or all float64; {name} {describe(operand)} is "
                    f"{operand.dtype} and c is {c.dtype}."
                )
        matrices = {}
        one = c.slice(-2, 0, 1) if split else c.slice(0, 0, c.shape[0] // chunks) if chunks > 1 else c
        for name, operand in (("a", a), ("b", b), ("c", one)):
            try:
                matrices[name] = collapsed(operand, 2)
            except ValueError as error:
                raise ValueError(f"product: {name} {describe(operand)}: {error}.") from None
        if window is not None:
            matrices["a"] = patch_matrix(matrices["a"], window)
            if window.is_scattered:
                matrices["c"] = scattered_rows(matrices["c"], window)
        if winograd and (window is None or c.dtype != "float32"):
            raise ValueError(f"product: Winograd's form takes a window and float32, received {window} and {c.dtype}.")
        (m, k), (b_k, n) = matrices["a"][0], matrices["b"][0]
        if isinstance(b, Variable) and b.ndim > 2:  # its elements lie back to back: any number of columns
            columns = matrices["a"][0][not transpose_a] if transpose_b else matrices["c"][0][1]
            if columns > 0 and b.size % columns == 0:
                b_k, n = b.size // columns, columns
                matrices["b"] = (b_k, n), columns
        m, k = (k, m) if transpose_a else (m, k)
        b_k, n = (n, b_k) if transpose_b else (b_k, n)
        k = 36 * window.channels if winograd and window is not None else k
        if b_k != k or matrices["c"][0] != (m, n) or (bias is not None and bias.size != n):
            raise ValueError(
                f"product: op(a) is {extent_of(m)}×{extent_of(k)}, op(b) {extent_of(b_k)}×{extent_of(n)} and c "
                f"{describe(c)}{'' if bias is None else f', bias {describe(bias)}'}: the sizes do not fit."
            )
        access = [(a, "r"), (b, "r"), (c, "w")] + ([(bias, "r")] if bias is not None else [])
        check_overlap("product", [("a", a, "r"), ("b", b, "r"), ("c", c, "w"), ("bias", bias, "r")])
        operands: dict[str, Any] = {"a": a, "b": b, "c": c, "bias": bias}
        operands |= {f"{name}_ld": distance for name, (_, distance) in matrices.items()}
        flops = 2 * abs(m * n * k) // (16 if winograd else 1)  # products of 16 results
        kernel = cls(c.dtype, m, n, k, transpose_a, transpose_b, relu, split, window, winograd, chunks)
        return Launch(kernel, operands, access, flops=flops)


@dataclass(frozen=True)
class TapProducts(Product):
    """The products of images a and of the gradient b of their convolution, at the points of Winograd's convolution.

    c (parts, 36, channels of a group, columns of a group) are the sums of the parts (`window.TapGroups`), from which
    the gradient of the taps follows.
    """

    tiles: int = 0  # of the batch that the plan is for

    name = "tap_products"
    takes_chain = False

    @property
    def full_name(self) -> str:
        return f"tap_products_{self.dtype}"

    @property
    def groups(self) -> TapGroups:
        """The parts."""
        assert self.window is not None
        return self.window.tap_groups(self.n, self.tiles)

    @classmethod
    def of(cls, images: View, gradient: View, window: Window, rows: int) -> tuple[Launch, View]:
        """The launch for a batch of some rows, and c."""
        columns = gradient.shape[-1]
        size, tiles = (36 * window.channels, columns, -window.tiles), rows * window.tiles
        kernel = cls(images.dtype, *size, True, window=window, winograd=True, tiles=tiles)
        groups = kernel.groups
        c = View.of((groups.count, 36, groups.channels, groups.columns), images.dtype, ONCE)
        distances = {"a_ld": collapsed(images, 2)[1], "b_ld": collapsed(gradient, 2)[1], "c_ld": groups.columns}
        operands = {"a": images, "b": gradient, "c": c, "bias": None, **distances}
        flops = 2 * 36 * window.channels * columns * window.tiles
        return Launch(kernel, operands, [(images, "r"), (gradient, "r"), (c, "w")], flops=flops), c


Matrix = tuple[tuple[int, ...], int]  # sizes, distance of the rows


def patch_matrix(pixels: Matrix, window: Window) -> Matrix:
    """The sizes of the matrix of patches of images, and the distance of their pixels.

    Raises:
        ValueError: the images do not have as many pixels or channels as the window is for.
    """
    (rows, channels), distance = pixels
    count = math.prod(window.image)
    if rows % count or channels != window.channels * window.groups:
        raise ValueError(
            f"product: a window over images of {window.image} pixels and {window.channels * window.groups} channels, "
            f"received {extent_of(rows)} pixels and {channels} channels."
        )
    return (rows // count * window.rows, window.columns), distance


def scattered_rows(pixels: Matrix, window: Window) -> Matrix:
    """The results of the positions of a window, which are some of the pixels of images.

    Raises:
        ValueError: the images do not have as many pixels as the window is for.
    """
    (rows, columns), distance = pixels
    count = math.prod(window.target)
    if rows % count:
        raise ValueError(f"product: results in images of {window.target} pixels, received {extent_of(rows)} pixels.")
    return (rows // count * window.rows, columns), distance


def check_overlap(name: str, views: Sequence[tuple[str, Any, str]]) -> None:
    """Check that a view that is written shares no element with another operand.

    Raises:
        ValueError: it shares one.
    """
    if len({storage(operand) for _, operand, _ in views}) == len(views):
        return
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
    if a.strides == b.strides and len(a.shape) > 1 and a.strides[-1] == 1 and a.strides[-2]:
        # Columns of the same rows: they overlap if their columns do.
        distance = a.strides[-2]
        a_column, b_column = a_first % distance, b_first % distance
        return a_column < b_column + b.shape[-1] and b_column < a_column + a.shape[-1]
    return True
