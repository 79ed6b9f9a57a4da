"""Spectral normalization: a layer whose kernel is divided by its largest singular value."""

from __future__ import annotations

from typing import Any

from fastnet import checks, initializers
from fastnet._kernels.rules import update_stages as stages
from fastnet._kernels.templates import folds, spectral, update
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.layers.composites import Wrapper
from fastnet.layers.layer import Layer

_EPSILON = 1e-30  # added to norms: a kernel of zeros stays


class SpectralNormalization(Wrapper):
    """A layer whose kernel W is divided by its largest singular value; Miyato et al. 2018, arXiv:1802.05957.

    The rows of W are all its axes but the last. Each training step begins with ``power_iterations`` times
    v = u Wᵀ / |u Wᵀ|, u = v W / |v W|, where u is a weight. Then W becomes W / (v W uᵀ): the kernel itself is assigned,
    and the gradient is that of the assigned kernel, as in Keras on TensorFlow and PyTorch. Inference reads the kernel
    as the last update left it. A step whose loss is not finite has normalized the kernel too. A kernel of zeros stays.

    Args:
        layer: a layer with a ``kernel``, such as `Dense`, `EinsumDense` or `Conv2D`.
        power_iterations: the iterations of a step.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``. If ``trainable`` is
            False, the kernel is still normalized in training, as in Keras.

    Weights: ``vector_u`` (1, columns), which no optimizer changes; and those of the layer.

    A layer that a network applies twice is normalized once a step.

    Raises:
        ValueError: ``layer`` is not a layer, or has no kernel; ``power_iterations`` is below 1.

    Example:
        >>> layer = layers.SpectralNormalization(layers.Dense(2, kernel_initializer="identity"))
        >>> layer.build((None, 2))
        >>> layer.layer.kernel.assign([[3.0, 0.0], [0.0, 0.0]]) is layer.layer.kernel
        True
        >>> layer([[1.0, 1.0]], training=True).round(3).tolist()
        [[1.0, 0.0]]
    """

    updates_own_weights = True
    _fixed = ("layer", "power_iterations")

    def __init__(self, layer: Layer, power_iterations: int = 1, **more: Any):
        super().__init__(layer, **more)
        self.power_iterations = checks.integer(f"{self._owner}: power_iterations", power_iterations, 1)

    @property
    def kernel(self) -> Any:
        """The kernel of the layer."""
        return getattr(self.layer, "kernel", None)

    def make_weights(self, input_shape):
        self.layer.connect(input_shape)
        if not isinstance(self.kernel, Variable):
            raise ValueError(
                f"{self._owner} divides the kernel of a layer, and {self.layer._owner} has none; give a layer with a "
                "kernel, such as Dense, EinsumDense or Conv2D."
            )
        self.vector_u = self.add_weight(
            "vector_u", (1, self.kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), trainable=False
        )

    @property
    def weights(self) -> list[Variable]:
        """All weights: the kernel first, which in Keras is also the wrapper's; then ``vector_u`` and the others."""
        return sorted(super().weights, key=lambda v: v is not self.kernel)

    def forward(self, plan: Plan, x: View) -> View:
        if plan.training and self not in plan.prepared:
            plan.prepared.add(self)
            self._normalize(plan, self.kernel)
        return plan.apply(self.layer, x)

    def _normalize(self, plan: Plan, kernel: Variable) -> None:
        """Add the launches of the power iteration, and of the division."""
        u, columns = self.vector_u, kernel.shape[-1]
        v = plan.buffer((1, kernel.size // columns), kernel.dtype, per_row=False)
        product = plan.buffer((1, columns), kernel.dtype, per_row=False)
        for _ in range(self.power_iterations):
            plan.product(u, kernel, v, transpose_b=True)
            plan.call(update.scale_gradient, g=v, factor=_inverse_norm(plan, v))
            plan.product(v, kernel, product)
            factor = _inverse_norm(plan, product)
            plan.call(spectral.follow_direction, x=product, u=u, factor=factor, largest=1 / _EPSILON)
        # v W uᵀ is the norm of v W, since u = v W / |v W|.
        plan.call(update.scale_gradient, g=kernel, factor=factor)


def _inverse_norm(plan: Plan, x: View) -> Slot:
    """Add the launches of 1 / |x|."""
    factor, (chunk_sums, count) = plan.slot(), plan.sums(folds.sum_rule, f=stages.square, x=x, p=[])
    operands = {"chunk_sums": chunk_sums, "count": count, "result": factor, "p": [_EPSILON]}
    plan.call(folds.total_of, f=stages.inverse_norm, **operands)
    return factor
