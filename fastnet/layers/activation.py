"""Layers that apply a function to each element."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet import activations, checks
from fastnet._kernels import registration, registry
from fastnet._kernels.errors import RuleError, quoted
from fastnet._kernels.templates import folds, indexed
from fastnet.arrays import as_array
from fastnet.engine.index_map import IndexMap
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.along_axes import AlongAxes
from fastnet.layers.layer import Layer
from fastnet.tracebacks import trimmed

_LEFT_OUT = -1e9  # in place of elements that a mask leaves out, as in Keras


class _Applied(Layer):
    """A layer that is its activation."""

    supports_masking = True
    activation: Any

    def sample_output_shape(self, input_shape):
        return activations.output_shape(self.activation, input_shape)

    @property
    def as_activation(self) -> Any:
        """The activation that stands for the layer where it is given as one: ``Dense(activation=LeakyReLU(0.5))``."""
        return self.activation

    def forward(self, plan: Plan, x: View) -> View:
        return self.activation.forward(plan, x)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        return self.activation.backward(plan, dy, x, y)

    def _number(self, argument: str, value: Any, allowed: checks.Range = checks.NOT_NEGATIVE) -> float:
        return checks.number(f"{self._owner}: {argument}", value, allowed)


class Activation(_Applied):
    """y = activation(x).

    Args:
        activation: a name or one of `fastnet.activations`.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Example:
        >>> layers.Activation("relu")([[-1.0, 2.0]]).tolist()
        [[0.0, 2.0]]
    """

    def __init__(self, activation: Any, **more: Any):
        super().__init__(**more)
        self.activation = activation

    @property
    def reads_vectors(self) -> bool:  # type: ignore[override]
        """Where the activation is one of rows."""
        return isinstance(self.activation, activations.RowActivation)


class ReLU(_Applied):
    """max(x, 0), with Keras's arguments.

    Args:
        max_value: largest result; None for no limit.
        negative_slope: slope below the threshold.
        threshold: the point at which the slope changes.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a negative argument.

    Example:
        >>> layers.ReLU(negative_slope=0.25, max_value=6.0)([[-1.0, 2.0, 9.0]]).tolist()
        [[-0.25, 2.0, 6.0]]
    """

    _fixed = ("max_value", "negative_slope", "threshold")

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **more: Any
    ):
        super().__init__(**more)
        self.max_value = None if max_value is None else self._number("max_value", max_value, checks.AT_LEAST_0)
        self.negative_slope = self._number("negative_slope", negative_slope)
        self.threshold = self._number("threshold", threshold)
        self.activation = activations.relu_with(self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(_Applied):
    """x where x >= 0, negative_slope x below.

    Args:
        negative_slope: slope below 0.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a negative slope.

    Example:
        >>> layers.LeakyReLU(0.25)([[-1.0, 2.0]]).tolist()
        [[-0.25, 2.0]]
    """

    _fixed = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **more: Any):
        super().__init__(**more)
        self.negative_slope = self._number("negative_slope", negative_slope)
        row = registry.activations.find("leaky_relu")
        self.activation = activations.Activation(row, negative_slope=self.negative_slope)


class ELU(_Applied):
    """x where x >= 0, alpha (e^x - 1) below; Clevert et al. 2016, arXiv:1511.07289.

    Args:
        alpha: minus the lowest value.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: alpha is not a finite number.

    Example:
        >>> print(layers.ELU(alpha=2.0)([[-1.0, 2.0]]).round(3))
        [[-1.264  2.   ]]
    """

    _fixed = ("alpha",)

    def __init__(self, alpha: float = 1.0, **more: Any):
        super().__init__(**more)
        self.alpha = self._number("alpha", alpha, checks.FINITE)
        self.activation = activations.Activation(registry.activations.find("elu"), alpha=self.alpha)


class Softmax(AlongAxes, _Applied):
    """Softmax over one axis, or over several together.

    Args:
        axis: the number of the axis, the batch being axis 0; or a list of several.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: the sample lacks an axis, or it is that of the batch.

    Example:
        >>> print(layers.Softmax()([[0.0, 0.0, 1.0]]).round(3))
        [[0.212 0.212 0.576]]
        >>> layers.Softmax(axis=(-2, -1))([[[0.0, 0.0], [0.0, 0.0]]]).tolist()
        [[[0.25, 0.25], [0.25, 0.25]]]
    """

    _fixed = ("axis",)

    def __init__(self, axis: int | Sequence[int] = -1, **more: Any):
        super().__init__(**more)
        self.axis = checks.integers(f"{self._owner}: axis", axis)
        self.activation = activations.softmax

    @property
    def as_activation(self) -> Any:
        """The activation, where the layer works on the last axis."""
        return self.activation if self.axis in (-1, [-1]) else None

    def __call__(  # type: ignore[override]
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> np.ndarray:
        """The result of the layer for these rows.

        Args:
            inputs: (n, ...).
            mask: False, or a number of at most 0.5, for each element that is left out; of a shape that broadcasts to
                that of ``inputs``. The result is 0 there.
            training: accepted, without effect.
        """
        if mask is None:
            return super().__call__(inputs)
        x, mask = as_array(inputs, f"{self._owner}: inputs"), as_array(mask, f"{self._owner}: mask")
        sizes = zip(mask.shape[::-1], x.shape[::-1])
        if mask.ndim > x.ndim or any(size not in (1, wanted) for size, wanted in sizes):
            raise ValueError(
                f"{self._owner}: mask must have a shape that broadcasts to that of the inputs, {x.shape}; received "
                f"{mask.shape}."
            )
        counts = mask > 0.5
        return np.where(counts, super().__call__(np.where(counts, x, _LEFT_OUT)), 0).astype(self.dtype)

    def sample_output_shape(self, input_shape):
        self.axes_of(input_shape)
        return input_shape

    def axes_of(self, shape):
        is_of_numbers = not shape and self.axis == -1  # the softmax of one number is 1
        return [] if is_of_numbers else super().axes_of(shape)

    def forward(self, plan: Plan, x: View) -> View:
        if x.mask is not None:
            raise ValueError(
                f"{self._owner} received steps with a mask, which Keras's Softmax takes for one of the places it sums "
                "over, and refuses. Use layers.Activation('softmax'), which passes the mask on."
            )
        return super().forward(plan, x)

    def forward_along(self, plan: Plan, x: View) -> View:
        return self.activation.forward(plan, self._in_rows(plan, x)).view(x.shape)

    def backward_along(self, plan: Plan, dy: View, x: View, y: View) -> View:
        given = (self._in_rows(plan, view) for view in (dy, x, y))
        return self.activation.backward(plan, *given).view(x.shape)

    def _in_rows(self, plan: Plan, x: View) -> View:
        """The elements of a sample in rows, one for each sum."""
        count = len(self.axis) if isinstance(self.axis, list) else 1
        return x if count == 1 else plan.reshaped(x, (*x.shape[:-count], math.prod(x.shape[-count:])))


class Lambda(_Applied):
    """y = function(x): a formula of a number, for each element, or one of arrays; it is compiled, and differentiated.

    Args:
        function: a plain function of a number (docs/extending.md), written with def, whose further arguments need
            defaults; or a function of an array (n, ...), in operators and functions of NumPy or `fastnet.ops`, whose
            result may have other axes behind the batch's.
        output_shape: must be None: the shape follows from the function.
        mask: must be None.
        arguments: values of the further arguments.
        gradient: the derivative, a function of ``x`` (or of the result if ``keeps="y"``) and of the same further
            arguments; by default found by differentiation.
        keeps: "x" or "y".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: an output_shape or a mask is given, or the function lacks an argument; `fastnet.RuleError`, a
            subclass, if the function cannot become a kernel.

    Example:
        >>> from fastnet import layers
        >>> def shrink(x, k=0.5):
        ...     return k * x / (1 + x * x)
        >>> layer = layers.Lambda(shrink, arguments={"k": 2.0})
        >>> layer([[1.0, -3.0]]).round(4).tolist()
        [[1.0, -0.6000000238418579]]
        >>> import numpy as np
        >>> layers.Lambda(lambda x: x - np.mean(x, axis=-1, keepdims=True))([[1.0, 3.0]]).tolist()
        [[-1.0, 1.0]]
    """

    supports_masking = False  # as in Keras, where no mask is given
    _fixed = ("function", "mask", "arguments", "gradient", "keeps")

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: None = None,
        mask: None = None,
        arguments: Mapping[str, float] | None = None,
        gradient: Callable[..., Any] | None = None,
        keeps: str = "x",
        **more: Any,
    ):
        super().__init__(**more)
        for name, value in (("output_shape", output_shape), ("mask", mask)):
            if value is not None:
                raise ValueError(
                    f"{self._owner}: the result follows from the function, so {name} must be "
                    f"None, received {quoted(value)}. For more, write a Layer (docs/extending.md)."
                )
        for what, rule in (("function", function), ("gradient", gradient)):
            if not callable(rule) and not (what == "gradient" and rule is None):
                raise ValueError(
                    f"{self._owner}: {what} must be a function of a number or of arrays (docs/extending.md), received "
                    f"{quoted(rule)}. For a name there is the layer Activation."
                )
        if not isinstance(arguments or {}, Mapping):
            raise ValueError(
                f"{self._owner}: arguments must be a dictionary {{name: number}}, received {quoted(arguments)}."
            )
        self.function, self.gradient, self.keeps, self.mask = function, gradient, keeps, None
        self.arguments = dict(arguments or {})
        try:
            self.activation = self._formula_of_a_number()
            return
        except RuleError as error:
            if gradient is not None:
                raise
            problem = error
        with trimmed:
            self.activation = activations.of_arrays(function, self.arguments, problem, self._owner, keeps_axes=False)

    def _formula_of_a_number(self) -> activations.Activation:
        """The function as an activation of elements.

        Raises:
            ValueError: it lacks an argument; `RuleError`, a subclass, if it is no formula of a number.
        """
        try:
            row = registration.activation_row(
                registration.name_of(self.function), self.function, self.gradient, self.keeps
            )
        except ValueError as error:
            raise type(error)(f"{self._owner}: {error}") from None  # of the same class, such as RuleError
        if unknown := set(self.arguments) - set(row.parameters):
            raise ValueError(
                f"{self._owner}: {row.name!r} has the arguments {list(row.parameters)}, received {sorted(unknown)}."
            )
        self.arguments = {
            key: self._number(f"argument {key!r}", value, checks.NO_NAN) for key, value in self.arguments.items()
        }
        return activations.Activation(row, self.function, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        """Its arguments. A function is described by its name: register it before the model is saved."""
        config = super().get_config()
        # The attribute is the shape of the result; a subclass need not take the argument.
        return config | ({"output_shape": None} if "output_shape" in config else {})


class PReLU(Layer):
    """x where x >= 0, alpha x below, with alpha trained; He et al. 2015, arXiv:1502.01852, eq. 1.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of alpha.
        shared_axes: axes along which alpha is the same, the batch being axis 0: ``[1, 2]`` for images.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``alpha``, of the sample's shape, with size 1 along the shared axes.

    Raises:
        ValueError: the sample lacks a shared axis.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.PReLU(initializers.Constant(0.25))])
        >>> model.predict([[-1.0, 2.0]], verbose=0).tolist()
        [[-0.25, 2.0]]
    """

    supports_masking = True
    _fixed = ("shared_axes",)

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **more: Any,
    ):
        super().__init__(**more)
        self.alpha_initializer = alpha_initializer
        self.alpha_regularizer = alpha_regularizer
        self.alpha_constraint = alpha_constraint
        axes = None if shared_axes is None else checks.integers(f"{self._owner}: shared_axes", shared_axes)
        self.shared_axes = axes = [axes] if isinstance(axes, int) else axes
        if axes is not None and len(set(axes)) < len(axes):
            raise ValueError(f"{self._owner}: shared_axes must name each axis once, received {quoted(shared_axes)}.")

    def sample_output_shape(self, input_shape):
        if not all(1 <= axis <= len(input_shape) for axis in self.shared_axes or []):
            raise ValueError(
                f"{self._owner}: shared_axes must name axes from 1 to {len(input_shape)} of samples of "
                f"shape {input_shape}, received {self.shared_axes}."
            )
        if self.built and self._alpha_shape(input_shape) != self.alpha.shape:
            raise ValueError(
                f"{self._owner} has an alpha of shape {self.alpha.shape}; received samples of shape {input_shape}."
            )
        return input_shape

    def _alpha_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(1 if axis + 1 in (self.shared_axes or []) else size for axis, size in enumerate(shape))

    def make_weights(self, input_shape):
        self.alpha = self.add_named_weight("alpha", self._alpha_shape(input_shape))

    def forward(self, plan: Plan, x: View) -> View:
        index_map = IndexMap.shared(x.shape, [a - 1 for a in self.shared_axes or []])
        y, flat = plan.like(x), plan.reshaped(x, (x.width,))
        plan.call(indexed.prelu, x=flat, alpha=self.alpha, index=index_map.index, y=y.flat)
        plan.save(index_map=index_map, x=flat)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        index_map, alpha, dx = plan.saved("index_map"), self.alpha, None
        given = {"x": plan.saved("x"), "dy": plan.reshaped(dy, (dy.width,))}
        if x.needs_gradient:
            dx = plan.like(x)
            plan.call(indexed.prelu_gradient, **given, alpha=alpha, index=index_map.index, dx=dx.flat)
        if (dalpha := plan.gradient(alpha)) is not None:
            slopes = plan.buffer((alpha.size,))
            plan.call(indexed.prelu_slopes, **given, members=index_map.members, slopes=slopes)
            plan.call(folds.sum_rows, x=slopes, total=dalpha.view((alpha.size,)))
        return dx
