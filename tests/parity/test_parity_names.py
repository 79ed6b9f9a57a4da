"""Every public name of a Keras model is a fastnet model's too, or is refused with a sentence."""

import pytest

import fastnet
from fastnet.refused import ABSENT, REFUSED

keras = pytest.importorskip("keras")


def model(lib):
    made = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(2)])
    made.compile("sgd", "mse")
    return made


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_a_model_has_what_keras_has_or_says_why_not():
    ours, theirs = model(fastnet), public(model(keras))
    assert {name for name in theirs if not hasattr(ours, name)} == set(REFUSED) & theirs


@pytest.mark.parametrize("module", ABSENT)
def test_what_modules_say_is_absent_is_kerass(module):
    theirs = keras if module == "fastnet" else keras.layers
    assert set(ABSENT[module]) <= public(theirs)
