"""Errors are short: what a user or a file gave is quoted by its first 200 characters, and three names are offered."""

import io
import json

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet._kernels.errors import cut, quoted

LONG = "x" * 5000
MANY = list(range(5000))
VALUES = {"text": LONG, "numbers": MANY, "description": {"class_name": LONG}, "key": {LONG: LONG}, "list": [LONG]}


def model():
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, activation="relu"), layers.Dense(1)])
    net.compile("adam", "mse")
    return net


def test_what_is_quoted_is_cut():
    assert quoted("a" * 198) == repr("a" * 198) and quoted(LONG) == "'" + "x" * 196 + "..."
    assert cut("abc", 3) == "abc" and cut("abcd", 3) == "..."


@pytest.mark.parametrize(
    "call",
    [
        lambda value: layers.Dense(value),
        lambda value: layers.Dense(1, activation=value),
        lambda value: layers.Dense(1, kernel_initializer=value),
        lambda value: layers.Dense(1, use_bias=value),
        lambda value: layers.Dense(1, dtype=value),
        lambda value: layers.Dropout(value),
        lambda value: layers.Input([value]),
        lambda value: fastnet.Sequential(value),
        lambda value: fastnet.optimizers.Adam(value),
        lambda value: fastnet.optimizers.Adam(beta_1=value),
        lambda value: model().compile(value, "mse"),
        lambda value: model().compile("sgd", value),
        lambda value: model().compile("sgd", "mse", metrics=[value]),
        lambda value: model().fit(np.ones((2, 3)), np.ones(2), epochs=value),
        lambda value: model().fit(np.ones((2, 3)), np.ones(2), shuffle=value),
        lambda value: model().fit(np.ones((2, 3)), np.ones(2), callbacks=value),
        lambda value: model().fit(np.ones((2, 3)), np.ones(2), class_weight=value),
        lambda value: model().get_layer(value),
        lambda value: model().set_weights([value]),
        lambda value: fastnet.callbacks.EarlyStopping(value or 1, mode=value),
        lambda value: model().fit(np.ones((2, 3)), np.ones(2), callbacks=[fastnet.callbacks.EarlyStopping(value)]),
        lambda value: fastnet.models.model_from_json(json.dumps({"class_name": value, "config": value})),
        lambda value: fastnet.Sequential.from_config({"name": value, "layers": value, "more": value}),
    ],
)
@pytest.mark.parametrize("value", VALUES)
def test_a_long_value(call, value):
    with pytest.raises((ValueError, TypeError, AttributeError, KeyError)) as caught:
        call(VALUES[value])
    is_short = len(str(caught.value)) < 1000
    assert is_short, str(caught.value)[:300]


@pytest.mark.parametrize("make", [fastnet.losses.get, fastnet.optimizers.get, fastnet.activations.get])
@pytest.mark.parametrize("name", ["crosentropy", "zzzz", "adm", "rel", "", LONG], ids=range(6))
def test_three_names_are_offered(make, name):
    with pytest.raises(ValueError) as caught:
        make(name)
    message = str(caught.value)
    assert len(message) < 450 and message.count("'") <= 2 * 6
    assert "Did you mean" in message or "Known: " in message


def about_of(file):
    with np.load(io.BytesIO(file)) as members:
        return {name: members[name] for name in members.files}


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file(seed, tmp_path):
    """Parts of the description are replaced, also by long ones: no message quotes them in full."""
    rng = np.random.default_rng(seed)
    path, net = tmp_path / "m.fastnet", model()
    net.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    net.save(path)
    members = about_of(path.read_bytes())
    about = json.loads(bytes(members["about"]).decode())

    def damaged(item, left):
        """The item with one part replaced; ``left`` counts down to it."""
        if isinstance(item, (dict, list)) and item and left:
            keys = list(item) if isinstance(item, dict) else range(len(item))
            key = keys[rng.integers(len(keys))]
            copy = dict(item) if isinstance(item, dict) else list(item)
            copy[key] = damaged(item[key], left - 1)
            return copy
        return [LONG, MANY, {LONG: 1}, -1, None, {"class_name": LONG, "config": {LONG: LONG}}][rng.integers(6)]

    for _ in range(40):
        text = json.dumps(damaged(about, int(rng.integers(1, 9))))
        np.savez(tmp_path / "bad.npz", **{**members, "about": np.frombuffer(text.encode(), np.uint8)})
        messages = []
        try:
            fastnet.models.load_model(tmp_path / "bad.npz")
        except fastnet.saving.SavedFileError as error:
            messages.append(str(error))
        assert all(len(message) < 1000 + len(str(tmp_path)) for message in messages)
