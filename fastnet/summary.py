"""The table of `Sequential.summary`."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted

if TYPE_CHECKING:
    from fastnet.layers.trace import Use

_COSTS = {"Multiply-adds": 14, "Result": 10}  # headings and widths of the columns that were asked for
_TRAINABLE = {"Trainable": 9}


def summary_text(
    model: Any,
    line_length: int | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    positions: Sequence[float] | None = None,
    layer_range: Sequence[str] | None = None,
    costs: bool = False,
) -> str:
    """Make the table of layers with their output shapes and numbers of weights; see `Network.summary`."""
    costs = checks.flag("summary: costs", costs)
    more = (_COSTS if costs else {}) | (_TRAINABLE if show_trainable else {})
    widths = _widths(max(line_length or 72, 48), list(more.values()), positions)
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)  # ASCII, for pipes on Windows
    lines = [f"Model: {model.name!r}", rule, *_row(widths, ("Layer (type)", "Output shape", "Param #", *more)), rule]
    for depth, layer, use in _entries(model, expand_nested, layer_range):
        cells = [
            f"{layer.name} ({type(layer).__name__})",
            "?" if use is None else str((None, *use.output_shape)),
            f"{layer.count_params():,}" if layer.built else "?",
            *(_cost_cells(use) if costs else []),
            *(["Y" if layer.trainable else "N"] if show_trainable else []),
        ]
        lines += _row(widths, cells, "  " * depth)
    lines.append(rule)
    if model.built:
        total = model.count_params()
        trainable = sum(v.size for v in model.trainable_weights)
        size = sum(v.nbytes for v in model.weights)
        lines.append(f"Total params: {total:,} ({_size(size)})")
        lines.append(f"Trainable params: {trainable:,}")
        lines.append(f"Non-trainable params: {total - trainable:,}")
        if costs:
            lines.append(_all_costs(model))
    else:
        lines.append("Not built: the input's shape is unknown yet.")
    return "\n".join(lines)


def _costs_of(use: Use) -> tuple[int, int] | None:
    """(multiply-adds, bytes of the result) of a layer for one sample, forward; None where its size is unknown."""
    if None in (*use.input_shape, *use.output_shape):
        return None
    size = math.prod(use.output_shape) * np.dtype(use.layer.dtype).itemsize
    return use.layer.multiply_adds(use.input_shape), size


def _cost_cells(use: Use | None) -> list[str]:
    found = None if use is None else _costs_of(use)
    return ["?", "?"] if found is None else [f"{found[0]:,}", _size(found[1])]


def _all_costs(model: Any) -> str:
    """The line of the costs of all layers, also of those inside others and of those that ``layer_range`` leaves out."""
    uses = (use for _, _, use in _uses(model, model.input_shape[1:], True, 0))
    found = [_costs_of(use) for use in uses if not use.layer.composite]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return "Multiply-adds of a sample: unknown, since its shape is"
    counts, sizes = zip(*known)
    return f"Multiply-adds of a sample: {sum(counts):,}; its results: {_size(sum(sizes))}"


def _widths(width: int, more: list[int], positions: Sequence[float] | None) -> list[int]:
    """The characters of each column, of which ``more`` are on the right; two spaces stand between columns."""
    columns = 3 + len(more)
    if positions is None:
        return [width // 2 - 2, width - width // 2 - 12, 10, *more]
    ends = list(positions) if isinstance(positions, (list, tuple)) else []
    if len(ends) < columns or not all(checks.is_number(end) for end in ends) or sorted(set(ends)) != ends:
        raise ValueError(
            f"summary: positions must be a list of {columns} rising numbers, the ends of the columns in characters or "
            f"as shares of the line; received {quoted(positions)}."
        )
    ends = [0, *(int(end * width) if ends[-1] <= 1 else int(end) for end in ends[:columns])]
    ends[-1] += 2
    return [max(end - start - 2, 8) for start, end in itertools.pairwise(ends)]


def _row(widths: Sequence[int], cells: Sequence[str], indent: str = "") -> Iterator[str]:
    """The lines of a row: what does not fit its column continues below; numbers stand on the right."""
    parts = [
        textwrap.wrap(cell, width, initial_indent=indent * (k == 0), subsequent_indent=indent * (k == 0))
        for k, (cell, width) in enumerate(zip(cells, widths))
    ]
    for line in itertools.zip_longest(*parts, fillvalue=""):
        texts, counts = line[:2], line[2:]
        columns = [f"{text:<{width}}" for text, width in zip(texts, widths)]
        columns += [f"{count:>{width}}" for count, width in zip(counts, widths[2:])]
        yield "  ".join(columns).rstrip()


def _entries(model: Any, expand: bool, layer_range: Sequence[str] | None) -> Iterator[tuple[int, Any, Use | None]]:
    """(depth, layer, how it is used) of each line."""
    entries = list(_uses(model, model.input_shape[1:], expand, 0) if model.built else _not_built(model, expand, 0))
    return iter(entries if layer_range is None else _in_range(entries, layer_range))


def _in_range(entries: list[Any], layer_range: Any) -> list[Any]:
    """The lines from the first layer that matches one pattern to the last one that matches another, as in Keras."""
    if (
        not isinstance(layer_range, (list, tuple))
        or len(layer_range) != 2
        or not all(isinstance(pattern, str) for pattern in layer_range)
    ):
        raise ValueError(
            f"summary: layer_range must be two names of layers, or regular expressions, received {quoted(layer_range)}."
        )
    matches = []
    for pattern in layer_range:
        found = [i for i, (depth, layer, _) in enumerate(entries) if depth == 0 and re.match(pattern, layer.name)]
        if not found:
            names = ", ".join(layer.name for depth, layer, _ in entries if depth == 0)
            raise ValueError(f"summary: layer_range: no layer matches {pattern!r}; there are {names}.")
        matches.append(found)
    first, last = sorted((min(matches[0]), max(matches[1])))
    behind = next((i for i in range(last + 1, len(entries)) if entries[i][0] == 0), len(entries))
    return entries[first:behind]


def _uses(model: Any, shape: tuple[int, ...], expand: bool, depth: int) -> Iterator[tuple[int, Any, Use]]:
    """The layers that a layer applies to samples of this shape."""
    for use in model.open_uses(shape):
        yield depth, use.layer, use
        if expand:
            yield from _uses(use.layer, use.input_shape, expand, depth + 1)


def _not_built(model: Any, expand: bool, depth: int) -> Iterator[tuple[int, Any, None]]:
    """The sublayers of a layer whose shapes are unknown."""
    for layer in getattr(model, "layers", model.sublayers):
        yield depth, layer, None
        if expand:
            yield from _not_built(layer, expand, depth + 1)


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GB"
