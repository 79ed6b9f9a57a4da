"""Shapes with sizes that are unknown, None: of samples of any length.

Layers never see them. Two numbers in turn stand for a size that is unknown; what differs between the two results is
unknown too, and a layer that refuses the second one needs to know the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastnet.layers.trace import Use
from fastnet.layers.tree import all_parts
from fastnet.layers.undo import on_trial, unchanged_on_error

Shape = tuple[Any, ...]
_SIZE = 420  # has the divisors 1 to 7, for layers that halve or cut an axis


class _Unknown(int):
    """A number that stands for an unknown size, and is printed as one in errors."""

    def __repr__(self) -> str:
        return "None"


def is_open(shape: Shape | None) -> bool:
    """Whether a shape has a size that is unknown."""
    return shape is not None and None in shape


def is_probe(shape: Shape) -> bool:
    """Whether numbers stand for unknown sizes."""
    return any(isinstance(size, _Unknown) for size in shape)


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape is a given one, whose sizes may be unknown."""
    return shape == wanted or (len(shape) == len(wanted) and all(b in (None, a) for a, b in zip(shape, wanted)))


def probes(shape: Shape) -> list[Shape]:
    """The shape itself, or two shapes with numbers for the unknown sizes; several unknown sizes get different ones."""
    if not is_open(shape):
        return [shape]
    return [
        tuple(_Unknown(_SIZE * (2 * axis + 1 + k)) if size is None else size for axis, size in enumerate(shape))
        for k in (0, 1)
    ]


def merged(shapes: Sequence[Shape]) -> Shape:
    """The shape of which these are two examples: None where they differ."""
    first, last = shapes[0], shapes[-1]
    return tuple(a if a == b else None for a, b in zip(first, last, strict=True))


def result(function: Callable[[Shape], Shape], shape: Shape) -> Shape:
    """The result of a function of shapes for a shape whose sizes may be unknown."""
    return merged([function(probe) for probe in probes(shape)])


def uses(layer: Any, shape: Shape) -> Iterator[Use]:
    """`Layer.uses` for a shape whose sizes may be unknown."""
    for each in zip(*(layer.uses(probe) for probe in probes(shape)), strict=True):
        yield each[0]._replace(
            input_shape=merged([use.input_shape for use in each]),
            output_shape=merged([use.output_shape for use in each]),
        )


def connect(layer: Any, shapes: Sequence[Shape]) -> Shape:
    """Build a layer for samples of a shape, or of one of which two shapes are examples; the shape of its result.

    Raises:
        ValueError: the shape does not fit, or the layer needs to know a size that is unknown; the layer is unchanged.
    """
    if len(shapes) == 1:
        return layer.connect(shapes[0])
    if not layer.built and _weight_shapes(layer, shapes[0]) != _weight_shapes(layer, shapes[1]):
        raise _needs_size(layer, shapes)
    with unchanged_on_error(all_parts(layer)):
        first = layer.connect(shapes[0])
        try:
            second = layer.sample_output_shape(shapes[1])
        except ValueError:
            raise _needs_size(layer, shapes) from None
        _keep_shapes(layer, shapes)
    return merged([first, second])


def _needs_size(layer: Any, shapes: Sequence[Shape]) -> ValueError:
    return ValueError(
        f"{layer._owner} needs to know the shape of what it reads, and received samples of shape {merged(shapes)}, "
        "where None is a size that Input leaves open. Give Input a number for this size, or leave the layer out."
    )


def _weight_shapes(layer: Any, shape: Shape) -> list[Shape]:
    """The shapes of the weights that a layer would make for samples of this shape; nothing is built."""
    with on_trial(all_parts(layer)):
        layer.connect(shape)
        return [variable.shape for variable in layer.variables]


def _keep_shapes(layer: Any, shapes: Sequence[Shape]) -> None:
    """Let a layer and those in it know their shapes with the unknown sizes, not with the numbers for them."""
    layer.keep_shapes(merged(shapes), merged([layer.sample_output_shape(shape) for shape in shapes]))
    for each in zip(*(layer.uses(shape) for shape in shapes), strict=True):
        _keep_shapes(each[0].layer, [use.input_shape for use in each])
