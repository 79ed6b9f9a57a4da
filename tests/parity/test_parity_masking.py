"""Networks with `Masking` give Keras's numbers: weights, losses, metrics, predictions, and the same warnings.

Keras on JAX forgets the mask between the gradient and the metrics of a training step (on PyTorch it does not), so the
metrics compared are those of validation and `evaluate`. It takes weights of shape (n,) for steps only as (n, 1).
"""

import json
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest

import fastnet

from . import test_keras as dense

keras = dense.keras
pytestmark = dense.pytestmark

ROWS, VALIDATION, BATCH, EPOCHS, CLASSES = 21, 11, 8, 3, 4
STEPS, FEATURES = 5, 3


@dataclass(frozen=True)
class Case:
    """A network: `layers(library)` after Input(shape); what is fitted; how many layers drop the mask."""

    layers: object
    loss: object = "mse"
    weights: object = None  # their shape, from that of the predictions
    metrics: tuple = ("mae",)
    weighted: tuple = ("mse",)
    shape: tuple = (STEPS, FEATURES)
    labels: bool = False
    mask_value: float = 0.0
    compiled: dict = field(default_factory=dict)
    drops: int = 0
    blank: tuple = (0, 0)  # further rows that are left out whole: from, to


def dense_net(*between, units=2, mask_value=0.0):
    """Masking, Dense(6), what stands between, Dense."""
    return lambda K: [
        K.layers.Masking(mask_value),
        K.layers.Dense(6, activation="tanh"),
        *[make(K) for make in between],
        K.layers.Dense(units),
    ]


def layer(name, *arguments, **named):
    return lambda K: getattr(K.layers, name)(*arguments, **named)


def loss(name, **named):
    return lambda K: getattr(K.losses, name)(**named)


def damped(x):
    return x / (1 + x * x)


def every(shape):
    return shape[:-1]


def rows(shape):
    return shape[:1]


SPARSE = {"from_logits": True}
REDUCTIONS = ("sum", "mean", "sum_over_batch_size", "mean_with_sample_weight")
CASES = {
    "dense": Case(dense_net()),
    "no metrics": Case(dense_net(), metrics=(), weighted=()),
    "weights of rows": Case(dense_net(), weights=rows),
    "weights of steps": Case(dense_net(), weights=every),
    "rows that are blank": Case(dense_net(), blank=(2, 5)),
    "a batch that is blank": Case(dense_net(), blank=(0, BATCH), weights=every),
    "everything is blank": Case(dense_net(), blank=(0, ROWS)),
    **{f"reduction {r}": Case(dense_net(), loss("MeanAbsoluteError", reduction=r)) for r in REDUCTIONS},
    **{
        f"reduction {r}, weights": Case(dense_net(), loss("LogCosh", reduction=r), weights=every) for r in REDUCTIONS
    },
    "loss_weights": Case(dense_net(), compiled={"loss_weights": [0.3]}, weights=rows),
    "mask_value": Case(dense_net(mask_value=-1.5), mask_value=-1.5),
    "a row is a step": Case(dense_net(), shape=(FEATURES,), weights=every),
    "one step of one feature": Case(dense_net(), shape=(1, 1), weights=every),
    "rank 4": Case(dense_net(), shape=(2, 3, FEATURES), weights=every),
    "labels": Case(
        dense_net(units=CLASSES), loss("SparseCategoricalCrossentropy", **SPARSE), labels=True, weights=every,
        metrics=("accuracy", "sparse_top_k_categorical_accuracy"), weighted=("accuracy",),
    ),
    "ignore_class": Case(
        dense_net(units=CLASSES), loss("SparseCategoricalCrossentropy", ignore_class=1, **SPARSE), labels=True,
        metrics=(lambda K: K.metrics.SparseCategoricalCrossentropy(ignore_class=1, **SPARSE),), weighted=("accuracy",),
    ),
    "ignore_class, weights": Case(
        dense_net(units=CLASSES), loss("SparseCategoricalCrossentropy", ignore_class=1, **SPARSE), labels=True,
        weights=every, metrics=(),
        weighted=(lambda K: K.metrics.SparseCategoricalCrossentropy(ignore_class=1, **SPARSE),),
    ),
    "metrics that know no mask": Case(
        dense_net(lambda K: K.layers.Activation("sigmoid")), weights=every,
        metrics=(lambda K: K.metrics.RootMeanSquaredError(), lambda K: K.metrics.CosineSimilarity()),
        weighted=(lambda K: K.metrics.RootMeanSquaredError(name="weighted"),),
    ),
    "layers that pass it on": Case(
        dense_net(
            layer("Activation", "softmax"), layer("PReLU", "ones"), layer("ELU"), layer("Dropout", 0.0),
            layer("GaussianNoise", 0.0), layer("ActivityRegularization", 0.01, 0.02), layer("Identity"),
            layer("Rescaling", 2.0, 0.1), layer("Normalization", mean=[0.1] * 6, variance=[0.5] * 6),
            layer("GroupNormalization", 3), layer("LayerNormalization"), layer("UnitNormalization"),
        ),
        weights=every,
    ),
    "BatchNormalization": Case(dense_net(layer("BatchNormalization"), layer("Dense", 3)), weights=every),
    "BatchNormalization first": Case(
        lambda K: [K.layers.Masking(), K.layers.BatchNormalization(momentum=0.7), K.layers.Dense(2)]
    ),
    "BatchNormalization of rows": Case(dense_net(layer("BatchNormalization")), shape=(FEATURES,)),
    "BatchNormalization, frozen": Case(dense_net(layer("BatchNormalization", trainable=False))),
    "BatchNormalization of nothing": Case(dense_net(layer("BatchNormalization")), blank=(0, ROWS)),
    "BatchNormalization, then all steps count": Case(
        dense_net(layer("BatchNormalization"), layer("RMSNormalization")), drops=1
    ),
    "RMSNormalization": Case(dense_net(layer("RMSNormalization")), drops=1),
    "Lambda": Case(dense_net(lambda K: K.layers.Lambda(damped)), drops=1),
    "Flatten": Case(dense_net(layer("Flatten")), drops=1),
    "Masking inside": Case(
        lambda K: [K.layers.Dense(4, activation="relu"), K.layers.Masking(), K.layers.Dense(2)], weights=every
    ),
    "Masking twice": Case(dense_net(layer("ReLU"), layer("Masking", 0.25), layer("Masking"))),
    "Masking in a network": Case(
        lambda K: [K.Sequential([K.layers.Masking(), K.layers.Dense(4)]), K.layers.Dense(2)], weights=every
    ),
}  # fmt: skip


SINGLE = [(name, "float32") for name in ("dense", "weights of steps", "labels", "BatchNormalization", "mask_value")]


def data(case, count, rng):
    """x with steps that are left out, y, weights."""
    x = rng.normal(size=(count, *case.shape))
    x[rng.random(x.shape[:-1]) < 0.3] = case.mask_value
    x[-2] = case.mask_value
    x[0, ..., 0] = case.mask_value  # one feature alone leaves nothing out
    x[slice(*case.blank)] = case.mask_value
    shape = build(fastnet, case).compute_output_shape((count, *case.shape))
    y = rng.integers(0, CLASSES, shape[:-1]) if case.labels else rng.normal(size=shape)
    return x, y, None if case.weights is None else rng.uniform(0.2, 2.0, case.weights(shape))


def build(lib, case):
    model = lib.Sequential([lib.layers.Input(case.shape), *case.layers(lib)])

    def made(given):
        return [item(lib) if callable(item) else item for item in given]

    model.compile(
        lib.optimizers.SGD(0.1), made([case.loss])[0], metrics=made(case.metrics),
        weighted_metrics=made(case.weighted), **case.compiled,
    )  # fmt: skip
    return model


def train(lib, case, weights, training, validation):
    """What is seen of a training, and how many warnings said that a mask was dropped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = build(lib, case)
        model.set_weights(weights)

        def given(x, y, w):
            if w is not None and lib is keras and case.weights is rows:
                w = w.reshape(-1, *[1] * (len(case.shape) - 1))
            return x, y, w

        x, y, w = given(*training)
        fitted = model.fit(
            x, y, sample_weight=w, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0,
            validation_data=given(*validation),
        ).history  # fmt: skip
        seen = {key: np.array(values) for key, values in fitted.items() if key.startswith(("loss", "val"))}
        seen |= {f"weights {k}": np.asarray(v) for k, v in enumerate(model.get_weights())}
        seen["predict"] = np.asarray(model.predict(x, batch_size=BATCH, verbose=0))
        x, y, w = given(*validation)
        scores = model.evaluate(x, y, BATCH, 0, w, return_dict=True)
        seen |= {f"evaluate {key}": np.array(value) for key, value in scores.items()}
    return seen, {str(w.message).split("'")[1].split("_")[0] for w in caught if "support masking" in str(w.message)}


@pytest.mark.parametrize(("name", "floatx"), [*((name, "float64") for name in CASES), *SINGLE], indirect=["floatx"])
def test_same_as_keras(name, floatx):
    case, rng = CASES[name], np.random.default_rng(len(name))
    training, validation = (
        [v.astype(floatx) if v is not None and v.dtype.kind == "f" else v for v in data(case, count, rng)]
        for count in (ROWS, VALIDATION)
    )
    weights = dense.random_weights([w.shape for w in build(fastnet, case).get_weights()], rng, floatx)
    expected, theirs = train(keras, case, weights, training, validation)
    got, ours = train(fastnet, case, weights, training, validation)
    assert sorted(got) == sorted(expected)
    assert len(ours) == case.drops and ours <= theirs
    for key, want in expected.items():
        tolerance = dense.TOLERANCE[floatx] * max(np.abs(want).max(), 1e-3)
        np.testing.assert_allclose(got[key], want, rtol=0, atol=tolerance, err_msg=key)


def test_a_description_of_keras_is_read():
    theirs = build(keras, CASES["mask_value"])
    ours = fastnet.Sequential.from_config(json.loads(theirs.to_json())["config"])
    ours.set_weights(theirs.get_weights())
    x, _, _ = data(CASES["mask_value"], 5, np.random.default_rng(0))
    np.testing.assert_allclose(ours.predict(x, verbose=0), np.asarray(theirs(x)), rtol=2e-5, atol=2e-6)


ARGUMENTS = {
    "Activation": ("relu",), "Dense": (2,), "Dropout": (0.5,), "AlphaDropout": (0.5,), "GaussianDropout": (0.5,),
    "GaussianNoise": (0.5,), "InputLayer": ((3,),), "Lambda": (damped,), "Permute": ((1,),), "RepeatVector": (2,),
    "Rescaling": (0.5,), "Reshape": ((3,),), "CategoryEncoding": (3,), "GroupNormalization": (1,),
    "EinsumDense": ("ab,bc->ac", 2), "RandomBrightness": (0.1,), "RandomContrast": (0.1,), "RandomCrop": (2, 2),
    "Resizing": (2, 2), "CenterCrop": (2, 2), "RandomRotation": (0.1,), "RandomShear": (0.1,),
    "RandomTranslation": (0.1, 0.1), "RandomZoom": (0.1,),
}  # fmt: skip
#: beginnings of names → arguments of these layers, for each number of axes
OF_IMAGES = {
    "Conv": (2, 1), "SeparableConv": (2, 1), "DepthwiseConv": (1,), "MaxPool": (2,), "AveragePool": (2,),
    "AvgPool": (2,), "Adaptive": (1,), "SpatialDropout": (0.5,),
}  # fmt: skip


def arguments_of(name):
    has_axes = name.removesuffix("Transpose").endswith(("1D", "2D", "3D"))
    found = [arguments for start, arguments in OF_IMAGES.items() if has_axes and name.startswith(start)]
    return found[0] if found else ARGUMENTS.get(name, ())


OURS = {"Layer", "Parallel", "Residual"}  # in Keras, merges of a functional model; tests/test_composites*.py masks them
LAYERS = {name for name, cls in vars(fastnet.layers).items() if hasattr(cls, "sample_output_shape")} - OURS


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_the_same_layers_pass_a_mask_on(name):
    wraps = name in ("SpectralNormalization", "Wrapper")
    inside = {lib: (lib.layers.Dense(2),) if wraps else arguments_of(name) for lib in (fastnet, keras)}
    ours, theirs = (getattr(lib.layers, name)(*arguments) for lib, arguments in inside.items())
    assert ours.supports_masking == theirs.supports_masking
