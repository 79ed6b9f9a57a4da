"""The weights that scale and shift normalized numbers."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.layers.layer import Layer


class Affine(Layer):
    """A layer with the weights ``gamma`` (if ``scale``) and ``beta`` (if ``center``)."""

    gamma: Any = None
    beta: Any = None

    def _keep_affine(
        self,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
    ) -> None:
        """Keep the arguments of both; in the order in which Keras's layers have them."""
        self.center = checks.flag(f"{self._owner}: center", center)
        self.scale = checks.flag(f"{self._owner}: scale", scale)
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.beta_regularizer, self.gamma_regularizer = beta_regularizer, gamma_regularizer
        self.beta_constraint, self.gamma_constraint = beta_constraint, gamma_constraint

    def _make_affine(self, shape: tuple[int, ...]) -> None:
        """Make ``gamma`` and ``beta``, if wanted."""
        if self.scale:
            self.gamma = self.add_named_weight("gamma", shape)
        if self.center:
            self.beta = self.add_named_weight("beta", shape)
