"""Losses, with Keras's definitions: by name, as classes with arguments, or as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet._kernels import registry
from fastnet._kernels.generate import Kernel
from fastnet._kernels.rules import losses as rules  # noqa: F401  (fills the table)
from fastnet._kernels.templates import rows
from fastnet.engine.plan import Buffer, Extent, Plan

_ELEMENT_COST = 1000  # picoseconds


class Loss:
    """A loss over the last axis, averaged over everything before it.

    Args:
        row: its row of the registry.
        name: as shown in logs.
        parameters: values of its arguments.
        smoothing: label smoothing of a dense distribution.
    """

    def __init__(self, row: registry.Loss, name: str | None = None, smoothing: float = 0.0, **parameters: float):
        unknown = set(parameters) - set(row.parameters)
        if unknown:
            raise TypeError(f"The loss {row.name!r} takes {list(row.parameters)}, received {sorted(unknown)}.")
        self.row, self.name, self.smoothing = row, name or row.name, smoothing
        self.parameters = {**row.parameters, **parameters}

    @property
    def sparse(self) -> bool:
        """Whether a target is a class index instead of a row."""
        return self.row.targets == "sparse"

    def values(self, plan: Plan, y_pred: Buffer, y_true: Buffer) -> Buffer:
        """Add the launch of the loss of each row."""
        return self._launch(plan, y_pred, y_true, gradient=False)[0]

    def values_and_gradient(self, plan: Plan, y_pred: Buffer, y_true: Buffer) -> tuple[Buffer, Buffer]:
        """Add the launches of the loss of each row, and of the gradient of their mean by ``y_pred``."""
        return self._launch(plan, y_pred, y_true, gradient=True)

    def _launch(self, plan: Plan, y_pred: Buffer, y_true: Buffer, gradient: bool):
        width, inner = split(y_pred.shape)
        values = plan.buffer((inner,), y_pred.dtype)
        dy = plan.buffer(y_pred.shape, y_pred.dtype) if gradient else None
        if self.row.row is not None:
            self._launch_rows(plan, y_pred, y_true, values, dy, width, inner)
        else:
            self._launch_elements(plan, y_pred, y_true, values, dy, width, inner)
        return values, dy

    def _launch_rows(self, plan, y_pred, y_true, values, dy, width, inner):
        template = rows.RowTemplate(
            self.row.name, self.row.row, self.row.targets, value=True, element=dy is not None, mean=dy is not None
        )
        target = {"labels": y_true} if self.sparse else {"t": y_true, "smoothing": self.smoothing}
        kernel = Kernel(template, template.rules(), y_pred.dtype)
        shared = {"x": y_pred, "loss": values, "y": dy, "width": width, "inner": inner}
        plan.rows(kernel, inner, 3000 * width, **shared, **target)

    def _launch_elements(self, plan, y_pred, y_true, values, dy, width, inner):
        numbers = list(self.parameters.values())
        counts = (("p", len(numbers)),)
        kernel = Kernel(rows.elements_loss, (("f", self.row.f),), y_pred.dtype, counts)
        shared = {"y_true": y_true, "y_pred": y_pred, "p": numbers, "width": width}
        plan.rows(kernel, inner, _ELEMENT_COST * width, loss=values, **shared)
        if dy is not None:
            kernel = Kernel(rows.elements_gradient, (("df", self.row.df),), y_pred.dtype, counts)
            extent = Extent(per_row=y_pred.width)
            plan.launch(kernel, {"dx": dy, "inner": inner, **shared}, extent, 64, _ELEMENT_COST)

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """The mean loss of arrays."""
        return float(self.per_row(y_true, y_pred).mean(dtype=np.float64))

    def per_row(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """The loss of each row: of the predictions' shape without the last axis.

        Raises:
            ValueError: shapes that do not fit.
        """
        from fastnet.engine.cpu import run_once
        from fastnet.engine.data import match_targets

        y_pred = np.asarray(y_pred)
        dtype = "float64" if y_pred.dtype == np.float64 else "float32"
        y_pred = np.ascontiguousarray(y_pred, dtype)
        if y_pred.ndim == 0:
            raise ValueError(f"The loss {self.name!r} needs predictions with at least one axis, received a number.")
        if y_pred.ndim == 1:
            y_pred, y_true = y_pred[:, None], np.asarray(y_true)[..., None]
        y_true = match_targets(np.asarray(y_true), y_pred.shape[1:], len(y_pred), self.sparse, self.name)
        plan = Plan(False, dtype)
        prediction = plan.buffer(y_pred.shape[1:])
        target = plan.buffer(y_pred.shape[1:-1] if self.sparse else y_pred.shape[1:], "int32" if self.sparse else dtype)
        values = self.values(plan, prediction, target)
        result = run_once(plan, {prediction: y_pred, target: y_true.reshape(len(y_pred), *target.shape)}, values)
        return result.reshape(y_pred.shape[:-1])

    def __repr__(self) -> str:
        return f"<loss {self.name}>"


def split(shape: tuple[int, ...]) -> tuple[int, int]:
    """(size of the last axis, rows before it) of one sample's prediction."""
    width = shape[-1] if shape else 1
    return width, int(np.prod(shape[:-1], dtype=np.int64)) if shape else 1


def _check_reduction(cls: str, reduction: Any) -> None:
    if reduction not in ("sum_over_batch_size", "mean"):
        raise ValueError(f"{cls}: reduction must be 'sum_over_batch_size', received {reduction!r}.")


def _check_smoothing(cls: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{cls}: label_smoothing must lie in [0, 1], received {value!r}.")
    return float(value)


class MeanSquaredError(Loss):
    """mean((y_pred - y_true)²) over the last axis."""

    def __init__(self, reduction: str = "sum_over_batch_size", name: str = "mean_squared_error", dtype=None):
        _check_reduction("MeanSquaredError", reduction)
        super().__init__(registry.losses["mean_squared_error"], name)


class MeanAbsoluteError(Loss):
    """mean(|y_pred - y_true|) over the last axis."""

    def __init__(self, reduction: str = "sum_over_batch_size", name: str = "mean_absolute_error", dtype=None):
        _check_reduction("MeanAbsoluteError", reduction)
        super().__init__(registry.losses["mean_absolute_error"], name)


class BinaryCrossentropy(Loss):
    """-mean(t log p + (1 - t) log(1 - p)) over the last axis.

    Args:
        from_logits: predictions are logits x, and p = σ(x); the loss then is exact for any x. Otherwise p is clipped
            to [1e-7, 1 - 1e-7].
        label_smoothing: s moves targets towards ½: t (1 - s) + s / 2.
        axis: only -1.
        reduction: only "sum_over_batch_size", the mean.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype=None,
    ):
        _check_axis("BinaryCrossentropy", axis)
        _check_reduction("BinaryCrossentropy", reduction)
        row = registry.losses["binary_crossentropy" + "_from_logits" * bool(from_logits)]
        super().__init__(row, name, label_smoothing=_check_smoothing("BinaryCrossentropy", label_smoothing))
        self.from_logits = bool(from_logits)


class CategoricalCrossentropy(Loss):
    """-sum(t log p) over the last axis, t a distribution (one-hot labels, say).

    Args:
        from_logits: predictions are logits x, and log p = x - logsumexp(x). Otherwise p is divided by its sum and
            clipped to [1e-7, 1 - 1e-7].
        label_smoothing: s moves targets towards the uniform distribution: t (1 - s) + s / classes.
        axis: only -1.
        reduction: only "sum_over_batch_size", the mean.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype=None,
    ):
        _check_axis("CategoricalCrossentropy", axis)
        _check_reduction("CategoricalCrossentropy", reduction)
        row = registry.losses["categorical_crossentropy" + "_from_logits" * bool(from_logits)]
        super().__init__(row, name, smoothing=_check_smoothing("CategoricalCrossentropy", label_smoothing))
        self.from_logits = bool(from_logits)


class SparseCategoricalCrossentropy(Loss):
    """-log p[label], label a class index from 0.

    Args:
        from_logits: predictions are logits x, and log p = x - logsumexp(x). Otherwise p is divided by its sum and
            clipped to [1e-7, 1 - 1e-7].
        ignore_class: only None.
        reduction: only "sum_over_batch_size", the mean.
        axis: only -1.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: None = None,
        reduction: str = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype=None,
    ):
        _check_axis("SparseCategoricalCrossentropy", axis)
        _check_reduction("SparseCategoricalCrossentropy", reduction)
        if ignore_class is not None:
            raise ValueError(
                f"SparseCategoricalCrossentropy: ignore_class={ignore_class!r} is not supported; leave it out."
            )
        super().__init__(registry.losses["sparse_categorical_crossentropy" + "_from_logits" * bool(from_logits)], name)
        self.from_logits = bool(from_logits)


def _check_axis(cls: str, axis: int) -> None:
    if axis != -1:
        raise ValueError(f"{cls}: axis must be -1, received {axis!r}.")


_CLASSES = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}
_CLASSES.update({cls.__name__: cls for cls in list(_CLASSES.values())})


def get(identifier: Any) -> Loss:
    """The loss of a name, a class, or one of this module's functions.

    Raises:
        ValueError: an unknown name; offers the nearest known ones.

    Example:
        >>> import fastnet
        >>> fastnet.losses.get("mse")([[1.0, 2.0]], [[1.0, 4.0]])
        2.0
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        made: Callable[[], Loss] = identifier
        return made()
    name = getattr(identifier, "__name__", None)
    if isinstance(name, str) and _FUNCTIONS.get(name) is identifier:
        identifier = name
    if isinstance(identifier, str):
        if identifier in _CLASSES:
            return _CLASSES[identifier]()
        if identifier in registry.losses:
            return Loss(registry.losses[identifier])
        raise ValueError(registry.unknown("loss", identifier, {**_CLASSES, **registry.losses}))
    raise ValueError(
        f"A loss is a name or one of fastnet.losses, received {identifier!r}. To use your own function, register it: "
        "fastnet.register_loss(name, function)."
    )


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean((y_pred - y_true)²) over the last axis, for each row."""
    return MeanSquaredError().per_row(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(|y_pred - y_true|) over the last axis, for each row."""
    return MeanAbsoluteError().per_row(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """The loss of `BinaryCrossentropy` for each row."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis).per_row(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """The loss of `CategoricalCrossentropy` for each row."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).per_row(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: None = None, axis: int = -1
) -> np.ndarray:
    """The loss of `SparseCategoricalCrossentropy` for each row."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).per_row(y_true, y_pred)


_FUNCTIONS = {
    f.__name__: f
    for f in (
        mean_squared_error,
        mean_absolute_error,
        binary_crossentropy,
        categorical_crossentropy,
        sparse_categorical_crossentropy,
    )
}
