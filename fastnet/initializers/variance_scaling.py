"""Random initial values whose spread follows from the number of inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.initializers.initializer import Initializer, Seed
from fastnet.random import generator_of
from fastnet.random.distributions import within_two_deviations


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
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        owner = type(self).__name__
        checks.one_of(f"{owner}: mode", mode, "fan_in", "fan_out", "fan_avg")
        names = ("normal", "truncated_normal", "untruncated_normal", "uniform")
        distribution = checks.one_of(f"{owner}: distribution", distribution, *names)
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if (input_axes is None) != (output_axes is None):
            raise ValueError(
                f"{owner}: give input_axes and output_axes, or neither; received {quoted(input_axes)} and "
                f"{quoted(output_axes)}."
            )
        self.scale, self.seed = self._number("scale", scale, checks.POSITIVE), self._seed(seed)
        self.mode, self.distribution = mode, distribution
        self.input_axes = self._axes("input_axes", input_axes)
        self.output_axes = self._axes("output_axes", output_axes)

    def _axes(self, argument: str, axes: Any) -> list[int] | None:
        if axes is None:
            return None
        given = checks.integers(f"{type(self).__name__}: {argument}", axes)
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
        generator = generator_of(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return generator.uniform(-limit, limit, shape).astype(dtype)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, math.sqrt(variance), shape).astype(dtype)
        # 0.8796... is the standard deviation of a standard normal that is cut at -2 and 2.
        return (math.sqrt(variance) / 0.87962566103423978 * within_two_deviations(generator, shape)).astype(dtype)


class GlorotUniform(VarianceScaling):
    """Uniform, variance 2 / (inputs + outputs); Glorot and Bengio 2010.

    Example:
        >>> round(float(initializers.GlorotUniform()((300, 300)).max()), 2)
        0.1
    """

    def __init__(
        self,
        seed: Seed = None,
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
        seed: Seed = None,
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
        seed: Seed = None,
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
        seed: Seed = None,
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
        seed: Seed = None,
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
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(1.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


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
