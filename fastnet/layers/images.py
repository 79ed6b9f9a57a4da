"""What layers of images have in common: ranks, sizes for each axis, the place of the channels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.layers.layer import Layer

_AXES = {1: "(steps, features)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}
_TURNED = {1: (2, 1), 2: (2, 3, 1), 3: (2, 3, 4, 1)}


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
        if name == "data_format" and value == "channels_first":
            raise ValueError(
                f"{self._owner}: data_format='channels_first' is not supported: the channels are the last axis of a "
                f"sample, {_AXES[self.rank]}. layers.Permute({_TURNED[self.rank]}) in front of the first layer of "
                "images puts them there."
            )
        value = super().checked_argument(name, value)
        if name != "data_format":
            return value
        return checks.one_of(f"{self._owner}: {name}", value, None, "channels_last") or "channels_last"

    def check_rank(self, shape: tuple[int, ...]) -> None:
        """Check the number of a sample's axes.

        Raises:
            ValueError: there are more or fewer than the layer works on.
        """
        if len(shape) != self.rank + 1:
            remedy = ""
            if len(shape) == self.rank:
                remedy = f" layers.Reshape({(*shape, 1)}) in front makes them images of one channel."
            raise ValueError(
                f"{self._owner} takes samples of shape {_AXES[self.rank]}; received {tuple(shape)}.{remedy}"
            )
