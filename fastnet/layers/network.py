"""A sequence of layers: the part of a `Sequential` that does not train."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnet import checks, config, random
from fastnet._kernels.errors import quoted
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.layers import open_shapes
from fastnet.layers.core import InputLayer
from fastnet.layers.finding import find_layer
from fastnet.layers.images import channels_hint
from fastnet.layers.layer import Layer
from fastnet.layers.list_of_layers import ListOfLayers
from fastnet.layers.network_description import NetworkDescription
from fastnet.layers.trace import Use
from fastnet.layers.tree import all_parts
from fastnet.layers.undo import unchanged_on_error
from fastnet.summary import summary_text
from fastnet.terminal import printable
from fastnet.tracebacks import trimmed

_WEIGHTS = 1  # key of the seeds of weights


class Network(NetworkDescription, Layer):
    """A layer that applies layers in order; it has their shapes, weights and description."""

    seed: int | None = None  # of the weights that it makes

    def __init__(self, layers: Iterable[Layer] | None, trainable: bool, name: str):
        owner = type(self).__name__
        if not isinstance(name, str):
            raise ValueError(f"{owner}: name must be a string, received {quoted(name)}.")
        if isinstance(layers, str) or not (layers is None or np.iterable(layers)):
            raise ValueError(
                f"{owner}: layers must be a list of layers, received {quoted(layers)}. For one layer: {owner}([layer])."
            )
        self._variables: list[Variable] = []
        self._trainable = checks.flag(f"{owner}: trainable", trainable)
        self._layers: list[Layer] = []
        self._leaves: list[Layer] | None = None  # of all depths; found again after a change
        self._data_readers: list[Layer] | None = None
        #: of samples, then of each layer's result. A layer in several networks has another shape in each.
        self._shapes: list[tuple[int, ...]] = []
        self.name = name
        self._parents: weakref.WeakSet[Network] = weakref.WeakSet()  # networks that contain this one
        self.snapshots: dict[Any, Any] = {}  # templates and rules that its layers call, as they were when first used
        names: dict[str, Layer] = {}  # all at once: for 4,000 layers comparing each with all others took 0.8 s
        for layer in layers or []:
            self._append(layer, names)
        self._maybe_build()

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Append a layer, or a network, whose layers then run in order.

        Raises:
            ValueError: the object is not a layer, its name is taken, or a shape does not fit; the model is unchanged.
            RuntimeError: the model is being trained.
        """
        self._must_be_idle()
        name = getattr(layer, "name", None)
        alike = [other for other in self._layers if other.name == name]  # a dictionary of all takes four times as long
        self._append(layer, {each.name: each for each in alike})
        if rebuild:
            try:
                self._maybe_build()
            except ValueError:
                self.pop()
                raise

    def _append(self, layer: Layer, names: dict[str, Layer]) -> None:
        """Append a layer; ``names`` are the layers by name, and get this one."""
        if not isinstance(layer, Layer):
            hint = " Did you forget the parentheses?" if isinstance(layer, type) and issubclass(layer, Layer) else ""
            raise ValueError(
                f"A Sequential takes layers, received {quoted(layer)}.{hint} Layers are found in fastnet.layers."
            )
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(f"The model {self.name!r} has layers already; Input comes first, and once.")
        if self in all_parts(layer):
            raise ValueError(f"The model {self.name!r} cannot be a layer of itself.")
        if names.setdefault(layer.name, layer) is not layer:
            raise ValueError(f"Two layers have the name {layer.name!r}; give one of them another (name=...).")
        shapes = None
        if self.built:
            behind = [self._shapes[-1]]
            if self.is_open:
                behind = [self._shapes_of(probe)[-1] for probe in open_shapes.probes(self._shapes[0])]
            with channels_hint(self._layers, self._shapes):
                shapes = [*self._shapes, self._connect_layer(len(self._layers), layer, behind)]
        self._layers.append(layer)
        for network in _networks(layer):
            network._parents.add(self)
        self._changed(shapes)

    def _replace(self, name: str, current: Any, value: Any) -> None:
        """Its other attributes decide nothing, or note their changes."""

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which other networks do not contain, and which read functions anew."""
        return {name: value for name, value in vars(self).items() if name not in ("_parents", "snapshots")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _parents=weakref.WeakSet(), snapshots={})
        for layer in self._layers:
            for network in _networks(layer):
                network._parents.add(self)

    def _must_be_idle(self) -> None:
        """Check that neither it nor a network that contains it is being trained: its layers must not change."""
        for parent in self._parents:
            parent._must_be_idle()

    def _changed(self, shapes: list[tuple[int, ...]] | None = None) -> None:
        """Forget all that follows from its layers, which have changed; the shapes are found again if not given."""
        self._leaves = self._data_readers = None
        if self.built:
            self._shapes = shapes or self._shapes_from(self._shapes[0])
        for parent in self._parents:
            parent.built = False
            parent._changed()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it.

        Raises:
            ValueError: the model has no layers.
            RuntimeError: the model is being trained.
        """
        self._must_be_idle()
        if not self._layers:
            raise ValueError(f"The model {self.name!r} has no layer to remove.")
        layer = self._layers.pop()
        self.built = self.built and bool(self._layers)
        left = all_parts(self)
        for network in _networks(layer):
            if network not in left:
                network._parents.discard(self)
        self._changed()
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for data of this shape.

        Args:
            input_shape: with the batch first, as in Keras: ``(None, 784)``.

        Raises:
            ValueError: the model has no layers, or shapes do not fit.
        """
        if not self._layers:
            raise ValueError(f"The model {self.name!r} has no layers; add some first.")
        given = self.given_input_shape
        if input_shape is not None:
            shape = checks.batch_shape(f"The model {self.name!r}: input_shape", input_shape)
            if given is not None and not open_shapes.fits(shape, given):
                raise ValueError(f"The model {self.name!r} has an Input of shape {given}; build was given {shape}.")
        elif given is not None:
            shape = given
        else:
            raise ValueError(
                f"The model {self.name!r} does not know the shape of its input: put fastnet.layers.Input(shape) first, "
                "or call build((None, ...))."
            )
        with trimmed:
            self._connect(shape)

    def _maybe_build(self) -> None:
        if not self.built and self.given_input_shape is not None:
            with trimmed:
                self._connect(self.given_input_shape)

    @property
    def given_input_shape(self) -> tuple[int, ...] | None:
        """The shape of a sample, if an Input, the first layer or its own weights determine it."""
        if self.built:
            return self._shapes[0]
        return self._layers[0].given_input_shape if self._layers else None

    @property
    def takes_any_shape(self) -> bool:
        """Whether neither an Input nor a weight determines the shape of a sample: that of the first data may change."""
        first = self._layers[0]
        is_free = first.takes_any_shape if isinstance(first, Network) else first.given_input_shape is None
        return is_free and not self.weights

    def connect(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Build for samples of this shape, as a layer of a network; return the shape of the result."""
        if self.built:  # its own shapes do not change
            return self.sample_output_shape(input_shape)
        self._connect(input_shape)
        return self._shapes[-1]

    def keep_shapes(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Keep the shapes of its layers' results too; those for which it was built before do not change."""
        if open_shapes.is_probe(self._shapes[0]):
            self._shapes = self._shapes_from(input_shape)

    def _connect(self, shape: tuple[int, ...]) -> None:
        # First: if one layer does not fit, none may be built.
        found = [self._shapes_of(probe) for probe in open_shapes.probes(shape)]
        with unchanged_on_error(all_parts(self)):
            for index, layer in enumerate(self._layers):
                self._connect_layer(index, layer, [shapes[index] for shapes in found])
        self._shapes, self.built = [open_shapes.merged(each) for each in zip(*found)], True

    def _connect_layer(self, index: int, layer: Layer, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        """Build a layer; if there is a seed, it and the index of the layer decide the new weights."""
        if self.seed is None:
            return open_shapes.connect(layer, shapes)
        index -= isinstance(self._layers[0], InputLayer) if self._layers else 0  # Input does not count
        with random.drawing_from(self.seed, _WEIGHTS, max(index, 0)):
            return open_shapes.connect(layer, shapes)

    def _shapes_from(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The shape of a sample, and that of each layer's result for it; sizes may be None."""
        return [open_shapes.merged(each) for each in zip(*map(self._shapes_of, open_shapes.probes(shape)))]

    def _shapes_of(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """`_shapes_from` of a shape whose sizes are known."""
        shapes = [shape]
        with channels_hint(self._layers, shapes):
            for layer in self._layers:
                shapes.append(layer.sample_output_shape(shapes[-1]))
        return shapes

    @property
    def is_open(self) -> bool:
        """Whether samples may have different shapes: a size of Input is None."""
        return self.built and open_shapes.is_open(self._shapes[0])

    @property
    def sublayers(self) -> list[Layer]:
        """Its layers."""
        return self._layers

    def uses(self, input_shape: tuple[int, ...]) -> list[Use]:
        """The layers without Input, in order, with their shapes in this network."""
        shapes = self._shapes if self.built and input_shape == self._shapes[0] else self._shapes_from(input_shape)
        uses, is_data = [], True
        for layer, given, result in zip(self._layers, shapes, shapes[1:]):
            if not isinstance(layer, InputLayer) or len(self._layers) == 1:
                uses.append(Use(layer, given, result, is_data))
            is_data = is_data and layer.keeps_values
        return uses

    @property
    def keeps_values(self) -> bool:  # type: ignore[override]
        """Whether all of its layers keep values."""
        return all(layer.keeps_values for layer in self._layers)

    def sample_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample's prediction for samples of this shape; nothing is built.

        Raises:
            ValueError: the shape does not fit a layer.
        """
        if not self._layers:
            raise ValueError(f"The model {self.name!r} has no layers; add some first.")
        if self.built and shape == self._shapes[0]:
            return self._shapes[-1]
        return self._shapes_from(shape)[-1]

    @property
    def trainable(self) -> bool:
        """Whether the weights of its trainable layers are trained; setting it sets every layer's, as in Keras."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = checks.flag(f"The model {self.name!r}: trainable", value)
        for layer in self._layers:
            layer.trainable = self._trainable

    @property
    def layers(self) -> list[Layer]:
        """The layers without Input; a network among them is one layer. The list refuses changes, which no network sees.

        Example:
            >>> model = fastnet.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(1)])
            >>> fastnet.Sequential(model.layers[:1]).predict([[1.0, 2.0, 3.0]], verbose=0).shape
            (1, 4)
        """
        return ListOfLayers(layer for layer in self._layers if not isinstance(layer, InputLayer))

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError(
            f"The model {self.name!r}: layers cannot be set; use model.add(layer) and model.pop(), or make another "
            "model: Sequential([...])."
        )

    @property
    def leaves(self) -> list[Layer]:
        """The layers of all depths without sublayers, in order, including Input."""
        if self._leaves is None:
            found = {id(leaf): leaf for layer in self._layers for leaf in layer.leaves}
            self._leaves = list(found.values())
        return self._leaves

    @property
    def data_readers(self) -> list[Layer]:
        """Its leaves that check data; each step asks for them."""
        if self._data_readers is None:
            self._data_readers = super().data_readers
        return self._data_readers

    @property
    def layers_to_run(self) -> list[Layer]:
        """The leaves that a plan is made of: at least one."""
        leaves = self.leaves
        return [leaf for leaf in leaves if not isinstance(leaf, InputLayer)] or leaves[:1]

    @property
    def reads(self) -> str:
        """The data that its first layer reads."""
        return (self.layers or self._layers)[0].reads if self._layers else "float"

    def forward(self, plan: Plan, x: View) -> View:
        for layer in self.layers or self._layers:
            x = plan.apply(layer, x)
        return x

    @property
    def input_shape(self) -> tuple:
        """Shape of the data, None for the batch."""
        self._must_be_built(AttributeError)
        return (None, *self._shapes[0])

    @property
    def output_shape(self) -> tuple:
        """Shape of a prediction, None for the batch."""
        self._must_be_built(AttributeError)
        return (None, *self._shapes[-1])

    @property
    def dtype(self) -> str:
        """The dtype of its first layer after Input, to which data are converted."""
        return self.layers_to_run[0].dtype if self._layers else config.floatx()

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or by index.

        Raises:
            ValueError: both or neither are given, or the layer does not exist.
        """
        return find_layer(self, name, index)

    def count_params(self) -> int:
        """The number of elements of all weights.

        Raises:
            ValueError: the model is not built.
        """
        self._must_be_built()
        return super().count_params()

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        costs: bool = False,
    ) -> None:
        """Print a table of the layers: name, shape of the result, number of weights.

        Args:
            line_length: characters in a line.
            positions: the ends of the columns, in characters, or as shares of the line if none is above 1.
            print_fn: called with the text instead of ``print``.
            expand_nested: whether the layers of networks among the layers have lines of their own.
            show_trainable: whether to add a column that says which layers are trained.
            layer_range: names of the first and the last layer to print, or regular expressions: from the first layer
                that matches the one to the last that matches the other.
            costs: whether to add columns for one sample's way forward: the multiply-adds of products and convolutions,
                as their formulas have them, and the memory of the result.

        Raises:
            ValueError: a layer does not exist, or ``positions`` do not rise.
        """
        text = summary_text(self, line_length, expand_nested, show_trainable, positions, layer_range, costs)
        if print_fn is None:
            print(printable(text))
        else:
            print_fn(text)

    @property
    def _owner(self) -> str:
        return f"The model {self.name!r}"

    def _must_be_built(self, error: type[Exception] = ValueError) -> None:
        """Check that it is built; a missing attribute is an AttributeError, which `hasattr` asks for."""
        if not self.built:
            raise error(
                f"The model {self.name!r} is not built yet: its input's shape is unknown. Put fastnet.layers.Input "
                "first, call build((None, ...)), or fit it to data."
            )


def _networks(layer: Layer) -> list[Network]:
    """The networks in a layer, of all depths, itself among them."""
    return [part for part in all_parts(layer) if isinstance(part, Network)]
