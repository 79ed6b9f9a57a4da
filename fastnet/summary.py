"""The table of `Sequential.summary`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def summary_text(
    model: Any, line_length: int | None = None, expand_nested: bool = False, show_trainable: bool = False
) -> str:
    """Make the table of layers with their output shapes and numbers of weights."""
    width = max(line_length or 72, 48)
    first, second = width // 2 - 2, width - width // 2 - 14
    last = "  Trainable" * show_trainable
    rule = "-" * (width + len(last))  # ASCII, for pipes on Windows
    lines = [
        f"Model: {model.name!r}",
        rule,
        f"{'Layer (type)':<{first}}  {'Output shape':<{second}}  {'Param #':>10}{last}",
        rule,
    ]
    for depth, layer, result in _entries(model, expand_nested):
        name = f"{'  ' * depth}{layer.name} ({type(layer).__name__})"
        shape = "?" if result is None else str((None, *result))
        count = f"{layer.count_params():,}" if layer.built else "?"
        trained = ("Y" if layer.trainable else "N").rjust(len(last)) * show_trainable
        lines.append(f"{name:<{first}.{first}}  {shape:<{second}.{second}}  {count:>10}{trained}")
    lines.append(rule)
    if model.built:
        total = model.count_params()
        trainable = sum(v.size for v in model.trainable_weights)
        size = sum(v.array.nbytes for v in model.weights)
        lines.append(f"Total params: {total:,} ({_size(size)})")
        lines.append(f"Trainable params: {trainable:,}")
        lines.append(f"Non-trainable params: {total - trainable:,}")
    else:
        lines.append("Not built: the input's shape is unknown yet.")
    return "\n".join(lines)


def _entries(model: Any, expand: bool) -> Iterator[tuple[int, Any, tuple[int, ...] | None]]:
    """(depth, layer, shape of its result) of each line."""
    if model.built:
        yield from _uses(model, model.input_shape[1:], expand, 0)
    else:
        yield from _not_built(model, expand, 0)


def _uses(model: Any, shape: tuple[int, ...], expand: bool, depth: int) -> Iterator[tuple[int, Any, tuple[int, ...]]]:
    """The layers that a layer applies to samples of this shape."""
    for use in model.uses(shape):
        yield depth, use.layer, use.output_shape
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
