"""The table of `Sequential.summary`: columns, long names, ranges of layers."""

import re

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


def costs_in(lines):
    """(multiply-adds, result) of each line of layers. The table must be wide: a name that is numbered may wrap."""
    return [tuple(re.split(r"  +", line.strip())[3:]) for line in layers_in(lines)]


@pytest.mark.parametrize("given, layer, count, size", [
    ((5, 7, 2), lambda: layers.Conv2D(4, 3), 3 * 5 * (3 * 3 * 2 * 4), "240.00 B"),
    ((5, 7, 2), lambda: layers.Conv2D(6, (3, 1), strides=2, groups=2, padding="same"), 3 * 4 * (3 * 1 * 6), "288.00 B"),
    ((8, 8, 16), lambda: layers.Conv2D(32, 3, padding="same"), 64 * (9 * 16 * 32), "8.00 KB"),  # as its formula
    ((9, 3), lambda: layers.Conv1D(5, 2, dilation_rate=3, padding="causal"), 9 * (2 * 3 * 5), "180.00 B"),
    ((2, 3, 4, 1), lambda: layers.Conv3D(2, 2), 1 * 2 * 3 * (8 * 2), "48.00 B"),
    ((3, 2, 3), lambda: layers.Conv2DTranspose(2, 3, strides=2), 3 * 2 * (9 * 3 * 2), "280.00 B"),
    ((4, 3, 4), lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 12 * (9 * 4 * 2), "384.00 B"),
    ((4, 4, 8), lambda: layers.SeparableConv2D(3, 2), 9 * (4 * 8 + 8 * 3), "108.00 B"),
    ((1, 1, 1), lambda: layers.Conv2D(1, 1), 1, "4.00 B"),
    ((5, 3), lambda: layers.Dense(2), 5 * 3 * 2, "40.00 B"),
    ((5, 3), lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 7)), 5 * 3 * 2 * 7, "280.00 B"),
    ((4, 4, 2), lambda: layers.MaxPooling2D(), 0, "32.00 B"),
    ((4,), lambda: layers.Dense(2, dtype="float64"), 8, "16.00 B"),
])  # fmt: skip
def test_costs(given, layer, count, size):
    model = fastnet.Sequential([layers.Input(given), layer()])
    lines = lines_of(model, costs=True, line_length=200)
    assert lines[2].split()[-2:] == ["Multiply-adds", "Result"] and costs_in(lines) == [(f"{count:,}", size)]
    assert lines[-1] == f"Multiply-adds of a sample: {count:,}; its results: {size}"


def test_costs_of_networks():
    shared = layers.Dense(3, name="shared")
    inner = fastnet.Sequential([layers.Dense(5), layers.Activation("tanh")])
    model = fastnet.Sequential([layers.Input((3,)), shared, shared, inner])
    lines = lines_of(model, costs=True, line_length=200, expand_nested=True, show_trainable=True)
    assert [line[:2] for line in costs_in(lines)] == [
        ("9", "12.00 B"), ("9", "12.00 B"), ("15", "20.00 B"), ("15", "20.00 B"), ("0", "20.00 B"),
    ]  # fmt: skip
    assert lines[2].endswith("Trainable") and lines[-1] == "Multiply-adds of a sample: 33; its results: 64.00 B"
    assert lines_of(model, costs=True, line_length=200, layer_range=["shared", "shared"])[-1] == lines[-1]
    assert lines_of(model)[2].split()[-1] == "#" and "Multiply" not in lines_of(model)[-1]  # only where asked


def test_costs_of_layers_inside_others():
    branch = [layers.Conv2D(16, 3, padding="same"), layers.Conv2D(3, 3, padding="same")]
    lines = lines_of(
        fastnet.Sequential([layers.Input((8, 8, 3)), layers.Residual(branch)]), costs=True, line_length=200
    )
    assert costs_in(lines) == [(f"{2 * 64 * 9 * 48:,}", "768.00 B")]
    assert lines[-1] == f"Multiply-adds of a sample: {2 * 64 * 9 * 48:,}; its results: {64 * 19 * 4 / 1024:.2f} KB"
    stack = layers.Residual([layers.Dense(3), layers.Dense(4)], layers.Dense(4))
    lines = lines_of(fastnet.Sequential([layers.Input((4,)), stack]), costs=True, line_length=200)
    assert lines[-1] == f"Multiply-adds of a sample: {12 + 12 + 16}; its results: 44.00 B"


def test_costs_where_the_shape_is_unknown():
    model = fastnet.Sequential([layers.Input((None, 3)), layers.Dense(2), layers.GlobalAveragePooling1D(name="mean")])
    lines = lines_of(model, costs=True, line_length=200)
    assert costs_in(lines) == [("?", "?")] * 2 and lines[-1].endswith("unknown, since its shape is")
    assert costs_in(lines_of(fastnet.Sequential([layers.Dense(2)]), costs=True, line_length=200)) == [("?", "?")]
    with pytest.raises(ValueError, match="summary: costs must be True or False, received 1"):
        model.summary(costs=1)
