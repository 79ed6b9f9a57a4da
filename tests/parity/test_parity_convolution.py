"""Convolutions give Keras's numbers: results, and weights after three epochs; every option."""

import json

import numpy as np
import pytest

import fastnet

from . import test_keras as dense
from .test_parity_layers import first

keras = dense.keras
pytestmark = dense.pytestmark

OF_KERNELS = {
    "kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2",
    "kernel_constraint": "max_norm", "bias_constraint": "non_neg",
}  # fmt: skip
OF_DEPTHWISE = {name.replace("kernel", "depthwise"): value for name, value in OF_KERNELS.items()}
OF_SEPARABLE = OF_DEPTHWISE | {"pointwise_regularizer": "l1", "pointwise_constraint": "unit_norm"}

CASES = {  # (layer, its arguments, shape of a sample)
    "Conv1D": ("Conv1D", dict(filters=3, kernel_size=3, activation="relu"), (7, 2)),
    "Conv1D, same": ("Conv1D", dict(filters=3, kernel_size=4, strides=2, padding="same"), (7, 2)),
    "Conv1D, causal": ("Conv1D", dict(filters=3, kernel_size=3, padding="causal", dilation_rate=2), (7, 2)),
    "Conv1D, causal, strided": ("Conv1D", dict(filters=2, kernel_size=3, strides=2, padding="CAUSAL"), (7, 2)),
    "Conv1D, groups": ("Conv1D", dict(filters=4, kernel_size=2, groups=2, use_bias=False), (5, 6)),
    "Conv2D": ("Conv2D", dict(filters=3, kernel_size=3, activation="tanh"), (5, 6, 2)),
    "Conv2D, same": ("Conv2D", dict(filters=3, kernel_size=(2, 3), padding="same", activation="relu"), (5, 6, 2)),
    "Conv2D, strided": ("Conv2D", dict(filters=3, kernel_size=3, strides=(2, 3), padding="same"), (5, 7, 2)),
    "Conv2D, strides larger than the kernel": ("Conv2D", dict(filters=3, kernel_size=2, strides=3), (8, 7, 2)),
    "Conv2D, dilated": ("Conv2D", dict(filters=3, kernel_size=3, dilation_rate=(2, 1), padding="same"), (5, 6, 2)),
    "Conv2D, groups of one channel": ("Conv2D", dict(filters=6, kernel_size=2, groups=3, strides=2), (5, 6, 3)),
    "Conv2D, 1×1": ("Conv2D", dict(filters=5, kernel_size=1, activation="gelu"), (3, 4, 3)),
    "Conv2D, 1×1, strided": ("Conv2D", dict(filters=5, kernel_size=1, strides=2), (3, 4, 3)),
    "Conv2D, kernel as large as the image": ("Conv2D", dict(filters=5, kernel_size=(3, 4)), (3, 4, 3)),
    "Conv2D, kernel larger than the image": ("Conv2D", dict(filters=2, kernel_size=5, padding="same"), (2, 3, 2)),
    "Conv2D, one pixel": ("Conv2D", dict(filters=2, kernel_size=3, padding="same"), (1, 1, 3)),
    "Conv2D, weights": ("Conv2D", dict(filters=3, kernel_size=2, **OF_KERNELS), (4, 4, 2)),
    "Conv2D, many channels": ("Conv2D", dict(filters=32, kernel_size=3, padding="same"), (5, 6, 32)),
    "Conv3D": ("Conv3D", dict(filters=2, kernel_size=2, activation="relu"), (3, 4, 3, 2)),
    "Conv3D, strided": (
        "Conv3D", dict(filters=2, kernel_size=(1, 2, 3), strides=(1, 2, 1), padding="same"), (3, 4, 3, 2)
    ),
    "Conv1DTranspose": ("Conv1DTranspose", dict(filters=3, kernel_size=3, strides=2), (4, 2)),
    "Conv1DTranspose, plain": ("Conv1DTranspose", dict(filters=3, kernel_size=2, strides=2, use_bias=False), (4, 2)),
    "Conv2DTranspose": ("Conv2DTranspose", dict(filters=3, kernel_size=3, activation="relu"), (3, 4, 2)),
    "Conv2DTranspose, same": ("Conv2DTranspose", dict(filters=3, kernel_size=3, strides=2, padding="same"), (3, 4, 2)),
    "Conv2DTranspose, even": ("Conv2DTranspose", dict(filters=3, kernel_size=4, strides=2, padding="same"), (3, 4, 2)),
    "Conv2DTranspose, output_padding": (
        "Conv2DTranspose", dict(filters=3, kernel_size=3, strides=(2, 3), output_padding=(1, 2)), (3, 4, 2)
    ),
    "Conv2DTranspose, output_padding, same": (
        "Conv2DTranspose",
        dict(filters=3, kernel_size=(3, 2), strides=3, output_padding=1, padding="same", activation="relu"), (3, 4, 2),
    ),
    "Conv2DTranspose, strides larger than the kernel": (
        "Conv2DTranspose", dict(filters=3, kernel_size=2, strides=3, activation="relu"), (3, 4, 2)
    ),
    "Conv2DTranspose, dilated": (
        "Conv2DTranspose", dict(filters=3, kernel_size=3, dilation_rate=2, padding="same"), (3, 4, 2)
    ),
    "Conv2DTranspose, weights": ("Conv2DTranspose", dict(filters=3, kernel_size=2, **OF_KERNELS), (4, 4, 2)),
    "Conv3DTranspose": ("Conv3DTranspose", dict(filters=2, kernel_size=2, strides=(1, 2, 1)), (2, 3, 2, 2)),
    "DepthwiseConv1D": ("DepthwiseConv1D", dict(kernel_size=3, activation="relu"), (7, 3)),
    "DepthwiseConv1D, strided": (
        "DepthwiseConv1D", dict(kernel_size=3, strides=2, padding="same", depth_multiplier=2), (7, 3)
    ),
    "DepthwiseConv2D": ("DepthwiseConv2D", dict(kernel_size=3, padding="same"), (5, 9, 16)),
    "DepthwiseConv2D, multiplied": (
        "DepthwiseConv2D", dict(kernel_size=(2, 3), depth_multiplier=3, activation="tanh"), (5, 6, 2)
    ),
    "DepthwiseConv2D, strided": (
        "DepthwiseConv2D", dict(kernel_size=3, strides=2, padding="same", use_bias=False), (5, 6, 2)
    ),
    "DepthwiseConv2D, dilated": ("DepthwiseConv2D", dict(kernel_size=2, dilation_rate=(2, 3)), (5, 6, 2)),
    "DepthwiseConv2D, weights": ("DepthwiseConv2D", dict(kernel_size=2, **OF_DEPTHWISE), (4, 4, 2)),
    "SeparableConv1D": ("SeparableConv1D", dict(filters=4, kernel_size=3, strides=2), (7, 3)),
    "SeparableConv2D": (
        "SeparableConv2D", dict(filters=4, kernel_size=3, padding="same", activation="relu"), (5, 6, 3)
    ),
    "SeparableConv2D, multiplied": (
        "SeparableConv2D", dict(filters=4, kernel_size=3, depth_multiplier=2, dilation_rate=2), (5, 6, 3)
    ),
    "SeparableConv2D, weights": ("SeparableConv2D", dict(filters=3, kernel_size=2, **OF_SEPARABLE), (4, 4, 2)),
}  # fmt: skip


def case(name):
    cls, arguments, shape = CASES[name]
    rate = 0.002 if np.prod(shape) < 200 else 1e-5  # the largest kernel makes the loss grow
    make = first(lambda K: getattr(K.layers, cls)(**arguments), shape, optimizer=dense.optimizer("SGD", rate))
    return make(name)


@pytest.mark.parametrize("floatx", ["float64", pytest.param("float32", marks=pytest.mark.thorough)], indirect=True)
@pytest.mark.parametrize("name", CASES)
def test_same_as_keras(name, floatx):
    dense.compare(case(name), floatx)


@pytest.mark.parametrize("floatx", ["float32"], indirect=True)
@pytest.mark.parametrize("name", [name for name in CASES if "weights" in name or "output_padding" in name])
def test_a_description_of_keras_is_read(name, floatx):
    theirs = dense.build(keras, case(name))
    ours = fastnet.Sequential.from_config(json.loads(theirs.to_json())["config"])
    ours.set_weights(theirs.get_weights())
    x = dense.inputs(case(name), 5, np.random.default_rng(0))
    np.testing.assert_allclose(ours.predict(x, verbose=0), np.asarray(theirs(x)), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
def test_every_geometry_of_a_transposed_convolution(floatx):
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    for taps in (1, 2, 3, 5):
        for strides, dilation in ((1, 1), (2, 1), (3, 1), (1, 2)):
            for padding in ("valid", "same"):
                for more in (None, *range(strides)):
                    given = dict(strides=strides, padding=padding, output_padding=more, dilation_rate=dilation)
                    theirs = keras.layers.Conv1DTranspose(2, taps, **given)
                    wanted = np.asarray(theirs(x))
                    ours = fastnet.layers.Conv1DTranspose(2, taps, **given)
                    ours.build(x.shape)
                    ours.set_weights(theirs.get_weights())
                    np.testing.assert_allclose(ours(x), wanted, rtol=0, atol=1e-12, err_msg=f"{taps} {given}")


@pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"])
def test_initial_values_spread_as_those_of_keras(name):
    arguments = {"kernel_size": 5} | ({} if name.startswith("Depth") else {"filters": 48})
    made = []
    for lib in (fastnet, keras):
        layer = getattr(lib.layers, name)(**arguments)
        layer.build((None, 8, 8, 32))
        made.append([np.asarray(w) for w in layer.get_weights()])
    for ours, theirs in zip(*made, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.02)
