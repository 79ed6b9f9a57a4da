"""Every public name of Keras, and of a Keras model, is fastnet's too, or is refused with a sentence."""

import pytest

import fastnet
from fastnet.refused import REFUSED

from .. import keras_names

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


def test_the_page_lists_the_names_of_keras():
    """Where this fails: python -m tests.keras_names."""
    page = keras_names.PAGE.read_text("utf-8")
    assert page.endswith(keras_names.section(keras_names.public(keras)))
    assert "NO REASON" not in page
    assert list(keras_names.listed(page)) and set(keras_names.listed(page)) == set(keras_names.public(keras))
