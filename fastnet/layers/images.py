"""What layers of images have in common: ranks, sizes for each axis, the place of the channels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.layers import spatial
from fastnet.layers.layer import Layer


@contextlib.contextmanager
def channels_hint(layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]]) -> Iterator[None]:
    """A context in which a shape that does not fit layers in a row is an error with a hint, where the first layer of
    images reads samples whose channels seem to come first: a layer behind it may be the one that complains.

    Args:
        layers: those of the row.
        shapes: of the samples that each of them reads, as far as they are known.
    """
    try:
        yield
    except ValueError as error:
        first = next((shape for layer, shape in zip(layers, shapes) if isinstance(layer, ImageLayer)), None)
        hint = spatial.channels_hint(shapes[0]) if first == shapes[0] else ""
        if not hint or hint in str(error):
            raise
        raise ValueError(f"{error} The first layer gets samples of shape {shapes[0]}.{hint}") from None


class ImageLayer(Layer):
    """A layer of samples with one, two or three axes in space, and channels as the last axis."""

    rank: ClassVar[int]  # the number of axes in space

    def sizes(self, name: str, value: Any, least: int = 1) -> tuple[int, ...]:
        """An argument that is an integer for each axis, or one for all.

        Raises:
            ValueError: it is something else, or a number is below ``least``.
        """
        if checks.is_integer(value) and value >= least:
            return (int(value),) * self.rank
        items = list(value) if isinstance(value, (tuple, list, np.ndarray)) else []
        if len(items) != self.rank or not all(checks.is_integer(item) and item >= least for item in items):
            several = "" if self.rank == 1 else f", or {self.rank} of them, one for each axis"
            raise ValueError(
                f"{self._owner}: {name} must be an integer of at least {least}{several}; received {quoted(value)}."
            )
        return tuple(map(int, items))

    def padding_of(self, value: Any, names: tuple[str, ...]) -> str:
        """The argument ``padding``, one of these names in small or capital letters.

        Raises:
            ValueError: it is another one.
        """
        return checks.one_of(f"{self._owner}: padding", value.lower() if isinstance(value, str) else value, *names)

    def checked_argument(self, name: str, value: Any) -> Any:
        """The value that an argument gets; channels are the last axis, and None stands for it."""
        if name != "data_format":
            return super().checked_argument(name, value)
        format = spatial.channels_last(self._owner, value, self.rank) or "channels_last"
        return super().checked_argument(name, format)

    def check_rank(self, shape: tuple[int, ...]) -> None:
        """Check the number of a sample's axes, and that they have elements.

        Raises:
            ValueError: there are more or fewer axes than the layer works on, or one has the size 0.
        """
        if len(shape) != self.rank + 1:
            remedy = f"layers.Reshape in front gives them these {self.rank + 1} axes."
            if len(shape) == self.rank:
                remedy = f"layers.Reshape({(*shape, 1)}) in front makes them images of one channel."
            raise ValueError(
                f"{self._owner} takes samples of shape {spatial.AXES[self.rank]}; received {tuple(shape)}. {remedy}"
            )
        if not all(shape):
            raise ValueError(
                f"{self._owner} takes samples of at least one element along each axis, {spatial.AXES[self.rank]}; "
                f"received {tuple(shape)}. Leave empty ones out."
            )
