"""Convolutions of any rank in float64, tap by tap."""

import itertools

import numpy as np


def geometry(size, taps, stride, dilation, padding):
    """(positions, pixels in front, pixels behind) of a window along an axis, as Keras has them."""
    extent = (taps - 1) * dilation + 1
    if padding == "valid":
        return (size - extent) // stride + 1, 0, 0
    if padding == "causal":
        return -(-size // stride), extent - 1, 0
    positions = -(-size // stride)
    missing = max((positions - 1) * stride + extent - size, 0)
    return positions, missing // 2, missing - missing // 2


def taps_of(x, taps, strides, dilations, padding):
    """For each tap of a window its numbers and the pixels that it reads (n, positions..., channels)."""
    axes = [geometry(*each, padding) for each in zip(x.shape[1:-1], taps, strides, dilations)]
    padded = np.pad(x, [(0, 0), *((before, behind) for _, before, behind in axes), (0, 0)])
    for tap in itertools.product(*map(range, taps)):
        parts = []
        for t, stride, dilation, (positions, _, _) in zip(tap, strides, dilations, axes):
            parts.append(slice(t * dilation, t * dilation + (positions - 1) * stride + 1, stride))
        yield tap, padded[(slice(None), *parts)]


def convolution(x, kernel, strides, padding, dilations, groups=1):
    """y (n, positions..., filters) of x (n, pixels..., channels)."""
    x, kernel = x.astype(np.float64), kernel.astype(np.float64)
    channels, filters = kernel.shape[-2], kernel.shape[-1] // groups
    total = 0
    for tap, pixels in taps_of(x, kernel.shape[:-2], strides, dilations, padding):
        total = total + np.concatenate(
            [
                pixels[..., g * channels : (g + 1) * channels] @ kernel[tap][:, g * filters : (g + 1) * filters]
                for g in range(groups)
            ],
            axis=-1,
        )
    return total


def depthwise(x, kernel, strides, padding, dilations):
    """y (n, positions..., channels · multiplier)."""
    x, kernel = x.astype(np.float64), kernel.astype(np.float64)
    total = 0
    for tap, pixels in taps_of(x, kernel.shape[:-2], strides, dilations, padding):
        total = total + pixels[..., None] * kernel[tap]
    return total.reshape(*total.shape[:-2], -1)


def patches(x, taps, strides, padding, dilations):
    """The patch matrix (n, positions..., taps · channels)."""
    return np.concatenate([pixels for _, pixels in taps_of(x, taps, strides, dilations, padding)], axis=-1)


def transposed(x, kernel, strides, padding, dilations):
    """The result for x (n, pixels..., channels) and a kernel (taps..., filters, channels): each pixel is scattered.

    It is the gradient of a convolution from images of the result's size: with "same" that of pixels · strides.
    """
    x, kernel = x.astype(np.float64), kernel.astype(np.float64)
    pixels, taps = x.shape[1:-1], kernel.shape[:-2]
    extents = [(t - 1) * d + 1 for t, d in zip(taps, dilations)]
    sizes = [n * s if padding == "same" else (n - 1) * s + max(e, s) for n, s, e in zip(pixels, strides, extents)]
    axes = [geometry(*each, padding) for each in zip(sizes, taps, strides, dilations)]
    whole = [max((n - 1) * s + e, size + a[1]) for n, s, e, size, a in zip(pixels, strides, extents, sizes, axes)]
    y = np.zeros((len(x), *whole, kernel.shape[-2]))
    for tap in itertools.product(*map(range, taps)):
        places = [slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilations, pixels, strides)]
        y[(slice(None), *places)] += x @ kernel[tap].T
    inside = [slice(before, before + size) for size, (_, before, _) in zip(sizes, axes)]
    return y[(slice(None), *inside)]
