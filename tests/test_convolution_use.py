"""Convolutions as people use and misuse them: errors, masks, unknown sizes, descriptions, training."""

import inspect
import re
import warnings

import numpy as np
import pytest

import fastnet
from fastnet import layers

L = layers
FIRST = "Their channels seem to come first, and must come last: put Permute((2, 3, 1)) in front."

ERRORS = {  # what is done, and what the error says behind the layer's name
    "filters": (lambda: L.Conv2D(0, 3), "filters must be an integer of at least 1, received 0"),
    "kernel_size": (lambda: L.Conv2D(4, (3, 3, 3)), "or 2 of them, one for each axis; received (3, 3, 3)"),
    "kernel_size of steps": (lambda: L.Conv1D(4, "3"), "kernel_size must be an integer of at least 1; received '3'"),
    "a kernel of no pixels": (lambda: L.Conv2D(4, (3, 0)), "kernel_size must be an integer of at least 1, or"),
    "strides": (lambda: L.Conv2D(4, 3, strides=0), "strides must be an integer of at least 1, or .* received 0"),
    "padding": (lambda: L.Conv2D(4, 3, padding="full"), "padding must be 'valid' or 'same', received 'full'"),
    "causal images": (lambda: L.Conv2D(4, 3, padding="causal"), "padding must be 'valid' or 'same', received 'causal'"),
    "strides and dilation": (
        lambda: L.Conv2D(4, 3, strides=2, dilation_rate=3),
        "strides and dilation_rate above 1 together are not supported, received strides=(2, 2), dilation_rate=(3, 3); "
        "take one of them",
    ),
    "transposed strides and dilation": (
        lambda: L.Conv1DTranspose(4, 3, strides=2, dilation_rate=3),
        "strides and dilation_rate above 1 together are not supported",
    ),
    "groups and filters": (
        lambda: L.Conv2D(4, 3, groups=3), "filters must be a multiple of groups, received filters=4, groups=3"
    ),
    "groups and channels": (
        lambda: L.Conv2D(4, 3, groups=2).build((None, 8, 8, 5)),
        "the channels of its samples must be a multiple of groups=2, received samples of shape (8, 8, 5).",
    ),
    "too small": (
        lambda: L.Conv2D(4, (3, 5)).build((None, 8, 4, 1)),
        "a window of 3×5 pixels does not fit into images of 8×4; take a smaller one, or padding='same'.",
    ),
    "too small for a dilated window": (
        lambda: L.DepthwiseConv1D(3, dilation_rate=3).build((None, 6, 2)),
        "a window of 7 steps does not fit into samples of 6",
    ),
    "rank": (
        lambda: L.Conv2D(4, 3).build((None, 8, 8)),
        "takes samples of shape (height, width, channels); received (8, 8). layers.Reshape((8, 8, 1)) in front makes "
        "them images of one channel.",
    ),
    "rank of steps": (
        lambda: L.SeparableConv1D(4, 3).build((None, 8, 8, 3)),
        "takes samples of shape (steps, features); received (8, 8, 3)",
    ),
    "rank of vectors": (
        lambda: L.MaxPooling2D().build((None, 784)),
        "takes samples of shape (height, width, channels); received (784,). layers.Reshape in front gives them these 3",
    ),
    "no pixels": (
        lambda: L.Conv2D(4, 3, padding="same")(np.zeros((2, 0, 8, 1))),
        "takes samples of at least one element along each axis, (height, width, channels); received (0, 8, 1).",
    ),
    "no channels": (lambda: L.Resizing(2, 2)(np.zeros((2, 8, 8, 0))), "of at least one element .* received (8, 8, 0)"),
    "rank of volumes": (
        lambda: L.Conv3DTranspose(4, 3).build((None, 8, 3)),
        "takes samples of shape (depth, height, width, channels); received (8, 3)",
    ),
    "channels first": (
        lambda: L.Conv2D(4, 3, data_format="channels_first"),
        "data_format='channels_first' is not supported: .* layers.Permute((2, 3, 1)) in front",
    ),
    "data_format": (lambda: L.DepthwiseConv2D(3, data_format="first"), "data_format must be"),
    "other channels": (
        lambda: built(L.Conv2D(4, 3), (8, 8, 3))(np.zeros((1, 8, 8, 4))),
        "was built for 3 channels; received samples of shape (8, 8, 4), which have 4.",
    ),
    "other channels, grouped": (
        lambda: built(L.Conv2D(4, 3, groups=2), (8, 8, 4))(np.zeros((1, 8, 8, 8))), "was built for 4 channels"
    ),
    "other channels of a transposed one": (
        lambda: built(L.Conv2DTranspose(4, 3), (8, 8, 3))(np.zeros((1, 8, 8, 4))), "was built for 3 channels"
    ),
    "other channels of a depthwise one": (
        lambda: built(L.DepthwiseConv2D(3, depth_multiplier=2), (8, 8, 3))(np.zeros((1, 8, 8, 6))),
        "was built for 3 channels",
    ),
    "other channels of a separable one": (
        lambda: built(L.SeparableConv2D(4, 3), (8, 8, 3))(np.zeros((1, 8, 8, 4))), "was built for 3 channels"
    ),
    "channels that come first": (
        lambda: built(L.Conv2D(4, 3), (32, 32, 3))(np.zeros((1, 3, 32, 32))), f"was built for 3 channels; .*{FIRST}"
    ),
    "channels that come first, too few lines": (
        lambda: L.Conv2D(4, 5).build((None, 3, 32, 32)), f"does not fit .*{FIRST}"
    ),
    "channels that come first, groups": (
        lambda: L.Conv2D(6, 3, groups=3).build((None, 3, 32, 32)), f"multiple of groups=3.*{FIRST}"
    ),
    "channels that come first, pooled": (
        lambda: L.MaxPooling2D().build((None, 1, 28, 28)), f"windows of (2, 2) do not fit .*{FIRST}"
    ),
    "output_padding": (
        lambda: L.Conv2DTranspose(4, 3, strides=(2, 3), output_padding=2),
        "output_padding must be less than strides along each axis, received output_padding=2, strides=(2, 3)",
    ),
    "a result without pixels": (
        lambda: L.Conv2DTranspose(4, 2, padding="same", strides=2, output_padding=0).build((None, 1, 4, 3)),
        "its result for samples of shape (1, 4, 3) would have no pixels; take a larger output_padding than (0, 0), or",
    ),
    "depth_multiplier": (lambda: L.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier must be an integer of at"),
    "an open size": (
        lambda: fastnet.Sequential([L.Input((None, 8, 3)), L.Conv2D(4, 3), L.Flatten(), L.Dense(1)]), "needs to know"
    ),
    "filters are fixed": (lambda: setattr(built(L.Conv2D(4, 3), (8, 8, 3)), "filters", 5), "filters is 4 and stays so"),
}  # fmt: skip


def built(layer, shape):
    layer.build((None, *shape))
    return layer


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    act, message = ERRORS[name]
    pattern = ".*".join(re.escape(part) for part in message.split(".*"))
    with pytest.raises(ValueError, match=rf"^Layer '\w+' \(\w+\).*{pattern}"):
        act()


def test_every_data_format_is_refused_with_the_remedy():
    """Of each layer that takes one; its other arguments are small numbers."""
    given = {"factor": 0.1, "height_factor": 0.1, "width_factor": 0.1, "rate": 0.1}
    refused = 0
    for cls in {cls for cls in vars(L).values() if isinstance(cls, type) and issubclass(cls, L.Layer)}:
        parameters = inspect.signature(cls).parameters
        if "data_format" not in parameters or cls.__module__ == "fastnet.layers.images":
            continue
        needed = [name for name, p in parameters.items() if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD]
        arguments = {name: given.get(name, 1) for name in needed}
        assert cls(**arguments, data_format="channels_last").get_config()["data_format"] == "channels_last"
        with pytest.raises(ValueError, match=r"'channels_first' is not supported: .* layers\.Permute\(\(2, "):
            cls(**arguments, data_format="channels_first")
        refused += 1
    assert refused > 40


def test_the_default_data_format():
    assert fastnet.config.image_data_format() == "channels_last"
    fastnet.config.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match=r"'channels_first' is not supported: .*np\.moveaxis\(x, 1, -1\)"):
        fastnet.config.set_image_data_format("channels_first")
    with pytest.raises(ValueError, match="data_format must be None or 'channels_last', received 'first'"):
        fastnet.config.set_image_data_format("first")


@pytest.mark.parametrize("shape", [(32, 24, 3), (None, None, 3)])
def test_data_whose_channels_come_first(shape):
    model = fastnet.Sequential([L.Input(shape), L.GlobalAveragePooling2D()])
    with pytest.raises(
        ValueError, match=r"data of shape \(2, 3, 32, 24\)\. Their channels .*: np.moveaxis\(x, 1, -1\)"
    ):
        model.predict(np.zeros((2, 3, 32, 24)), verbose=0)
    with pytest.raises(ValueError, match=r"data of shape \(2, 5, 32, 24\)\.$"):
        model.predict(np.zeros((2, 5, 32, 24)), verbose=0)


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((2, 8, 7), "np.repeat(x[..., None], 3, axis=-1) repeats their one channel."),
        ((2, 8, 7, 1), "np.repeat(x, 3, axis=-1) repeats their one channel."),
        ((2, 8, 7, 4), "x[..., :3] leaves their transparency out."),
        ((8, 7, 3), "For one sample give x[None], of shape (1, 8, 7, 3)."),
        ((2, 8, 7, 5), "received data of shape (2, 8, 7, 5)."),
        ((2, 9, 7, 1), "received data of shape (2, 9, 7, 1)."),
    ],
)
def test_images_of_other_channels(shape, remedy):
    model = fastnet.Sequential([L.Input((8, 7, 3)), L.Conv2D(2, 3)])
    for act in (lambda x: model.predict(x, verbose=0), lambda x: fastnet.models.feature_maps(model, x, 0)):
        with pytest.raises(ValueError, match=rf"^The model .*{re.escape(remedy)}$"):
            act(np.zeros(shape))


def fitted(shape, *stack, declared=None):
    """A network that has been fitted to samples of a shape; warnings about mistakes are errors.

    Args:
        declared: the shape that Input gives; () for a network without Input.
    """
    first = [] if declared == () else [L.Input(declared or shape)]
    model = fastnet.Sequential([*first, *stack, L.GlobalAveragePooling2D(), L.Dense(1)])
    model.compile("sgd", "mse")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Probably a mistake")
        model.fit(np.zeros((2, *shape)), np.zeros(2), verbose=0)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
@pytest.mark.parametrize("declared", [None, (), "open"])
@pytest.mark.parametrize("first", [lambda: L.Conv2D(4, 3, padding="same"), lambda: L.Resizing(4, 4)])
def test_samples_that_look_like_channels_first_are_warned_of(first, declared, shape):
    declared = (None, None, shape[-1]) if declared == "open" else declared
    with pytest.raises(UserWarning, match=rf"mistake: layer .* samples of shape \({shape[0]}, .*{re.escape(FIRST)}"):
        fitted(shape, L.Rescaling(2.0), first(), declared=declared)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_later_layer_that_does_not_fit_tells_of_channels_that_come_first(one_by_one):
    def network(shape, *stack):
        if not one_by_one:
            return fastnet.Sequential([L.Input(shape), *stack])
        model = fastnet.Sequential([L.Input(shape)])
        for layer in stack:
            model.add(layer)
        return model

    told = (
        rf"windows of \(2, 2\) do not fit .* first layer gets samples of shape \(3, 32, 32\)\.{re.escape(' ' + FIRST)}"
    )
    with pytest.raises(ValueError, match=told):
        network((3, 32, 32), L.Rescaling(2.0), L.Conv2D(4, 3), L.MaxPooling2D())
    for stack in ([L.Permute((2, 3, 1))], [L.Conv2D(3, 1, padding="same"), L.Resizing(32, 32)]):
        shape = (3, 32, 32) if len(stack) == 1 else (32, 32, 3)
        with pytest.raises(ValueError, match=r"less before\.$"):
            network(shape, *stack, L.Conv2D(4, 3), L.MaxPooling2D(40))


@pytest.mark.parametrize("shape", [(32, 32, 3), (3, 32, 16), (4, 32, 32), (3, 4, 4), (1, 1, 512)])
def test_other_samples_are_not(shape):
    fitted(shape, L.Conv2D(4, 1))


def test_results_of_layers_are_not():
    fitted((3, 64, 3), L.Conv2D(64, 1), L.Conv2D(4, 1))
    fitted((3, 32, 32), L.Permute((2, 3, 1)), L.Conv2D(4, 1))


def masked(layer):
    """The result of a layer for steps of which the last are left out, and its mask as the loss counts it."""
    model = fastnet.Sequential([L.Input((6, 2)), L.Masking(), layer])
    model.compile("sgd", "mse")
    x = np.ones((3, 6, 2), "float32")
    x[:, 4:] = 0
    y = model.predict(x, verbose=0)
    target = y.copy()
    target[:, -1] += 6.0
    return model.evaluate(x, target, verbose=0)


@pytest.mark.parametrize(
    "layer",
    [L.Conv1D(1, 3, padding="same"), L.SeparableConv1D(1, 3, padding="same"), L.Conv1D(1, 3), L.Conv1DTranspose(1, 2)],
)
def test_masks_are_dropped_as_in_keras(layer):
    with pytest.warns(UserWarning, match="does not support masking and drops the mask") as caught:
        assert masked(layer) > 0
    assert {warning.filename for warning in caught} == {__file__}


def test_images_of_any_size():
    """One set of weights for each size that comes; the result is that of a model for that size."""
    model = fastnet.Sequential(
        [L.Input((None, None, 3)), L.Conv2D(4, 3, 2, activation="relu"), L.Conv2DTranspose(2, 3, 2, padding="same")]
    )
    assert model.output_shape == (None, None, None, 2)
    for size in ((9, 12), (5, 5)):
        x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype("float32")
        fixed = fastnet.Sequential([L.Input((*size, 3)), *fastnet.models.clone_model(model).layers])
        fixed.set_weights(model.get_weights())
        np.testing.assert_array_equal(model.predict(x, verbose=0), fixed.predict(x, verbose=0))


MADE = {
    "Conv1D": lambda: L.Conv1D(4, 3, 2, "causal", activation="relu"),
    "Conv2D": lambda: L.Conv2D(4, (3, 1), groups=2, dilation_rate=(2, 1), use_bias=False, kernel_constraint="max_norm"),
    "Conv3D": lambda: L.Conv3D(4, 2, kernel_regularizer="l2", activity_regularizer="l1"),
    "Conv1DTranspose": lambda: L.Conv1DTranspose(4, 3, 2, output_padding=1),
    "Conv2DTranspose": lambda: L.Conv2DTranspose(4, 3, (2, 3), "same", (1, 2), activation=L.LeakyReLU(0.1)),
    "Conv3DTranspose": lambda: L.Conv3DTranspose(4, 2, dilation_rate=2),
    "DepthwiseConv1D": lambda: L.DepthwiseConv1D(3, depth_multiplier=2, depthwise_regularizer="l2"),
    "DepthwiseConv2D": lambda: L.DepthwiseConv2D(3, (1, 2), depthwise_initializer="he_normal"),
    "SeparableConv1D": lambda: L.SeparableConv1D(4, 3, pointwise_constraint="non_neg"),
    "SeparableConv2D": lambda: L.SeparableConv2D(4, 3, depth_multiplier=2, pointwise_regularizer="l1", trainable=False),
}


@pytest.mark.parametrize("name", MADE)
def test_descriptions_make_the_same_layer(name):
    layer = MADE[name]()
    x = np.random.default_rng(0).standard_normal((2, *(5, 6, 7)[: layer.rank], 4)).astype("float32")
    y = layer(x)
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config() and twin.trainable == layer.trainable
    twin.build((None, *x.shape[1:]))
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x), y)
    assert [w.name for w in twin.weights] == [w.name for w in layer.weights]


def test_a_frozen_layer_passes_gradients_on():
    """The layer in front learns as if the frozen one were a fixed function; the frozen weights keep their bits."""
    for frozen in (L.Conv2D(3, 2), L.SeparableConv2D(3, 2), L.DepthwiseConv2D(2), L.Conv2DTranspose(3, 2)):
        frozen.trainable = False
        first = L.Conv2D(2, 1)
        model = fastnet.Sequential([L.Input((4, 4, 2)), first, frozen, L.Flatten(), L.Dense(1)])
        model.compile("sgd", "mse")
        before = frozen.get_weights(), first.get_weights()
        x = np.random.default_rng(0).standard_normal((5, 4, 4, 2))
        model.fit(x, np.ones(5), verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(before[0], frozen.get_weights()))
        assert not np.array_equal(before[1][0], first.get_weights()[0])


@pytest.mark.slow
def test_a_network_learns_the_digits():
    (x, y), test = fastnet.datasets.digits.load_data()
    model = fastnet.Sequential(
        [
            L.Input((8, 8)),
            L.Reshape((8, 8, 1)),
            L.Rescaling(1 / 16),
            L.Conv2D(16, 3, activation="relu"),
            L.SeparableConv2D(32, 3, strides=2, padding="same", activation="relu"),
            L.Flatten(),
            L.Dense(10),
        ],
        seed=0,
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fastnet.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=15, verbose=0)
    assert model.evaluate(*test, verbose=0)[1] > 0.95
