"""Functions of other libraries in formulas: they are refused in one sentence, and constants of theirs are taken."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, ops

keras = pytest.importorskip("keras")
torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")

FUNCTIONS = [
    (lambda t, p: jax.numpy.mean(jax.numpy.square(t - p), axis=-1), "another library"),
    (lambda t, p: jax.nn.relu(p), "another library"),
    (lambda t, p: keras.ops.mean(keras.ops.square(t - p), axis=-1), "keras"),
    (lambda t, p: keras.losses.mean_squared_error(t, p), "keras"),
    (lambda t, p: torch.mean(torch.square(t - p), dim=-1), "torch"),
    (lambda t, p: torch.nn.functional.mse_loss(p, t), "torch"),
]


@pytest.mark.parametrize("function, library", FUNCTIONS)
def test_functions_are_refused(function, library):
    message = rf"function of {library} needs the elements of an argument \(line .* of test_other_libraries.py, in <lamb"
    with pytest.raises(fastnet.RuleError, match=message) as caught:
        losses.get(function)
    assert "write it with fastnet.ops" in str(caught.value)


@pytest.mark.parametrize("function", [jax.numpy.exp, torch.exp, keras.ops.exp])
def test_weights_are_no_arrays_of_theirs(function):
    class Own(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(3, 2), name="w")

        def call(self, x):
            return ops.matmul(x, function(self.w))

    with pytest.raises(fastnet.RuleError, match="function of .* needs the elements"):
        Own()(np.ones((4, 3)))


@pytest.mark.parametrize("array", [jax.numpy.array([1.0, 2.0]), torch.tensor([1.0, 2.0])])
def test_their_arrays_are_constants(array):
    for function in (lambda t, p: ops.mean(p * array, axis=-1), lambda t, p: ops.mean(array * p, axis=-1)):
        assert losses.get(function)([[0.0, 0.0]], [[1.0, 2.0]]) == 2.5
