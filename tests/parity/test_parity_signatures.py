"""Every public name takes Keras's arguments with Keras's defaults, in Keras's order."""

import inspect

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")


def public(module):
    """What both libraries have in a module."""
    ours, theirs = (vars(getattr(lib, module)) for lib in (fastnet, keras))
    return [name for name, item in theirs.items() if callable(item) and name in ours]


NAMES = [
    *[f"layers.{n}" for n in ("Activation", "BatchNormalization", "Dense", "Dropout", "Flatten", "ReLU", "Reshape")],
    *[f"layers.{n}" for n in ("Rescaling", "Softmax", "LeakyReLU", "ELU", "PReLU", "Permute", "RepeatVector")],
    *[f"layers.{n}" for n in ("Lambda", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization")],
    *[f"layers.{n}" for n in ("LayerNormalization", "RMSNormalization", "UnitNormalization", "Normalization")],
    *[f"layers.Random{n}" for n in ("Flip", "Translation", "Rotation", "Zoom", "Shear", "Crop")],
    *[f"layers.Random{n}" for n in ("Contrast", "Brightness", "GaussianBlur")],
    *[f"layers.{n}" for n in ("GroupNormalization", "CategoryEncoding", "Masking")],
    *[f"layers.Conv{n}D{end}" for n in (1, 2, 3) for end in ("", "Transpose")],
    *[f"layers.{kind}Conv{n}D" for n in (1, 2) for kind in ("Depthwise", "Separable")],
    *[f"layers.{n}" for n in ("InputLayer", "Input", "Layer", "CenterCrop", "Resizing")],
    *[f"layers.{kind}{n}D" for kind in ("MaxPooling", "AveragePooling", "GlobalMaxPooling") for n in (1, 2, 3)],
    *[f"layers.{kind}{n}D" for kind in ("GlobalAveragePooling", "ZeroPadding", "Cropping") for n in (1, 2, 3)],
    *[f"layers.{kind}{n}D" for kind in ("AdaptiveMaxPooling", "AdaptiveAveragePooling") for n in (1, 2, 3)],
    *[f"layers.{kind}{n}D" for kind in ("UpSampling", "SpatialDropout") for n in (1, 2, 3)],
    *[f"regularizers.{n}" for n in ("L1", "L2", "L1L2", "OrthogonalRegularizer")],
    *[f"constraints.{n}" for n in ("MaxNorm", "MinMaxNorm", "UnitNorm")],
    *[f"initializers.{n}" for n in ("LecunUniform", "LecunNormal", "Orthogonal", "Identity", "TruncatedNormal")],
    "initializers.VarianceScaling",
    *[f"activations.{n}" for n in ("relu", "gelu", "serialize", "deserialize", "get")],
    *[f"{n}.deserialize" for n in ("layers", "initializers", "regularizers", "constraints")],
    *[f"optimizers.{n}" for n in ("SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta", "Ftrl")],
    *[f"optimizers.{n}" for n in ("Lion", "Lamb", "Adafactor", "Muon", "ScheduleFreeAdamW")],
    *[f"optimizers.{n}" for n in ("deserialize", "schedules.deserialize", "schedules.serialize")],
    *[f"optimizers.schedules.{n}" for n in ("CosineDecay", "CosineDecayRestarts", "ExponentialDecay")],
    *[f"optimizers.schedules.{n}" for n in ("InverseTimeDecay", "PiecewiseConstantDecay", "PolynomialDecay")],
    *[f"losses.{n}" for n in public("losses")],
    *[f"metrics.{n}" for n in public("metrics")],
    *[f"initializers.{n}" for n in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "Constant")],
    *[f"initializers.{n}" for n in ("RandomNormal", "RandomUniform")],
    *[f"Sequential.{n}" for n in ("compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch")],
    *[f"Sequential.{n}" for n in ("predict_on_batch", "summary", "set_weights", "pop", "save_weights")],
    *[f"Sequential.{n}" for n in ("add", "build", "get_layer", "get_weights", "load_weights", "save", "count_params")],
    *[f"Sequential.{n}" for n in ("get_config", "from_config", "compile_from_config", "get_compile_config")],
    *[f"utils.{n}" for n in ("set_random_seed", "to_categorical", "normalize", "pad_sequences", "clear_session")],
    *[f"utils.{n}" for n in ("pack_x_y_sample_weight", "unpack_x_y_sample_weight", "split_dataset", "Progbar")],
    *[f"utils.{n}" for n in ("image_dataset_from_directory", "load_img", "img_to_array", "array_to_img", "save_img")],
    "layers.SpectralNormalization",
    "utils.plot_model",
    *[f"utils.{n}" for n in ("PyDataset", "timeseries_dataset_from_array", "Progbar.update", "Progbar.add")],
]

# Functions that take the default of their class, where Keras's have none.
MORE_DEFAULTS = {"losses.categorical_generalized_cross_entropy", "metrics.categorical_generalized_cross_entropy"}

# Of these every argument of Keras's is there.
WHOLE = [
    *[f"Sequential.{n}" for n in ("compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch")],
    *[f"Sequential.{n}" for n in ("predict_on_batch", "add", "pop", "get_layer", "set_weights")],
    *[name for name in NAMES if name.startswith("utils.")],
]


def arguments(lib, name):
    """{argument: default} without self, *args, **kwargs."""
    target = lib
    for part in name.split("."):
        target = getattr(target, part)
    parameters = inspect.signature(target).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default for p in parameters if p.kind not in variadic and p.name != "self"}


def same(a, b):
    if isinstance(b, tuple) and not isinstance(a, tuple):  # of a number for each axis; here one stands for all
        b = b[0] if len(set(b)) == 1 else b
    return a == b and (isinstance(a, bool) == isinstance(b, bool))


@pytest.mark.parametrize("name", NAMES)
def test_defaults(name):
    """An argument both have has one default; fastnet's come in Keras's order, ahead of any of its own."""
    ours, theirs = arguments(fastnet, name), arguments(keras, name)
    shared = [argument for argument in theirs if argument in ours]
    assert shared or not theirs, f"{name} shares no argument with Keras: {list(ours)}"
    given = [a for a in shared if theirs[a] is not inspect.Parameter.empty or name not in MORE_DEFAULTS]
    different = {a: (ours[a], theirs[a]) for a in given if not same(ours[a], theirs[a])}
    assert not different, f"{name}: (fastnet, Keras) defaults differ: {different}"
    assert list(ours)[: len(shared)] == shared


@pytest.mark.parametrize("name", WHOLE)
def test_no_argument_is_missing(name):
    missing = set(arguments(keras, name)) - set(arguments(fastnet, name))
    assert not missing


@pytest.mark.parametrize("validation", [None, "data", "split"])
def test_log_keys_as_callbacks_see_them(validation):
    """`on_epoch_end`, `on_train_batch_end`, History and dictionaries of results carry Keras's keys in Keras's order."""
    x, y = np.ones((10, 3), "float32"), np.arange(10)[:, None] % 2
    options = {"data": {"validation_data": (x, y)}, "split": {"validation_split": 0.3}}.get(validation, {})
    seen = []
    for lib in (keras, fastnet):
        keys = []

        class Watch(lib.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None, keys=keys):
                keys.append(("batch", batch, list(logs)))

            def on_epoch_end(self, epoch, logs=None, keys=keys):
                keys.append(("epoch", epoch, list(logs)))
                logs["added"] = 1.0

            def on_test_end(self, logs=None, keys=keys):
                keys.append(("test", list(logs)))

            def on_train_end(self, logs=None, keys=keys):
                keys.append(("end", list(logs)))

        model = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(1, activation="sigmoid")])
        model.compile(optimizer="sgd", loss="binary_crossentropy", metrics=["mse", "accuracy"])
        history = model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[Watch()], **options)
        results = [getattr(model, name)(x, y, return_dict=True) for name in ("train_on_batch", "test_on_batch")]
        results.append(model.evaluate(x, y, verbose=0, return_dict=True))
        keys += [list(result) for result in results]
        loss, *_ = model.evaluate(x, y, verbose=0)
        assert abs(loss - results[-1]["loss"]) < 1e-6
        seen.append((keys, list(history.history), history.epoch, history.params))
    assert seen[1] == seen[0]


@pytest.mark.parametrize("name", sorted(set(fastnet.ops.NAMES) & set(dir(keras.ops))))
def test_arguments_of_operations_have_names(name):
    """Those of Keras's without a default: `ops.maximum(x1=..., x2=...)`."""
    ours, theirs = (inspect.signature(getattr(lib.ops, name)).parameters for lib in (fastnet, keras))
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in theirs.values() if p.default is p.empty and p.kind not in variadic]
    takes_more = any(p.kind in variadic for p in ours.values())  # an activation's parameters
    assert [n for n in ours if n in needed][: len(needed)] == needed or (takes_more and needed[0] in ours)
