"""Small models and single updates for the tests of optimizers."""

import numpy as np

import fastnet
from fastnet import layers, optimizers
from fastnet.testing.plans import update

CLASSES = {
    name: cls
    for name, cls in sorted(vars(optimizers).items())
    if isinstance(cls, type) and issubclass(cls, optimizers.Optimizer) and cls is not optimizers.Optimizer
    if not issubclass(cls, optimizers.MultiOptimizer)  # others in one
}


def model_of(optimizer, units=1, features=1):
    model = fastnet.Sequential(
        [layers.Input((features,)), layers.Dense(units, use_bias=False, kernel_initializer="zeros", dtype="float64")]
    )
    model.compile(optimizer, "mse")
    return model


def a_step(optimizer, gradient, start=0.0, steps=1):
    """Weights after steps in which ∂loss/∂w is ``gradient``, whatever the weights are."""
    start = np.broadcast_to(np.asarray(start, float), np.shape(gradient))
    return update(optimizer, "float64", start, np.tile(gradient, (steps, 1)))
