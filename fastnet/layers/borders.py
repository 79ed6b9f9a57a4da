"""Images with other borders: zeros around them, or rows and columns cut off."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates.borders import move_borders
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.images import ImageLayer

Borders = tuple[tuple[int, int], ...]


def with_borders(plan: Plan, x: View, y: View, begin: tuple[int, ...], fill: float = 0.0) -> View:
    """Add the launch of y, the images of x from the indices ``begin`` on, which may be negative; y.

    Args:
        plan: gets the launch.
        x, y: images; y may end elsewhere too.
        begin: for each axis the first index of x in y.
        fill: what lies outside of x.
    """
    ones = (1,) * (3 - len(begin))
    depth, height, width = *ones, *x.shape[:-1]
    out_depth, out_height, out_width = *ones, *y.shape[:-1]
    front, top, left = *((0,) * len(ones)), *begin
    channels = x.shape[-1]
    plan.call(
        move_borders, x=plan.reshaped(x, (depth * height, width * channels)),
        y=y.view((out_depth * out_height, out_width * channels)), front=front, top=top, left=left * channels,
        fill=fill, depth=depth, height=height, out_depth=out_depth, out_height=out_height,
    )  # fmt: skip
    return y


class _Borders(ImageLayer):
    """A layer that adds to both ends of each axis, or takes away."""

    def pairs(self, name: str, value: Any) -> Borders:
        """An argument that is an integer, or one for each axis, or two for each axis.

        Raises:
            ValueError: it is something else, or a number is negative.
        """
        if checks.is_integer(value) and value >= 0:
            return ((int(value),) * 2,) * self.rank
        items = list(value) if isinstance(value, (tuple, list)) else []
        if self.rank == 1 and len(items) == 2 and all(map(checks.is_integer, items)):
            items = [items]
        pairs = [(item, item) if checks.is_integer(item) else item for item in items]
        fits = len(pairs) == self.rank and all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs)
        if not fits or not all(checks.is_integer(size) and size >= 0 for pair in pairs for size in pair):
            example = "(1, 2)" if self.rank == 1 else ", ".join(["(1, 2)"] * self.rank).join("()")
            raise ValueError(
                f"{self._owner}: {name} must be an integer that is not negative, or two for the ends of each axis such "
                f"as {example}; received {quoted(value)}."
            )
        return tuple((int(first), int(last)) for first, last in pairs)

    def added(self) -> Borders:
        """What the result has more than a sample at the beginning and at the end of each axis."""
        raise NotImplementedError

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        sizes = [size + first + last for size, (first, last) in zip(input_shape, self.added())]
        return (*sizes, input_shape[-1])

    def forward(self, plan: Plan, x: View) -> View:
        y = plan.buffer(self.sample_output_shape(x.shape), x.dtype)
        return with_borders(plan, x, y, tuple(-first for first, _ in self.added()))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        return with_borders(plan, dy, plan.like(x), tuple(first for first, _ in self.added()))


class _ZeroPadding(_Borders):
    _fixed = ("padding", "data_format")

    def __init__(self, padding: Any, data_format: str | None = None, **more: Any):
        super().__init__(**more)
        pairs = self.pairs("padding", padding)
        self.padding: Any = pairs[0] if self.rank == 1 else pairs
        self.data_format = data_format

    def added(self) -> Borders:
        return (self.padding,) if self.rank == 1 else self.padding


class ZeroPadding1D(_ZeroPadding):
    """Zeros in front of and behind the steps.

    Args:
        padding: their number, or two: in front and behind.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a number is not an integer, or is negative.

    Example:
        >>> layers.ZeroPadding1D((1, 2))([[[5.0]]]).ravel().tolist()
        [0.0, 5.0, 0.0, 0.0]
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **more: Any):
        super().__init__(padding, data_format, **more)


class ZeroPadding2D(_ZeroPadding):
    """Rows and columns of zeros around an image.

    Args:
        padding: their number; or (rows, columns); or ((top, bottom), (left, right)).
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a number is not an integer, or is negative.

    Example:
        >>> layers.ZeroPadding2D(((1, 0), (2, 0)))(np.ones((1, 1, 1, 1)))[0, ..., 0].tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **more: Any):
        super().__init__(padding, data_format, **more)


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume.

    Args:
        padding: their number; or one for each of depth, height and width; or two for each: in front and behind.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a number is not an integer, or is negative.

    Example:
        >>> layers.ZeroPadding3D(1)(np.ones((1, 1, 2, 3, 4))).shape
        (1, 3, 4, 5, 4)
    """

    rank = 3

    def __init__(self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **more: Any):
        super().__init__(padding, data_format, **more)


class _Cropping(_Borders):
    keeps_values = True
    _fixed: ClassVar[tuple[str, ...]] = ("cropping",)

    def _keep(self, cropping: Any) -> None:
        pairs = self.pairs("cropping", cropping)
        self.cropping: Any = pairs[0] if self.rank == 1 else pairs

    def added(self) -> Borders:
        pairs = (self.cropping,) if self.rank == 1 else self.cropping
        return tuple((-first, -last) for first, last in pairs)

    def sample_output_shape(self, input_shape):
        shape = super().sample_output_shape(input_shape)
        if min(shape[:-1]) < 1:
            raise ValueError(
                f"{self._owner}: cropping={self.cropping} leaves nothing of samples of shape {tuple(input_shape)}; it "
                "must be less than each size."
            )
        return shape


class Cropping1D(_Cropping):
    """Cuts off the first and the last steps.

    Args:
        cropping: their number, or two: at the beginning and at the end.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a number is not an integer or is negative, or nothing is left.

    Example:
        >>> layers.Cropping1D((1, 0))([[[1.0], [2.0], [3.0]]]).ravel().tolist()
        [2.0, 3.0]
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **more: Any):
        super().__init__(**more)
        self._keep(cropping)


class Cropping2D(_Cropping):
    """Cuts off the first and the last rows and columns.

    Args:
        cropping: their number; or (rows, columns); or ((top, bottom), (left, right)).
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a number is not an integer or is negative, or nothing is left.

    Example:
        >>> layers.Cropping2D(((0, 1), (1, 1)))(np.zeros((1, 28, 28, 3))).shape
        (1, 27, 26, 3)
    """

    rank = 2
    _fixed = ("cropping", "data_format")

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self._keep(cropping)
        self.data_format = data_format


class Cropping3D(_Cropping):
    """Cuts off the borders of a volume.

    Args:
        cropping: their size; or one for each of depth, height and width; or two for each: in front and behind.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a number is not an integer or is negative, or nothing is left.

    Example:
        >>> layers.Cropping3D(1)(np.zeros((1, 5, 6, 7, 2))).shape
        (1, 3, 4, 5, 2)
    """

    rank = 3
    _fixed = ("cropping", "data_format")

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self._keep(cropping)
        self.data_format = data_format
