"""Layers that normalize each row by itself, or each group of a sample's channels."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import row_statistics as loops
from fastnet.engine import elements
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.affine import Affine
from fastnet.layers.along_axes import AlongAxes
from fastnet.layers.refused_arguments import refuse


class _Rows(NamedTuple):
    """The layout of rows in memory: (blocks, runs, groups, width); a row is a group of one block."""

    width: int
    groups: int = 1
    runs: int = 1

    @property
    def size(self) -> int:
        """Elements of a row."""
        return self.width * self.runs

    @property
    def channels(self) -> int:
        """Elements of a run, which are those of gamma and beta."""
        return self.width * self.groups


class _RowNormalization(AlongAxes):
    """y = (x - center mean) s gamma + beta over each row; s is the inverse root of a mean or a sum of squares.

    A row consists of the layer's axes, as the last ones; a subclass may change this (`_rows`).
    """

    _fixed: ClassVar[tuple[str, ...]] = ("axis",)
    _ranges: ClassVar = {"epsilon": checks.POSITIVE}
    centered = 0.0  # 1 if the mean is subtracted
    averaged = True  # whether s follows from the mean of the squares, or from their sum
    limit = math.inf  # the largest s
    epsilon = 0.0  # added to the mean of the squares

    def _check_axis(self, axis: Any) -> Any:
        if (axes := checks.integers(f"{self._owner}: axis", axis)) == []:
            raise ValueError(f"{self._owner}: axis must name at least one axis, received {quoted(axis)}.")
        return axes

    @property
    def _affine(self) -> tuple[Any, Any]:
        """The weights that multiply and are added; None for absent ones."""
        return None, None

    def _weight_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of the axes over which its weights go."""
        return self.sizes_along(shape)

    def _rows(self, shape: tuple[int, ...]) -> _Rows:
        """The rows of samples of this shape, whose last axes are those of the layer."""
        count = len(self.axis) if isinstance(self.axis, list) else 1
        return _Rows(math.prod(shape[-count:]))

    def sample_output_shape(self, input_shape):
        row = self._weight_shape(input_shape)
        known = next((v.shape for v in self._affine if v is not None), row)
        if row != known:
            raise ValueError(
                f"{self._owner} was built for rows of shape {known}; received samples of shape {input_shape}."
            )
        return input_shape

    def forward_along(self, plan: Plan, x: View) -> View:
        rows, (gamma, beta) = self._rows(x.shape), self._affine
        saved = {name: plan.buffer((x.width // rows.size,)) for name in ("mean", "rest", "scale")}
        y = plan.like(x)
        plan.call(
            loops.normalize_rows, x=x, gamma=gamma, beta=beta, **saved, y=y, epsilon=self.epsilon,
            **rows._asdict(), **self._scalars(x),
        )  # fmt: skip
        plan.save(**saved)
        return y

    def backward_along(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        rows, (gamma, beta) = self._rows(x.shape), self._affine
        saved = {name: plan.saved(name) for name in ("mean", "rest", "scale")}
        if any(weight is not None and plan.trains(weight) for weight in (gamma, beta)):
            shape = (rows.channels,)
            dgamma, dbeta = (plan.gradient_or_buffer(weight, shape).view(shape) for weight in (gamma, beta))
            self._parameter_gradients(plan, rows, {"dgamma": dgamma, "dbeta": dbeta}, x=x, dy=dy, **saved)
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        plan.call(
            loops.normalized_gradient, x=x, dy=dy, gamma=gamma, dx=dx, **saved, **rows._asdict(), **self._scalars(x)
        )
        return dx

    def _parameter_gradients(
        self, plan: Plan, rows: _Rows, sums: dict[str, View], x: View, dy: View, **operands: Any
    ) -> None:
        """Add the launches of the gradients of gamma and beta."""
        if rows.groups == rows.runs == 1:
            shape = (x.width // rows.width, rows.width)
            reshaped = {"x": plan.reshaped(x, shape), "dy": plan.reshaped(dy, shape)}
            plan.call(loops.sum_row_gradients, **reshaped, **sums, **operands)
        else:
            samples = -(x.width // rows.size // rows.groups)
            chunk_sums = elements.sums_of_chunks(plan, sums, rows.channels, samples * rows.runs)
            operands |= {"x": x, "dy": dy, "samples": samples, **rows._asdict(), **chunk_sums}
            plan.call(loops.row_parameter_gradients, **operands)
            elements.add_chunks(plan, chunk_sums, sums, samples * rows.runs)

    def _scalars(self, x: View) -> dict[str, float]:
        sum_scale = 1 / self._rows(x.shape).size if self.averaged else 1.0
        return {"center": self.centered, "sum_scale": sum_scale, "limit": self.limit}


class _AffineRows(Affine, _RowNormalization):
    """A normalization of rows with ``gamma`` and ``beta``."""

    supports_masking = True
    centered = 1.0

    @property
    def _affine(self) -> tuple[Any, Any]:
        return self.gamma, self.beta

    def make_weights(self, input_shape):
        self._make_affine(self._weight_shape(input_shape))


class LayerNormalization(_AffineRows):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over some axes; Ba et al. 2016, arXiv:1607.06450.

    Args:
        axis: the axis, or a list of several; the batch is axis 0. The last ones need no permutation.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer: start values.
        beta_regularizer, gamma_regularizer: penalties; see `fastnet.regularizers`.
        beta_constraint, gamma_constraint: see `fastnet.constraints`.
        rms_scaling: must be False; see `RMSNormalization`.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``gamma``, ``beta``, each of the shape of the axes.

    Raises:
        ValueError: axes that samples lack, an epsilon that is not positive.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.LayerNormalization()])
        >>> print(model.predict([[1.0, 3.0]], verbose=0).round(2))
        [[-1.  1.]]
    """

    _fixed = ("axis", "center", "scale", "rms_scaling")

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **more: Any,
    ):
        super().__init__(**more)
        refuse(self._owner, rms_scaling=rms_scaling)
        self.axis, self.epsilon, self.rms_scaling = self._check_axis(axis), epsilon, False
        self._keep_affine(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint,
        )  # fmt: skip


class GroupNormalization(_AffineRows):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over each group of a sample's channels.

    One axis holds the channels. A group is a number of neighbouring channels. Its mean and variance are those of
    all its elements in the sample, over every other axis too. One group for each channel is instance normalization; one
    group for all channels is layer normalization, except for gamma and beta. Wu and He 2018, arXiv:1803.08494.

    Args:
        groups: the number of groups, which must divide the number of channels; -1 for one group for each channel.
        axis: the axis of the channels; the batch is axis 0. The last one needs no permutation.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer: start values.
        beta_regularizer, gamma_regularizer: penalties; see `fastnet.regularizers`.
        beta_constraint, gamma_constraint: see `fastnet.constraints`.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``gamma``, ``beta``, each (channels,).

    Raises:
        ValueError: groups does not divide the number of channels, samples lack the axis, or epsilon is not positive.

    Example:
        >>> layers.GroupNormalization(groups=2)([[1.0, 3.0, 10.0, 50.0]]).round(2).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
    """

    _fixed = ("groups", "axis", "center", "scale")

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **more: Any,
    ):
        super().__init__(**more)
        if not (checks.is_integer(groups) and groups == -1):
            checks.integer(f"{self._owner}: groups (-1 for one of each channel)", groups)
        self.groups = int(groups)
        self.axis, self.epsilon = checks.integer(f"{self._owner}: axis", axis, None), epsilon
        self._keep_affine(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint,
        )  # fmt: skip

    def _weight_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        (channels,) = self.sizes_along(shape)
        if self.groups != -1 and channels % self.groups:
            fitting = [n for n in range(1, channels + 1) if channels % n == 0]
            raise ValueError(
                f"{self._owner}: groups must divide the channels, those of axis {self.axis}, evenly; received groups="
                f"{self.groups} for samples of shape {shape}. These do: {', '.join(map(str, fitting))}."
            )
        return (channels,)

    def _rows(self, shape: tuple[int, ...]) -> _Rows:
        groups = shape[-1] if self.groups == -1 else self.groups
        return _Rows(shape[-1] // groups, groups, math.prod(shape[:-1]))


class RMSNormalization(_RowNormalization):
    """y = scale x / sqrt(mean of x² + epsilon), over some axes; Zhang and Sennrich 2019, arXiv:1910.07467.

    Args:
        axis: the axis, or a list of several; the batch is axis 0. The last ones need no permutation.
        epsilon: added to the mean of the squares.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``scale``, of the shape of the axes.

    Raises:
        ValueError: axes that samples lack, an epsilon that is not positive.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.RMSNormalization()])
        >>> print(model.predict([[1.0, 7.0]], verbose=0).round(2))  # by sqrt((1² + 7²) / 2) = 5
        [[0.2 1.4]]
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **more: Any):
        super().__init__(**more)
        self.scale: Any = None
        self.axis, self.epsilon = self._check_axis(axis), epsilon

    @property
    def _affine(self) -> tuple[Any, Any]:
        return self.scale, None

    def make_weights(self, input_shape):
        self.scale = self.add_weight("scale", self._weight_shape(input_shape), "ones")


class UnitNormalization(_RowNormalization):
    """y = x / max(|x|, 1e-12), with |x| the Euclidean norm over some axes.

    Args:
        axis: the axis, or a list of several; the batch is axis 0. The last ones need no permutation.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: axes that samples lack.

    Example:
        >>> print(layers.UnitNormalization()([[3.0, 4.0]]).round(3))
        [[0.6 0.8]]
    """

    supports_masking = True
    averaged = False
    limit = 1e12

    def __init__(self, axis: Any = -1, **more: Any):
        super().__init__(**more)
        self.axis = self._check_axis(axis)
