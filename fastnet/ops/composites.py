"""Functions made of others: softmax, normalization, losses of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet import activations
from fastnet.ops import folding, making, shaping
from fastnet.ops.elements import FUNCTIONS as ELEMENTS
from fastnet.ops.elements import clip, convert_to_tensor
from fastnet.symbolic import custom, folds, formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal, shown

_EPSILON = 1e-7


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis.

    Example:
        >>> ops.softmax([[0.0, 0.0]]).tolist()
        [[0.5, 0.5]]
    """
    if not isinstance(x, SymbolicArray):
        return activations.softmax(convert_to_tensor(x), axis)
    e = formulas.exp(x - formulas.stop_gradient(folds.largest(x, axis, True)))
    return e / folds.total(e, axis, True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log softmax(x), without overflow.

    Example:
        >>> ops.log_softmax([[0.0, 0.0]]).round(4).tolist()
        [[-0.6930999755859375, -0.6930999755859375]]
    """
    if not isinstance(x, SymbolicArray):
        return activations.log_softmax(convert_to_tensor(x), axis)
    return x - folding.logsumexp(x, axis, True)


def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """x over its length along an axis, which is at least ``epsilon``.

    Example:
        >>> ops.normalize([[3.0, 4.0]]).round(3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    epsilon = _EPSILON if epsilon is None else epsilon
    x = x if isinstance(x, SymbolicArray) else formulas.as_real(x)
    return x / formulas.maximum(folding.norm(x, order, axis, True), epsilon)


def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Any, Any]:
    """Mean and variance along axes; those of float16 are computed in float32, and at most the largest float16.

    Example:
        >>> mean, variance = ops.moments([[1.0, 3.0]], axes=-1)
        >>> mean.tolist(), variance.tolist()
        ([2.0], [1.0])
    """
    if not isinstance(x, SymbolicArray) and (x := formulas.as_real(x)).dtype == np.float16:
        mean, variance = moments(x.astype("float32"), axes, keepdims)
        limit = np.finfo("float16").max
        return np.clip(mean, -limit, limit).astype("float16"), np.clip(variance, -limit, limit).astype("float16")
    return folding.mean(x, axes, keepdims), folding.var(x, axes, keepdims)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-(t log p + (1 - t) log(1 - p)) of each element; p is at least 1e-7 from 0 and 1.

    Example:
        >>> ops.binary_crossentropy([1.0], [0.5]).round(4).tolist()
        [0.6930999755859375]
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    if from_logits:
        return (
            formulas.maximum(output, 0.0) - output * target + formulas.log1p(formulas.exp(-formulas.absolute(output)))
        )
    p = clip(output, _EPSILON, 1.0 - _EPSILON)
    return -(target * formulas.log(p) + (1.0 - target) * formulas.log(1.0 - p))


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-Σ t log p along an axis; p is divided by its sum, or is the softmax of logits.

    Example:
        >>> ops.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.6930999755859375]
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    if from_logits:
        return -folds.total(target * log_softmax(output, axis), axis)
    p = clip(output / folds.total(output, axis, True), _EPSILON, 1.0 - _EPSILON)
    return -folds.total(target * formulas.log(p), axis)


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """-log p of the label along an axis, as `categorical_crossentropy` of one-hot targets; 0 for a label outside.

    Args:
        target: labels, of the shape of ``output`` without the axis, or with size 1 along the last one.
        output: probabilities, or logits.
        from_logits: whether output are logits.
        axis: of the classes.

    Raises:
        ValueError: the shapes do not fit; `fastnet.RuleError`, a subclass, in a formula.

    Example:
        >>> ops.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).round(4).tolist()
        [0.6930999755859375]
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    labels = making.one_hot(labels_of(target, output), output.shape[axis], axis, getattr(output, "dtype", None))
    return categorical_crossentropy(labels, output, from_logits, axis)


def labels_of(target: Any, output: Any) -> Any:
    """Labels without an axis of size 1 in place of that of the classes.

    Raises:
        ValueError: the shapes do not fit; `fastnet.RuleError`, a subclass, in a formula.

    Example:
        >>> from fastnet.ops.composites import labels_of
        >>> labels_of(np.ones((4, 1)), np.ones((4, 3))).shape
        (4,)
    """
    if target.ndim == output.ndim and target.shape[-1] == 1:
        return shaping.squeeze(target, -1)
    if target.ndim != output.ndim - 1:
        raise refusal(
            f"labels of shape {shown(target.shape)} for predictions of shape {shown(output.shape)}",
            "give labels without the axis of the classes",
            ShapeError,
        )
    return target


def glu(x: Any, axis: int = -1) -> Any:
    """a σ(b), a and b the halves of an axis; Dauphin et al. 2017, arXiv:1612.08083.

    Raises:
        ValueError: the axis is of odd size; `fastnet.RuleError`, a subclass, in a formula.

    Example:
        >>> ops.glu([[2.0, 0.0]]).tolist()
        [[1.0]]
    """
    x = convert_to_tensor(x)
    if x.shape[axis] % 2:
        raise refusal(f"ops.glu halves an axis of size {x.shape[axis]}", "give an even one", ShapeError)
    a, b = shaping.split(x, 2, axis)
    return a * ELEMENTS["sigmoid"](b)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays with a gradient of your own.

    Args:
        f: ``f(*arrays)``, which returns (y, grad). ``grad(dy)`` gives the gradient of the array; of several arrays a
            tuple, with None where no gradient flows. Both are array code of the arguments and of constants; weights
            and layers stand outside.

    Raises:
        TypeError: when the function is called, f returns something else.
        fastnet.RuleError: f or grad cannot be compiled, or the number or the shapes of gradients do not fit.

    Example:
        >>> @ops.custom_gradient
        ... def rounded(x):
        ...     return ops.round(x), lambda dy: dy
        >>> rounded(np.array([0.4, 1.6])).tolist()
        [0.0, 2.0]
        >>> layer = layers.Dense(3, activation=rounded)
    """
    return custom.custom_gradient(f)


FUNCTIONS = {
    f.__name__: f
    for f in (
        softmax, log_softmax, normalize, moments, binary_crossentropy, categorical_crossentropy,
        sparse_categorical_crossentropy, glu, custom_gradient,
    )
}  # fmt: skip
