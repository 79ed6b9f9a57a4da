"""The table of `Sequential.summary`: columns, long names, ranges of layers."""

import pytest

import fastnet
from fastnet import layers

LONG = "a_name_that_is_longer_than_the_column_of_the_table_in_which_it_stands"


@pytest.fixture
def model():
    inner = fastnet.Sequential([layers.Dense(2, name="nested")], name="inner")
    given = [layers.Input((3,)), layers.Dense(2, name=LONG), inner, layers.Reshape((1,) * 12 + (2,)), layers.Flatten()]
    return fastnet.Sequential([*given, layers.Dense(1, name="out")], name="m")


def lines_of(model, **given):
    texts = []
    model.summary(print_fn=texts.append, **given)
    return texts[0].split("\n")


def layers_in(lines):
    return lines[4 : lines.index(lines[1], 4)]


@pytest.mark.parametrize("given", [{}, {"line_length": 48}, {"line_length": 200}, {"positions": [0.2, 0.9, 1.0]}])
def test_nothing_is_cut(model, given):
    lines = lines_of(model, **given)
    width = len(lines[1])
    assert width == given.get("line_length", 72) and all(len(line) <= width for line in lines[:-3])
    first, last = lines[2].index("Output"), lines[2].index("Param #")
    names, shapes = ("".join(line[part] for line in layers_in(lines)) for part in (slice(first), slice(first, last)))
    assert names.replace(" ", "").startswith(f"{LONG}(Dense)inner(Sequential)reshape")
    assert f"(None,{'1,' * 12}2)" in shapes.replace(" ", "")


def test_positions(model):
    absolute, relative = lines_of(model, positions=[40, 60, 72]), lines_of(model, positions=[40 / 72, 60 / 72, 1.0])
    assert absolute == relative and absolute[2].index("Output") == 40 and len(absolute[1]) == 72
    assert lines_of(model, positions=[20, 40, 60, 80], show_trainable=True)[2].endswith("Trainable")
    for wrong in ([1.0], [3, 2, 1], "abc", [0.5, "x", 1.0], [10, 20, 30]):
        with pytest.raises(ValueError, match="summary: positions must be a list of [34] rising numbers"):
            model.summary(positions=wrong, show_trainable=wrong == [10, 20, 30])


@pytest.mark.parametrize("layer_range, names", [
    (["inner", "flatten"], ["inner", "nested", "reshape", "flatten"]),
    (("inner", "inner"), ["inner", "nested"]),
    (["in|re", "re|fl"], ["inner", "nested", "reshape", "flatten"]),
    (["out", "flat.*"], ["flatten", "out"]),  # in any order
])  # fmt: skip
def test_a_range_of_layers(model, layer_range, names):
    lines = layers_in(lines_of(model, layer_range=layer_range, expand_nested=True, line_length=200))
    starts = [line.split(" (")[0].strip() for line in lines]
    assert [name.split("_")[0] for name in starts] == names
    assert lines_of(model, layer_range=layer_range)[-3:] == lines_of(model)[-3:]  # the totals are those of all layers


def test_a_range_that_does_not_exist(model):
    with pytest.raises(ValueError, match="layer_range: no layer matches 'dense'; there are a_name.*, inner, reshape"):
        model.summary(layer_range=["dense", "out"])
    for wrong in ("out", ["out"], [1, 2]):
        with pytest.raises(ValueError, match="layer_range must be two names of layers"):
            model.summary(layer_range=wrong)
