"""Batches of different lengths, of an Input whose size is None, give Keras's numbers."""

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

LENGTHS = (2, 5, 5, 1, 2)


def data(weighted):
    rng = np.random.default_rng(0)
    found = []
    for length in LENGTHS:
        labels = rng.integers(0, 4, (3, length))
        weights = (rng.uniform(0, 2, (3, length)),) if weighted else ()
        found.append((rng.standard_normal((3, length, 3)), labels, *weights))
    return found


def train(lib, weighted):
    layers = lib.layers
    inner = lib.Sequential([layers.Dense(6, "tanh"), layers.BatchNormalization(momentum=0.5)])
    model = lib.Sequential([layers.Input((None, 3)), inner, layers.LayerNormalization(), layers.Dense(4)])
    loss = lib.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lib.optimizers.SGD(0.1), loss, metrics=["accuracy"], weighted_metrics=["sparse_categorical_accuracy"])
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1, w.shape) for w in model.get_weights()])
    assert model.input_shape == (None, None, 3) and model.output_shape == (None, None, 4)
    batches = data(weighted)
    history = model.fit((batch for batch in batches), shuffle=False, verbose=0).history
    seen = {f"history {key}": values for key, values in history.items()}
    seen |= {
        f"evaluate {k}": v for k, v in model.evaluate((batch for batch in batches), verbose=0, return_dict=True).items()
    }
    seen |= {f"batch {k}": v for k, v in model.train_on_batch(*batches[1], return_dict=True).items()}
    seen |= {f"weight {k}": w for k, w in enumerate(model.get_weights())}
    return seen | {"predict": model.predict(np.ones((2, 7, 3)), verbose=0), "call": np.asarray(model(batches[0][0]))}


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("weighted", [False, True])
def test_same_as_keras(weighted, floatx):
    ours, theirs = (train(lib, weighted) for lib in (fastnet, keras))
    assert sorted(ours) == sorted(theirs)
    for name, wanted in theirs.items():
        np.testing.assert_allclose(ours[name], np.asarray(wanted), rtol=1e-6, atol=1e-8, err_msg=name)


def test_both_refuse_a_layer_that_needs_the_size():
    for lib in (fastnet, keras):
        with pytest.raises(ValueError, match="None"):
            lib.Sequential([lib.layers.Input((None, 3)), lib.layers.Flatten(), lib.layers.Dense(2)])
