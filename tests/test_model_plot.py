"""Pictures of models: what boxes say, where they lie, and which files are written."""

import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest

import fastnet
from fastnet import layers, utils
from fastnet.utils.diagrams import Box, Fork, Row, figure_of


def network():
    inner = fastnet.Sequential([layers.Dense(8, "relu", name="first"), layers.Dropout(0.1, name="$x$")], name="inner")
    branches = [layers.Dense(3, name="left"), [layers.Dense(8, name="upper"), layers.Dense(4, name="lower")]]
    block = layers.Residual([layers.Dense(16, "gelu", name="wide"), layers.Dense(8, name="narrow")], name="block")
    stack = [layers.Input((8,)), block, inner, layers.Parallel(branches, name="sides"), layers.Dense(1, name="out")]
    return fastnet.Sequential(stack)


@pytest.fixture
def texts(tmp_path):
    """Draws a model as svg; the texts in it."""
    pytest.importorskip("matplotlib")

    def drawn(model, **more):
        assert utils.plot_model(model, tmp_path / "m.svg", **more) is None
        tree = ElementTree.parse(tmp_path / "m.svg")
        return ["".join(one.itertext()).strip() for one in tree.iter("{http://www.w3.org/2000/svg}text")]

    return drawn


def test_each_layer_is_a_box(texts):
    assert sorted(texts(network())) == sorted(
        ["InputLayer", "Dense", "Dense", "Residual", "Sequential", "Dense", "Dense", "Dense", "Parallel", "Dense"]
    )
    named = texts(network(), show_layer_names=True, expand_nested=True)
    for name in ("left (Dense)", "block (Residual)", "inner (Sequential)", "first (Dense)", "$x$ (Dropout)"):
        assert name in named
    assert len(named) == 12


def test_what_boxes_say(texts):
    hidden = layers.Dense(3, "relu", trainable=False, dtype="float64")
    model = fastnet.Sequential([layers.Input((None, 2)), hidden])
    more = {"show_shapes": True, "show_dtype": True, "show_layer_activations": True, "show_trainable": True}
    assert texts(model, **more) == [
        "InputLayer", "output: (None, None, 2)", "dtype: float64", "Dense", "activation: relu",
        "input : (None, None, 2)", "output: (None, None, 3)", "dtype: float64", "trainable: False",
    ]  # fmt: skip


def test_other_layers(texts):
    class Doubled(layers.Wrapper):
        def forward(self, plan, x):
            y = plan.apply(self.layer, x)
            return plan.combine(fastnet.extend.Add(), y, y)

    model = fastnet.Sequential([layers.Input((4,)), Doubled(layers.Dense(2)), layers.Residual(layers.Identity())])
    assert texts(model) == ["InputLayer", "Doubled", "Identity", "Residual"]
    assert texts(model, expand_nested=True) == ["InputLayer", "Doubled", "Dense", "Identity", "Residual"]


@pytest.mark.parametrize(
    ("name", "begins"), [("m.png", b"\x89PNG"), ("m.pdf", b"%PDF"), ("m", b"\x89PNG"), ("m.SVG", b"<?xml")]
)
def test_formats(name, begins, tmp_path):
    pytest.importorskip("matplotlib")
    utils.plot_model(network(), str(tmp_path / name), dpi=30)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("direction", "further"),
    [("TB", lambda a, b: b[1] < a[1]), ("BT", lambda a, b: b[1] > a[1]), ("LR", lambda a, b: b[0] > a[0]),
     ("RL", lambda a, b: b[0] < a[0])],
)  # fmt: skip
def test_boxes_lie_apart_and_in_order(direction, further):
    pytest.importorskip("matplotlib")
    fork = Fork(
        [Row([Box(["b"]), Box(["c"])]), Row([]), Row([Fork([Box(["d"]), Box(["e"])], Box(["f"]))], "title")], Box(["g"])
    )
    figure = figure_of(Row([Box(["a", "a longer line"]), fork, Box(["h"])]), direction)
    (axes,) = figure.axes
    places = {one.get_text()[0]: one.get_position() for one in axes.texts}
    boxes = [one.get_bbox() for one in axes.patches if hasattr(one, "get_bbox") and one.get_facecolor()[3]]
    assert len(boxes) == 8
    for before, after in ("ab", "ad", "bc", "df", "ef", "cg", "fg", "gh"):
        assert further(places[before], places[after]), (before, after)
    across = 0 if direction in ("TB", "BT") else 1
    assert places["b"][across] != places["d"][across] != places["e"][across]
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart = one.x1 < other.x0 or other.x1 < one.x0 or one.y1 < other.y0 or other.y1 < one.y0
            assert apart, (one, other)
    to_data = axes.transData.inverted()
    for text in axes.texts:
        extent = text.get_window_extent().transformed(to_data)
        inside = any(one.x0 < extent.x0 and extent.x1 < one.x1 and one.y0 < extent.y0 < one.y1 for one in boxes)
        assert inside == (text.get_text() != "title"), text
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert all(left < one.x0 and one.x1 < right and low < one.y0 and one.y1 < high for one in boxes)
    width, height = figure.get_size_inches()
    assert (right - left, high - low) == pytest.approx((width, height))  # an inch is 1


def test_notebooks_get_what_they_show(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    notebook, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    notebook.get_ipython, notebook.display = object, display
    display.Image, display.SVG = (lambda filename, kind=kind: (kind, filename) for kind in ("image", "drawing"))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    for name, kind in (("m.png", "image"), ("m.svg", "drawing")):
        assert utils.plot_model(network(), tmp_path / name, dpi=30) == (kind, str(tmp_path / name))
    assert utils.plot_model(network(), tmp_path / "m.pdf") is None


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'^plot_model draws with matplotlib: pip install "fastnet\[demo\]"\.$'):
        utils.plot_model(network(), tmp_path / "m.png")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": layers.Dense(2)}, "model must be a Sequential, received <Dense"),
        ({"model": fastnet.Sequential([layers.Dense(2)], name="new")}, r"'new' is not built.*give it an Input"),
        ({"to_file": "m.xyz"}, r"must end with one of .*png.*, received 'm.xyz'"),
        ({"to_file": 3}, "to_file must be a string or a path, received 3"),
        ({"rankdir": "UP"}, "rankdir must be 'TB', 'BT', 'LR' or 'RL', received 'UP'"),
        ({"splines": "curved"}, "splines must be 'ortho'"),
        ({"dpi": 0}, "dpi must be an integer of at least 1"),
        ({"dpi": 10**5}, r"pixels long, and matplotlib draws fewer than 65,536: let to_file end with \.svg"),
        ({"show_shapes": 1}, "show_shapes must be True or False, received 1"),
        ({"expand_nested": "yes"}, "expand_nested must be True or False"),
    ],
)
def test_errors(more, says, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=says):
        utils.plot_model(**{"model": network(), **more})
    assert not list(tmp_path.iterdir())
