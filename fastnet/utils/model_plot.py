"""A picture of a model's layers: `plot_model`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.layers.composites import Parallel, Residual, Stack
from fastnet.layers.core import InputLayer
from fastnet.layers.network import Network
from fastnet.layers.trace import Use
from fastnet.saving.archive import named_errors
from fastnet.utils.diagrams import Box, Fork, Part, Row, figure_of

_PIXELS = 2**16  # of a side: what matplotlib can draw


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> Any:
    """Draw a model's layers as boxes and arrows, with matplotlib; `Residual` and `Parallel` as branches.

    Args:
        model: a `Sequential` that is built.
        to_file: the file; its suffix decides the format: png, svg, pdf and others of matplotlib's. png without one.
        show_shapes: whether boxes have the shapes of what a layer reads and gives.
        show_dtype: whether they have the layer's dtype.
        show_layer_names: whether they have its name beside its class.
        rankdir: the direction of the data: "TB" from top to bottom, "BT", "LR" from left to right, "RL".
        expand_nested: whether a `Sequential` or a `Wrapper` in the model is a frame with its layers.
        dpi: pixels of an inch.
        show_layer_activations: whether boxes have the activation, where a layer has one.
        show_trainable: whether they tell if the layer is trainable.
        splines: "ortho": lines have right angles.

    Returns:
        In a notebook a png, jpg or svg as an object that it shows; otherwise None.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: ``to_file`` is no path.
        ValueError: the model is not built, an argument has another value, matplotlib lacks the format, or the picture
            has more pixels than it can draw.

    Example:
        >>> import tempfile, pathlib, fastnet
        >>> from fastnet import layers
        >>> model = fastnet.Sequential([layers.Input((4,)), layers.Residual(layers.Dense(4))])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fastnet.utils.plot_model(model, pathlib.Path(folder, "model.svg"), show_shapes=True)
        ...     len(list(pathlib.Path(folder).iterdir()))
        1
    """
    if not isinstance(model, Network):
        raise ValueError(f"plot_model: model must be a Sequential, received {quoted(model)}.")
    if not model.built:
        raise ValueError(
            f"plot_model: the model {model.name!r} is not built, and its shapes are unknown: give it an "
            "Input((...)), or call model.build((None, ...))."
        )
    checks.one_of("plot_model: rankdir", rankdir, "TB", "BT", "LR", "RL")
    if splines != "ortho":
        raise ValueError(f"plot_model: lines have right angles: splines must be 'ortho', received {quoted(splines)}.")
    dpi, path = checks.integer("plot_model: dpi", dpi), Path(checks.path_name("plot_model: to_file", to_file))
    expand = checks.flag("plot_model: expand_nested", expand_nested)
    shown = {
        "show_shapes": show_shapes, "show_dtype": show_dtype, "show_layer_names": show_layer_names,
        "show_layer_activations": show_layer_activations, "show_trainable": show_trainable,
    }  # fmt: skip
    lines = _Lines({name for name, value in shown.items() if checks.flag(f"plot_model: {name}", value)})
    return _saved(_matplotlib(), Row(_layers(model, model.input_shape[1:], lines, expand)), path, rankdir, dpi)


class _Lines:
    """What boxes say: made with the names of the arguments that are True."""

    def __init__(self, shown: set[str]):
        self.shown = shown

    def head(self, layer: Any) -> str:
        """The first line of a layer's box, or the title of its frame."""
        kind = type(layer).__name__
        return f"{layer.name} ({kind})" if "show_layer_names" in self.shown else kind

    def of(self, use: Use) -> list[str]:
        """The lines of a layer's box."""
        layer, activation = use.layer, getattr(use.layer, "activation", None)
        shapes = ("input ", use.input_shape), ("output", use.output_shape)
        lines = [self.head(layer)]
        if "show_layer_activations" in self.shown and activation is not None:
            lines.append(f"activation: {getattr(activation, 'name', None) or getattr(activation, '__name__', '')}")
        if "show_shapes" in self.shown:
            lines += [f"{name}: {(None, *shape)}" for name, shape in shapes]
        if "show_dtype" in self.shown:
            lines.append(f"dtype: {layer.dtype}")
        if "show_trainable" in self.shown:
            lines.append(f"trainable: {layer.trainable}")
        return lines

    def of_input(self, network: Any, shape: tuple) -> list[str]:
        """The lines of the box of the data."""
        lines = ["InputLayer"]
        if "show_shapes" in self.shown:
            lines.append(f"output: {(None, *shape)}")
        return [*lines, f"dtype: {network.dtype}"] if "show_dtype" in self.shown else lines


def _layers(model: Network, shape: tuple, lines: _Lines, expand: bool) -> list[Part]:
    """The data and the layers of a model."""
    data = Box(lines.of_input(model, shape))
    return [data, *(_part(use, lines, expand) for use in _uses(model, shape))]


def _uses(layer: Any, shape: tuple) -> list[Use]:
    """The layers that a layer applies, without those that stand for its data."""
    return [use for use in layer.open_uses(shape) if not isinstance(use.layer, InputLayer)]


def _part(use: Use, lines: _Lines, expand: bool) -> Part:
    """A layer in the diagram."""
    layer = use.layer
    forward: Callable = type(layer).forward
    if forward in (Residual.forward, Parallel.forward):
        branches: list[Part] = [_part(one, lines, expand) for one in _uses(layer, use.input_shape)]
        if forward is Residual.forward and layer.shortcut is None:
            branches.append(Row([]))
        return Fork(branches, Box(lines.of(use)))
    is_stack = isinstance(layer, Stack)
    if is_stack or (expand and layer.composite):
        title = None if is_stack else lines.head(layer)
        return Row([_part(one, lines, expand) for one in _uses(layer, use.input_shape)], title)
    return Box(lines.of(use))


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise ImportError('plot_model draws with matplotlib: pip install "fastnet[demo]".') from None
    return matplotlib


def _saved(matplotlib: Any, diagram: Part, path: Path, direction: str, dpi: int) -> Any:
    """Write the picture; what a notebook shows."""
    form, figure = path.suffix[1:].lower() or "png", figure_of(diagram, direction)
    known = figure.canvas.get_supported_filetypes()
    if form not in known:
        raise ValueError(
            f"plot_model: to_file must end with one of {', '.join(sorted(known))}, received {path.name!r}."
        )
    side = int(max(figure.get_size_inches()) * dpi)
    if side >= _PIXELS and form not in ("svg", "svgz", "pdf", "ps", "eps"):
        raise ValueError(
            f"plot_model: the picture would be {side:,} pixels long, and matplotlib draws fewer than {_PIXELS:,}: let "
            "to_file end with .svg or .pdf, or give a smaller dpi."
        )
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):  # text stays text
        with named_errors(path):
            figure.savefig(path, dpi=dpi, format=form)
    if getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)() is None:
        return None
    from IPython import display

    shown = {"svg": display.SVG, "png": display.Image, "jpg": display.Image}.get(form)
    return None if shown is None else shown(filename=str(path))
