"""Convolutions as launches of a plan: the form that each takes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from fastnet._kernels.chunks import CHUNK_ROWS, k_blocks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import convolution, elementwise, folds, winograd
from fastnet._kernels.window import PANEL, Phase, Window, phases
from fastnet.engine.launch import TapProducts
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

FORMS = ("fast", "exact")
MOST_CHUNKS, LEAST_BLOCKS, MOST_SUMS = 32, 8, 2**18  # of the gradient of a kernel: K-blocks of each, elements of all
_form = "fast"


def form() -> str:
    """The form of convolutions of plans that are made now; one of `FORMS`."""
    return _form


def set_form(name: str) -> None:
    """Set it; it is a part of the version of plans.

    Raises:
        ValueError: it is none of `FORMS`.
    """
    global _form
    if name not in FORMS:
        raise ValueError(f"set_convolution: the form must be 'fast' or 'exact', received {quoted(name)}.")
    _form = name


def uses_winograd(window: Window, y: View) -> bool:
    """Whether a convolution takes Winograd's form."""
    return _form == "fast" and y.dtype == "float32" and window.has_winograd(y.shape[-1])


def convolve(
    plan: Plan, x: View, kernel: Variable | View, y: View, window: Window, bias: Variable | None = None,
    relu: bool = False,
) -> None:  # fmt: skip
    """Append y = P(x) kernel + bias, P being the matrix of patches; then ReLU where asked.

    Args:
        plan: to which the launches are added.
        x: images.
        kernel: (taps, channels of a group, columns), as any number of axes.
        y: the result.
        window: over x.
        bias: of each column.
        relu: whether negative results become 0.
    """
    if window.is_reshape:
        plan.product(plan.reshaped(x, (window.rows, window.columns)), kernel, y, bias, relu=relu)
    elif uses_winograd(window, y):
        columns = y.shape[-1]
        taps = plan.buffer((36 * window.channels, columns), y.dtype, per_row=False)
        plan.call(
            winograd.transform_taps, kernel=kernel, transformed=taps.flat, panels=columns // PANEL,
            channels=window.channels,
        )  # fmt: skip
        plan.product(x, taps, y, bias, relu=relu, window=window, winograd=True)
    else:
        plan.product(x, kernel, y, bias, relu=relu, window=window)


def kernel_gradient(plan: Plan, x: View, dy: View, dkernel: View, window: Window) -> None:
    """Append the gradient of the kernel of a convolution.

    Args:
        plan: to which the launches are added.
        x: the images.
        dy: the gradient of the result.
        dkernel: (taps, channels of a group, columns), as any number of axes; written.
        window: over x.
    """
    if window.is_reshape:
        plan.product(plan.reshaped(x, (window.rows, window.columns)), dy, dkernel, transpose_a=True)
        return
    if not uses_winograd(window, dy):
        matrix = dkernel.view((window.columns, dkernel.width // window.columns))
        chunks = _chunks(plan, window, dkernel.width)
        if chunks == 1:
            plan.product(x, dy, matrix, transpose_a=True, window=window)
            return
        sums = plan.buffer((chunks * window.columns, matrix.shape[1]), dy.dtype, per_row=False)
        plan.product(x, dy, sums, transpose_a=True, window=window, chunks=chunks)
        plan.call(folds.add_chunks, chunk_sums=sums.flat, total=dkernel.flat, count=chunks * CHUNK_ROWS)
        return
    x, dy = plan.packed(x, 2), plan.packed(dy, 2)
    launch, products = TapProducts.of(x, dy, window, plan.rows)
    plan.append(launch)
    groups = dataclasses.asdict(launch.kernel.groups)
    plan.call(winograd.gather_taps, products=products.flat, gradient=dkernel.flat, **groups)


def _chunks(plan: Plan, window: Window, elements: int) -> int:
    """The chunks of the K-blocks of the gradient of a kernel: its result is small, and has few tiles for threads.

    Each has some blocks, so that chunks cost little: their sums are written, and read once.
    """
    blocks = k_blocks(plan.rows * window.rows)
    return max(1, min(MOST_CHUNKS, blocks // LEAST_BLOCKS, MOST_SUMS // max(1, elements)))


def scatter(
    plan: Plan, dy: View, kernel: Variable | View, dx: View, window: Window, bias: Variable | None = None,
    relu: bool = False,
) -> None:  # fmt: skip
    """Append: each result of a window's positions, times the kernel, is added to the pixels that the window reads.

    This is the gradient of a convolution's images, and the forward of a transposed convolution: a convolution of ``dy``
    with the kernel turned round, or several of it (`window.phases`).

    Args:
        plan: to which the launches are added.
        dy: (positions, columns).
        kernel: (taps, channels of a group, columns), as any number of axes.
        dx: (pixels, channels), the result.
        window: of the convolution, over ``dx``.
        bias: added to every pixel.
        relu: whether negative sums become 0.
    """
    if window.is_reshape and (bias is None or window.columns == dx.shape[-1]):
        matrix = dx.view((window.rows, window.columns))
        plan.product(dy, kernel, matrix, bias, relu=relu, transpose_b=True)
        return
    filters = dy.shape[-1] // window.groups
    parts = phases(window, filters)
    if sum(part.window.rows for part in parts) < math.prod(window.image):
        if bias is None:
            plan.call(elementwise.fill, y=dx, number=0.0)
        else:
            plan.call(convolution.fill_pixels, row=bias, y=dx, lowest=0.0 if relu else -math.inf)
    flipped, first = _flipped(plan, kernel, parts, window, dy.shape[-1]), 0
    for part in parts:
        end = first + len(part.taps) * filters
        convolve(plan, dy, flipped.slice(0, first, end), dx, part.window, bias, relu)
        first = end


def _flipped(plan: Plan, kernel: Variable | View, parts: list[Phase], window: Window, columns: int) -> View:
    """The kernels of the phases, one behind the other: (taps, columns of a group, channels of all groups)."""
    order = np.array([tap for part in parts for tap in part.taps], "int32")
    filters = columns // window.groups
    flipped = plan.buffer((len(order) * filters, window.channels * window.groups), kernel.dtype, per_row=False)
    plan.call(
        convolution.flip_taps, kernel=kernel, order=Variable(order, "order", trainable=False), flipped=flipped,
        channels=window.channels, filters=columns, group_filters=filters,
    )  # fmt: skip
    return flipped
