"""Activations: y = f(x), with the derivative under each, a function of what the backward pass keeps."""

import math

from fastnet._kernels.registry import Activation, Pass, RowRule, activations
from fastnet._kernels.rules.primitives import at_least, at_most


def linear(x):
    return x


def linear_gradient(y):
    return 1


def relu(x):
    return 0 if x < 0 else x  # written so that NaN stays NaN


def relu_gradient(y):
    return 0 if y <= 0 else 1


def clipped_relu(x, negative_slope, max_value, threshold):
    """Keras's relu with all of its arguments."""
    low = negative_slope * (x - threshold) if x < threshold else x
    return max_value if low > max_value else low


def clipped_relu_gradient(x, negative_slope, max_value, threshold):
    low = negative_slope if x < threshold else 1
    return 0 if x >= max_value else low


def leaky_relu(x, negative_slope):
    return negative_slope * x if x < 0 else x


def leaky_relu_gradient(x, negative_slope):
    return negative_slope if x < 0 else 1


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def sigmoid_gradient(y):
    return y * (1 - y)


def tanh(x):
    return math.tanh(x)


def tanh_gradient(y):
    return 1 - y * y


def silu(x):
    """x·σ(x); Elfwing et al. 2017, arXiv:1702.03118."""
    return x / (1 + math.exp(-x))


def silu_gradient(x):
    s = 1 / (1 + math.exp(-x))
    return s * (1 + x * (1 - s))


def gelu(x):
    """x·Φ(x); Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    return 0.5 * x * (1 + math.erf(x * 0.7071067811865476))


def gelu_gradient(x):
    return 0.5 * (1 + math.erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * math.exp(-0.5 * x * x)


def approximate_gelu(x):
    """The tanh form of gelu."""
    return 0.5 * x * (1 + math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def approximate_gelu_gradient(x):
    x = at_least(at_most(x, 16), -16)  # 1 and 0 beyond; x * x overflows where 1 - t * t is 0
    t = math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 0.134145 * x * x)


activations.add(Activation("linear", linear, linear_gradient, "y"))
activations.add(Activation("relu", relu, relu_gradient, "y"))
activations.add(
    Activation(
        "clipped_relu",
        clipped_relu,
        clipped_relu_gradient,
        "x",
        {"negative_slope": 0.0, "max_value": math.inf, "threshold": 0.0},
    )
)
activations.add(Activation("leaky_relu", leaky_relu, leaky_relu_gradient, "x", {"negative_slope": 0.2}))
activations.add(Activation("sigmoid", sigmoid, sigmoid_gradient, "y"))
activations.add(Activation("tanh", tanh, tanh_gradient, "y"))
activations.add(Activation("silu", silu, silu_gradient), "swish")
activations.add(Activation("gelu", gelu, gelu_gradient))
activations.add(Activation("approximate_gelu", approximate_gelu, approximate_gelu_gradient))


def larger(largest, x, t):
    return largest if x < largest else x


def add_exponential(total, x, t, largest):
    return total + math.exp(x - largest)


def softmax_element(x, t, largest, total):
    return math.exp(x - largest) / total


def add_product(inner, dy, y):
    return inner + dy * y


def softmax_gradient_element(dy, y, inner):
    return (dy - inner) * y


softmax = RowRule((Pass((-math.inf,), larger), Pass((0.0,), add_exponential)), softmax_element)
# The gradient reads dy as the row and y as its target: dx = (dy - <dy, y>) y.
softmax_gradient = RowRule((Pass((0.0,), add_product),), softmax_gradient_element)


def affine(x, scale, offset):
    return x * scale + offset
