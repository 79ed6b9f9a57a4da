"""Activations: y = f(x). Under each is the derivative, a function of the value that the backward pass keeps."""

import math

from fastnet._kernels.registry import Activation, Pass, RowRule, activations
from fastnet._kernels.rules.primitives import at_least, at_most


def linear(x):
    return x


def linear_gradient(y):
    return 1


def relu(x):
    return 0 if x <= 0 else x  # written so that NaN stays NaN, and -0 becomes 0


def relu_gradient(y):
    return 0 if y <= 0 else 1


def clipped_relu(x, negative_slope, max_value, threshold):
    """Keras's relu with all of its arguments: 0 at the threshold itself; a max_value also raises results to 0."""
    low = 0 if x <= threshold else x
    low = 0 if low <= 0 and max_value < math.inf else low
    high = max_value if low > max_value else low
    below = threshold - x if x < threshold and negative_slope != 0 else 0  # 0 times infinity is NaN
    return high - negative_slope * below


def clipped_relu_gradient(x, negative_slope, max_value, threshold):
    low = 1 if x > threshold and (x > 0 or max_value == math.inf) else 0
    return negative_slope if x < threshold else (0 if x >= max_value else low)


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


def elu(x, alpha):
    """Clevert et al. 2016, arXiv:1511.07289, eq. 15."""
    return x if x >= 0 else alpha * math.expm1(x)


def elu_gradient(x, alpha):
    return 1 if x > 0 else alpha * math.exp(x)


def celu(x, alpha):
    """Barron 2017, arXiv:1704.07483."""
    return (x if x >= 0 else alpha * math.expm1(x / alpha)) + 0  # -0 becomes 0


def celu_gradient(x, alpha):
    return 1 if x > 0 else math.exp(x / alpha)


def selu(x):
    """Klambauer et al. 2017, arXiv:1706.02515, eq. 2; the second number is scale times alpha."""
    return 1.0507009873554805 * x if x >= 0 else 1.7580993408473766 * math.expm1(x)


def selu_gradient(y):
    return 1.0507009873554805 if y > 0 else y + 1.7580993408473766


def exponential(x):
    return math.exp(x)


def exponential_gradient(y):
    return y


def softplus(x):
    """log(1 + e^x); e^-|x| does not overflow."""
    return at_least(x, 0) + math.log1p(math.exp(-abs(x)))


def softplus_gradient(x):
    return 1 / (1 + math.exp(-x))


def log_sigmoid(x):
    return at_most(x, 0) - math.log1p(math.exp(-abs(x)))


def log_sigmoid_gradient(x):
    return 1 / (1 + math.exp(x))


def softsign(x):
    return x / (1 + abs(x))


def softsign_gradient(x):
    return 1 / ((1 + abs(x)) * (1 + abs(x)))


def relu6(x):
    return at_most(relu(x), 6)


def relu6_gradient(y):
    return 0 if y <= 0 or y >= 6 else 1


def hard_tanh(x):
    return at_most(at_least(x, -1), 1)


def hard_tanh_gradient(y):
    return 0 if y <= -1 or y >= 1 else 1


def hard_sigmoid(x):
    return at_most(at_least(x / 6 + 0.5, 0), 1)


def hard_sigmoid_gradient(y):
    return 0 if y <= 0 or y >= 1 else 1 / 6


def hard_silu(x):
    """Howard et al. 2019, arXiv:1905.02244, section 5.2."""
    return x * at_most(at_least(x / 6 + 0.5, 0), 1)


def hard_silu_gradient(x):
    inside = x / 3 + 0.5
    low = 0 if x <= -3 else inside
    return 1 if x >= 3 else low


def mish(x):
    """x tanh(log(1 + e^x)) = x n / (n + 2), n = e^x (e^x + 2); Misra 2019, arXiv:1908.08681."""
    e = math.exp(at_most(x, 20))  # from there on the quotient is 1, and n soon overflows
    n = e * (e + 2)
    return x * (n / (n + 2))


def mish_gradient(x):
    x = at_least(at_most(x, 20), -1000)
    e = math.exp(x)
    n = e * (e + 2)
    t = n / (n + 2)
    return t + x * (2 / (n + 2)) * (1 + t) * (e / (1 + e))


def hard_shrink(x, threshold):
    """x where |x| > threshold, else 0."""
    return 0 if abs(x) <= threshold else x


def hard_shrink_gradient(x, threshold):
    return 0 if abs(x) <= threshold else 1


def soft_shrink(x, threshold):
    """x - threshold where x > threshold, x + threshold where x < -threshold, else 0."""
    return x - at_most(at_least(x, -threshold), threshold)


def soft_shrink_gradient(x, threshold):
    return 0 if abs(x) <= threshold else 1


def tanh_shrink(x):
    """x - tanh(x)."""
    return x - math.tanh(x)


def tanh_shrink_gradient(x):
    t = math.tanh(x)
    return t * t


def threshold(x, threshold, default_value):
    """x where x > threshold, else default_value."""
    return default_value if x <= threshold else x


def threshold_gradient(x, threshold, default_value):
    return 0 if x <= threshold else 1


def sparse_plus(x):
    """0 below -1, (x + 1)² / 4 up to 1, x above; Martins and Astudillo 2016, arXiv:1602.02068."""
    bent = 0.25 * (x + 1) * (x + 1)
    low = 0 if x <= -1 else bent
    return x if x >= 1 else low


def sparse_plus_gradient(x):
    return at_most(at_least(0.5 * (x + 1), 0), 1)


def sparse_sigmoid(x):
    """(x + 1) / 2, at least 0 and at most 1."""
    return at_most(at_least(0.5 * (x + 1), 0), 1)


def sparse_sigmoid_gradient(y):
    return 0 if y <= 0 or y >= 1 else 0.5


def root_of_squares(x, b):
    """sqrt(x² + b), whose square may overflow."""
    a, c = abs(x), math.sqrt(b)
    larger, smaller = a if a >= c else c, c if a >= c else a
    ratio = 0 if larger == 0 else smaller / larger
    return larger * math.sqrt(1 + ratio * ratio)


def squareplus(x, b):
    """(x + sqrt(x² + b)) / 2; Barron 2021, arXiv:2112.11687."""
    root = root_of_squares(x, b)
    return 0.5 * b / (root - x) if x < 0 else 0.5 * (x + root)  # without the difference of two large numbers


def squareplus_gradient(x, b):
    return squareplus(x, b) / root_of_squares(x, b)


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
activations.add(Activation("elu", elu, elu_gradient, "x", {"alpha": 1.0}))
activations.add(Activation("celu", celu, celu_gradient, "x", {"alpha": 1.0}))
activations.add(Activation("selu", selu, selu_gradient, "y"))
activations.add(Activation("exponential", exponential, exponential_gradient, "y"))
activations.add(Activation("softplus", softplus, softplus_gradient))
activations.add(Activation("log_sigmoid", log_sigmoid, log_sigmoid_gradient))
activations.add(Activation("softsign", softsign, softsign_gradient))
activations.add(Activation("relu6", relu6, relu6_gradient, "y"))
activations.add(Activation("hard_tanh", hard_tanh, hard_tanh_gradient, "y"))
activations.add(Activation("hard_sigmoid", hard_sigmoid, hard_sigmoid_gradient, "y"))
activations.add(Activation("hard_silu", hard_silu, hard_silu_gradient), "hard_swish")
activations.add(Activation("mish", mish, mish_gradient))
activations.add(Activation("hard_shrink", hard_shrink, hard_shrink_gradient, "x", {"threshold": 0.5}))
activations.add(Activation("soft_shrink", soft_shrink, soft_shrink_gradient, "x", {"threshold": 0.5}))
activations.add(Activation("tanh_shrink", tanh_shrink, tanh_shrink_gradient))
activations.add(Activation("threshold", threshold, threshold_gradient, "x", {"threshold": 0.0, "default_value": 0.0}))
activations.add(Activation("sparse_plus", sparse_plus, sparse_plus_gradient))
activations.add(Activation("sparse_sigmoid", sparse_sigmoid, sparse_sigmoid_gradient, "y"))
activations.add(Activation("squareplus", squareplus, squareplus_gradient, "x", {"b": 4.0}))


def larger(largest, x, t):
    return largest if x < largest else x


def add_exponential(total, x, t, largest):
    return total + math.exp(x - largest)


def softmax_element(x, t, largest, total):
    return math.exp(x - largest) / total


def add_product(dot, dy, y):
    return dot + dy * y


def softmax_gradient_element(dy, y, dot):
    return (dy - dot) * y


softmax = RowRule((Pass((-math.inf,), larger), Pass((0.0,), add_exponential, sums=(0,))), softmax_element)
# The gradient reads dy as the row and y as its target: dx = (dy - <dy, y>) y.
softmax_gradient = RowRule((Pass((0.0,), add_product, sums=(0,)),), softmax_gradient_element)


def log_softmax_element(x, t, largest, total):
    return x - largest - math.log(total)


def add(total, dy, y):
    return total + dy


def log_softmax_gradient_element(dy, y, total):
    return dy - math.exp(y) * total


log_softmax = RowRule(softmax.passes, log_softmax_element)
# As above: dx = dy - e^y sum dy.
log_softmax_gradient = RowRule((Pass((0.0,), add, sums=(0,)),), log_softmax_gradient_element)


# Sparsemax's gradient: dx = dy - the mean of dy over the elements with y > 0, and 0 for the others.


def add_in_support(total, count, dy, y):
    return total + (0 if y <= 0 else dy), count + (0 if y <= 0 else 1)


def sparsemax_gradient_element(dy, y, total, count):
    return 0 if y <= 0 else dy - total / count


sparsemax_gradient = RowRule((Pass((0.0, 0.0), add_in_support, sums=(0, 1)),), sparsemax_gradient_element)


def affine(x, scale, offset):
    return x * scale + offset
