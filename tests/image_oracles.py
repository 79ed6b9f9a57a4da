"""Layers of images as slow loops in float64, without a line of fastnet: values, and gradients of the sum of y · dy."""

import itertools

import numpy as np


def windows_along(size, window, stride, padding):
    """The indices in each window along an axis, without padding, as TensorFlow and Keras place them."""
    if padding == "valid":
        return [range(at, at + window) for at in range(0, size - window + 1, stride)]
    count = -(-size // stride)
    missing = max((count - 1) * stride + window - size, 0)
    first = -(missing // 2)
    return [[i for i in range(first + o * stride, first + o * stride + window) if 0 <= i < size] for o in range(count)]


def adaptive_along(size, count):
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def pooled(x, along, pick):
    """(values, gradient function) of windows: `pick(pixels)` gives a channel's number and each pixel's share in it.

    Args:
        x: (n, *sizes, channels).
        along: for each axis in space the windows.
        pick: takes the pixels of a window in order; returns (value, shares).
    """
    y = np.zeros((len(x), *map(len, along), x.shape[-1]))
    shares = {}
    for n, o, c in itertools.product(range(len(x)), np.ndindex(y.shape[1:-1]), range(x.shape[-1])):
        places = list(itertools.product(*(windows[i] for windows, i in zip(along, o))))
        y[(n, *o, c)], shares[n, o, c] = pick([x[(n, *place, c)] for place in places])
        shares[n, o, c] = list(zip(places, shares[n, o, c]))

    def gradient(dy):
        dx = np.zeros(x.shape)
        for (n, o, c), found in shares.items():
            for place, share in found:
                dx[(n, *place, c)] += share * dy[(n, *o, c)]
        return dx

    return y, gradient


def largest(pixels):
    """The first of the largest ones has all."""
    best = max(range(len(pixels)), key=lambda i: (pixels[i], -i))
    return pixels[best], [float(i == best) for i in range(len(pixels))]


def largest_shared(pixels):
    """Equal ones share."""
    equal = [float(p == max(pixels)) for p in pixels]
    return max(pixels), [e / sum(equal) for e in equal]


def mean(pixels):
    return sum(pixels) / len(pixels), [1 / len(pixels)] * len(pixels)
