"""Initial values of weights, with the definitions of Keras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet import checks, random
from fastnet.descriptions import Configurable, Family


class Initializer(Configurable):
    """Makes the initial values of a weight. Subclasses define ``__call__(shape, dtype)``.

    A random initializer draws new values at each call. With a seed it returns the same values at each call.

    Example:
        >>> class Halves(initializers.Initializer):
        ...     def __call__(self, shape, dtype="float32"):
        ...         return np.full(shape, 0.5, dtype)
        >>> layers.Dense(3, kernel_initializer=Halves()).kernel_initializer
        Halves()
    """

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
        """Make an array of this shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(shape, dtype).")

    def _number(self, argument: str, value: Any, allowed: checks.Range = checks.FINITE) -> float:
        return checks.number(f"{type(self).__name__}: {argument}", value, allowed)

    def _seed(self, value: Any) -> int | None:
        return checks.seed(f"{type(self).__name__}: seed", value)

    def clone(self) -> Initializer:
        """Make an initializer with the same arguments."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items() if not k.startswith("_"))
        return f"{type(self).__name__}({arguments})"


class Constant(Initializer):
    """Every element is ``value``, a number or an array that is broadcast to the shape.

    Raises:
        ValueError: ``value`` is neither a real number nor an array of real numbers.

    Example:
        >>> initializers.Constant(0.5)((2,)).tolist()
        [0.5, 0.5]
    """

    def __init__(self, value: Any = 0.0):
        if np.asarray(value).dtype.kind not in "fiub":
            raise ValueError(f"Constant: value must be a number, or an array of numbers, received {value!r}.")
        self.value = float(value) if checks.is_number(value) else value

    def __call__(self, shape, dtype="float32"):
        return np.full(shape, self.value, dtype)


class Zeros(Initializer):
    """Every element is 0.

    Example:
        >>> initializers.Zeros()((2,)).tolist()
        [0.0, 0.0]
    """

    def __call__(self, shape, dtype="float32"):
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """Every element is 1.

    Example:
        >>> initializers.Ones()((2,)).tolist()
        [1.0, 1.0]
    """

    def __call__(self, shape, dtype="float32"):
        return np.ones(shape, dtype)


class Identity(Initializer):
    """``gain`` on the diagonal of a matrix, 0 elsewhere.

    Raises:
        ValueError: the gain is not finite; when called, the shape is not that of a matrix.

    Example:
        >>> initializers.Identity()((2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0):
        self.gain = self._number("gain", gain)

    def __call__(self, shape, dtype="float32"):
        if len(shape) != 2:
            raise ValueError(f"Identity fills matrices, received the shape {tuple(shape)}.")
        return (self.gain * np.eye(*shape)).astype(dtype)


class RandomUniform(Initializer):
    """Uniform in [minval, maxval).

    Raises:
        ValueError: a limit is not finite, or minval is above maxval.

    Example:
        >>> round(float(initializers.RandomUniform(-0.1, 0.1)((100, 100)).max()), 2)
        0.1
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        self.minval, self.maxval = self._number("minval", minval), self._number("maxval", maxval)
        if self.minval > self.maxval:
            raise ValueError(f"RandomUniform: minval {minval!r} must not be above maxval {maxval!r}.")
        self.seed = self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        return _generator(self.seed).uniform(self.minval, self.maxval, shape).astype(dtype)


class RandomNormal(Initializer):
    """Normal with this mean and standard deviation.

    Raises:
        ValueError: mean or stddev is not finite, or stddev is negative.

    Example:
        >>> round(float(initializers.RandomNormal(stddev=0.1)((100, 100)).std()), 2)
        0.1
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev = self._number("mean", mean), self._number("stddev", stddev, checks.NOT_NEGATIVE)
        self.seed = self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        return _generator(self.seed).normal(self.mean, self.stddev, shape).astype(dtype)


class TruncatedNormal(Initializer):
    """Normal, where values more than two standard deviations from the mean are drawn again.

    Raises:
        ValueError: mean or stddev is not finite, or stddev is negative.

    Example:
        >>> round(float(initializers.TruncatedNormal(stddev=0.05)((100, 100)).max()), 2)
        0.1
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev = self._number("mean", mean), self._number("stddev", stddev, checks.NOT_NEGATIVE)
        self.seed = self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        return (self.mean + self.stddev * _truncated(_generator(self.seed), shape)).astype(dtype)


class VarianceScaling(Initializer):
    """Random values of variance ``scale / n``, where n is the number of a weight's inputs, outputs, or their mean.

    Args:
        scale: a positive factor.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: gives the same values at each call.
        input_axes, output_axes: axes whose sizes are multiplied to the number of inputs and outputs; by default those
            of `fans`.

    Raises:
        ValueError: scale is not positive, mode or distribution is unknown, or only one of input_axes and output_axes is
            given; when called, the weight does not have these axes.

    Example:
        >>> round(float(initializers.VarianceScaling(2.0, "fan_in")((200, 100)).std()), 2)
        0.1
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        own = type(self).__name__
        checks.one_of(f"{own}: mode", mode, "fan_in", "fan_out", "fan_avg")
        names = ("normal", "truncated_normal", "untruncated_normal", "uniform")
        distribution = checks.one_of(f"{own}: distribution", distribution, *names)
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if (input_axes is None) != (output_axes is None):
            raise ValueError(
                f"{own}: give input_axes and output_axes, or neither; received {input_axes!r} and {output_axes!r}."
            )
        self.scale, self.seed = self._number("scale", scale, checks.POSITIVE), self._seed(seed)
        self.mode, self.distribution = mode, distribution
        self.input_axes = self._axes("input_axes", input_axes)
        self.output_axes = self._axes("output_axes", output_axes)

    def _axes(self, argument: str, axes: Any) -> list[int] | None:
        if axes is None:
            return None
        given = checks.wholes(f"{type(self).__name__}: {argument}", axes)
        return given if isinstance(given, list) else [given]

    def __call__(self, shape, dtype="float32"):
        if any(not -len(shape) <= axis < len(shape) for axis in (*(self.input_axes or ()), *(self.output_axes or ()))):
            raise ValueError(
                f"{type(self).__name__}: the shape {tuple(shape)} has no axes input_axes={self.input_axes}, "
                f"output_axes={self.output_axes}."
            )
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        generator = _generator(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return generator.uniform(-limit, limit, shape).astype(dtype)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, math.sqrt(variance), shape).astype(dtype)
        # 0.8796... is the standard deviation of a standard normal that is cut at -2 and 2.
        return (math.sqrt(variance) / 0.87962566103423978 * _truncated(generator, shape)).astype(dtype)


class GlorotUniform(VarianceScaling):
    """Uniform, variance 2 / (inputs + outputs); Glorot and Bengio 2010.

    Example:
        >>> round(float(initializers.GlorotUniform()((300, 300)).max()), 2)
        0.1
    """

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(1.0, "fan_avg", "uniform", seed, input_axes, output_axes)


class GlorotNormal(VarianceScaling):
    """Truncated normal, variance 2 / (inputs + outputs); Glorot and Bengio 2010.

    Example:
        >>> round(float(initializers.GlorotNormal()((100, 100)).std()), 2)
        0.1
    """

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, input_axes, output_axes)


class HeUniform(VarianceScaling):
    """Uniform, variance 2 / inputs; He et al. 2015, arXiv:1502.01852.

    Example:
        >>> round(float(initializers.HeUniform()((600, 100)).max()), 2)
        0.1
    """

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(2.0, "fan_in", "uniform", seed, input_axes, output_axes)


class HeNormal(VarianceScaling):
    """Truncated normal, variance 2 / inputs; He et al. 2015, arXiv:1502.01852.

    Example:
        >>> round(float(initializers.HeNormal()((200, 100)).std()), 2)
        0.1
    """

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(2.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


class LecunUniform(VarianceScaling):
    """Uniform, variance 1 / inputs; LeCun et al. 1998, Efficient BackProp, section 4.6.

    Example:
        >>> round(float(initializers.LecunUniform()((300, 100)).max()), 2)
        0.1
    """

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(1.0, "fan_in", "uniform", seed, input_axes, output_axes)


class LecunNormal(VarianceScaling):
    """Truncated normal, variance 1 / inputs; LeCun et al. 1998, Efficient BackProp, section 4.6.

    Example:
        >>> round(float(initializers.LecunNormal()((100, 100)).std()), 2)
        0.1
    """

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(1.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


class Orthogonal(Initializer):
    """``gain`` times a matrix whose rows or columns, the fewer, are orthonormal; Saxe et al. 2014, arXiv:1312.6120.

    A tensor of more axes is filled like a matrix whose rows are all axes but the last.

    Raises:
        ValueError: the gain is not finite; when called, the shape has fewer than two axes.

    Example:
        >>> w = initializers.Orthogonal()((3, 3), "float64")
        >>> bool(np.allclose(w.T @ w, np.eye(3)))
        True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None):
        self.gain, self.seed = self._number("gain", gain), self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        if len(shape) < 2:
            raise ValueError(f"Orthogonal fills shapes of at least two axes, received {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = _generator(self.seed).standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal matrices
        return (self.gain * (q.T if rows < columns else q)).reshape(shape).astype(dtype)


_family = Family(
    "an initializer",
    Initializer,
    (
        *(Constant, Zeros, Ones, Identity, RandomUniform, RandomNormal, TruncatedNormal, VarianceScaling),
        *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal),
    ),
    functions=True,
    zero=Zeros,
    one=Ones,
    uniform=RandomUniform,
    normal=RandomNormal,
    IdentityInitializer=Identity,
    OrthogonalInitializer=Orthogonal,
)
serialize, deserialize = _family.serialize, _family.deserialize


def get(identifier: Any):
    """Get an initializer by name, description, class, array, or function of (shape, dtype); None gives None.

    Raises:
        ValueError: the name is unknown; the error offers similar names.

    Example:
        >>> import fastnet
        >>> fastnet.initializers.get("ones")((2,)).tolist()
        [1.0, 1.0]
    """
    if not isinstance(identifier, (np.ndarray, np.generic)):
        return _family.get(identifier)
    values = np.asarray(identifier)

    def copy_of_array(shape, dtype="float32"):
        return values.astype(dtype)  # the caller compares the shapes

    return copy_of_array


def fans(
    shape: tuple[int, ...], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """The number of a weight's inputs and outputs: the products of the axes given, else its last two axes, each times
    the product of the axes before them (the receptive field)."""
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 1:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _generator(seed: int | None) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(random.next_seed() if seed is None else seed))


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values
