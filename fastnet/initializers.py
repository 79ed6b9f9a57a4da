"""Start values of weights, with Keras's definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet import random
from fastnet._kernels.registry import unknown


class Initializer:
    """Fills a shape. Subclasses define ``__call__(shape, dtype)``.

    A random one draws new values at each call, unless it was given a seed: then every call gives the same.
    """

    def __call__(self, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
        """An array of this shape and dtype."""
        raise NotImplementedError

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items() if not k.startswith("_"))
        return f"{type(self).__name__}({arguments})"


class Constant(Initializer):
    """Every element is ``value``."""

    def __init__(self, value: float = 0.0):
        self.value = value

    def __call__(self, shape, dtype="float32"):
        return np.full(shape, self.value, dtype)


class Zeros(Initializer):
    """Every element is 0."""

    def __call__(self, shape, dtype="float32"):
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """Every element is 1."""

    def __call__(self, shape, dtype="float32"):
        return np.ones(shape, dtype)


class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape, dtype="float32"):
        return _generator(self.seed).uniform(self.minval, self.maxval, shape).astype(dtype)


class RandomNormal(Initializer):
    """Normal with this mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape, dtype="float32"):
        return _generator(self.seed).normal(self.mean, self.stddev, shape).astype(dtype)


class TruncatedNormal(Initializer):
    """Normal, drawn again where it lies more than two standard deviations from the mean."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape, dtype="float32"):
        return (self.mean + self.stddev * _truncated(_generator(self.seed), shape)).astype(dtype)


class VarianceScaling(Initializer):
    """Variance ``scale / n``, with n the inputs, the outputs, or their mean, of a weight.

    Args:
        scale: a positive factor.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: for the same values at every call.

    Raises:
        ValueError: a scale that is not positive, an unknown mode or distribution.
    """

    def __init__(
        self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: int | None = None
    ):
        if not scale > 0:
            raise ValueError(f"{type(self).__name__}: scale must be positive, received {scale}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(unknown("mode of VarianceScaling", mode, ("fan_in", "fan_out", "fan_avg")))
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            known = ("truncated_normal", "untruncated_normal", "uniform")
            raise ValueError(unknown("distribution of VarianceScaling", distribution, known))
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape, dtype="float32"):
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        generator = _generator(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return generator.uniform(-limit, limit, shape).astype(dtype)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, math.sqrt(variance), shape).astype(dtype)
        # The standard deviation of a normal cut at two of its own.
        return (math.sqrt(variance) / 0.87962566103423978 * _truncated(generator, shape)).astype(dtype)


class GlorotUniform(VarianceScaling):
    """Uniform, variance 2 / (inputs + outputs); Glorot and Bengio 2010."""

    def __init__(self, seed: int | None = None):
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal, variance 2 / (inputs + outputs); Glorot and Bengio 2010."""

    def __init__(self, seed: int | None = None):
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform, variance 2 / inputs; He et al. 2015, arXiv:1502.01852."""

    def __init__(self, seed: int | None = None):
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal, variance 2 / inputs; He et al. 2015, arXiv:1502.01852."""

    def __init__(self, seed: int | None = None):
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


_NAMES = {
    "constant": Constant,
    "zeros": Zeros,
    "ones": Ones,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
}
_NAMES.update({cls.__name__: cls for cls in list(_NAMES.values())})


def get(identifier: Any):
    """The initializer of a name, a class, or any function of (shape, dtype).

    Raises:
        ValueError: an unknown name; offers the nearest known ones.

    Example:
        >>> import fastnet
        >>> fastnet.initializers.get("ones")((2,)).tolist()
        [1.0, 1.0]
    """
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ValueError(unknown("initializer", identifier, _NAMES))
        return _NAMES[identifier]()
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(
        f"An initializer is a name, an Initializer or a function of (shape, dtype), received {identifier!r}."
    )


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a weight: its last two axes, each times the receptive field before them."""
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
