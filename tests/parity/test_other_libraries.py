"""Functions of other libraries in formulas: they are refused in one sentence, and constants of theirs are taken."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, ops

FUNCTIONS = [
    ("jax.numpy.mean(jax.numpy.square(t - p), axis=-1)", "another library"),
    ("jax.nn.relu(p)", "another library"),
    ("keras.ops.mean(keras.ops.square(t - p), axis=-1)", "keras"),
    ("keras.losses.mean_squared_error(t, p)", "keras"),
    ("torch.mean(torch.square(t - p), dim=-1)", "torch"),
    ("torch.nn.functional.mse_loss(p, t)", "torch"),
]


@pytest.fixture
def libraries():
    """Imported here: other tests of the process fork, which beside JAX is a warning."""
    return {name: pytest.importorskip(name) for name in ("jax", "keras", "torch")}


@pytest.mark.parametrize("text, library", FUNCTIONS)
def test_functions_are_refused(libraries, text, library):
    message = rf"function of {library} needs the elements of an argument \(line 1 of <string>, in <lambda>"
    with pytest.raises(fastnet.RuleError, match=message) as caught:
        losses.get(eval(f"lambda t, p: {text}", libraries))
    assert "write it with fastnet.ops" in str(caught.value)


@pytest.mark.parametrize("text", ["jax.numpy.exp", "torch.exp", "keras.ops.exp"])
def test_weights_are_no_arrays_of_theirs(libraries, text):
    function = eval(text, libraries)

    class Own(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(3, 2), name="w")

        def call(self, x):
            return ops.matmul(x, function(self.w))

    with pytest.raises(fastnet.RuleError, match="function of .* needs the elements"):
        Own()(np.ones((4, 3)))


@pytest.mark.parametrize("text", ["jax.numpy.array([1.0, 2.0])", "torch.tensor([1.0, 2.0])"])
def test_their_arrays_are_constants(libraries, text):
    array = eval(text, libraries)
    for function in (lambda t, p: ops.mean(p * array, axis=-1), lambda t, p: ops.mean(array * p, axis=-1)):
        assert losses.get(function)([[0.0, 0.0]], [[1.0, 2.0]]) == 2.5
