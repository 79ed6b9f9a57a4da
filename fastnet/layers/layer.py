"""The base class of layers."""

from __future__ import annotations

from typing import Any

from fastnet import checks, config, hooks, regularizers, serialization
from fastnet._kernels.errors import quoted
from fastnet.default_names import numbered
from fastnet.descriptions import Configurable, snake_case
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable, tracing
from fastnet.engine.view import View
from fastnet.layers import array_layers, calls, open_shapes
from fastnet.layers.attributes import LayerAttributes
from fastnet.layers.trace import Use, trace
from fastnet.layers.tree import LayerTree, all_parts
from fastnet.layers.undo import on_trial, unchanged_on_error
from fastnet.layers.weights import AddsWeights
from fastnet.settable import argument_names, unknown_argument
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.boundaries import applied
from fastnet.tracebacks import trimmed

#: the methods that a user's class may define, with their parameters
_PARAMETERS = {
    "call": "self, x",
    "build": "self, input_shape",
    "forward": "self, plan, x",
    "backward": "self, plan, dy, x, y",
    "make_weights": "self, input_shape",
    "sample_output_shape": "self, input_shape",
    "compute_mask": "self, plan, x, y",
}
#: arguments of every layer: those that its description has, and those that it leaves out
_COMMON = ("name", "trainable", "dtype", "activity_regularizer")
_BASE = ("autocast", "input_shape", "input_dim")


class Layer(LayerTree, AddsWeights, LayerAttributes, Configurable):
    """A layer of a network. Subclasses define some of four methods, or array code.

    The methods are `make_weights`, `sample_output_shape`, `forward` and `backward`. Array code, as for Keras, is
    ``call(self, x)``, with `build` for weights: operators, NumPy's functions and those of `fastnet.ops`.

    An attribute with the name of an argument may be replaced, and counts from the next step on, unless weights or
    shapes follow from it.

    Args:
        activity_regularizer: penalty on the layer's result, divided by the rows of the batch; a name or one of
            `fastnet.regularizers`.
        trainable: whether an optimizer changes its weights.
        dtype: "float32" or "float64"; by default `fastnet.config.floatx()`.
        autocast: accepted, without effect: data are always converted to the layer's dtype.
        name: unique in a model; by default the class's name with a number.
        input_shape: shape of one sample, instead of an `Input` before the first layer.
        input_dim: the size of samples of one axis, instead of ``input_shape``.
        **unknown: must be empty.

    Raises:
        TypeError: the class lacks an argument, or a subclass defines a method of Keras's that is not called here, such
            as `get_build_config`, or `build` without `call`.

    Example:
        >>> layer = layers.Dense(2, name="out")
        >>> layer.build((None, 3))
        >>> [weight.shape for weight in layer.weights]
        [(3, 2), (2,)]
    """

    #: whether the mask of its input (`Masking`) is also that of its result; otherwise it is dropped, with a warning
    supports_masking = False
    #: the data that it reads: "float" (numbers in its dtype), "int32" (indices), or "any"
    reads = "float"
    passes_gradient = True  # whether there can be a gradient of what it reads
    #: whether all numbers of its result are numbers of its input; later layers then check the data too (`check_data`)
    keeps_values = False
    #: whether it changes weights in training, such as averages; its backward, if it has one, then always runs there
    updates_own_weights = False
    #: whether it works along the last axis: called on a vector (n,), it takes it for one sample, as in Keras
    reads_vectors = False
    built = False
    activity_regularizer: Any = None
    _kind = "layer"  # of `hooks.HOOKS`
    _training_calls = 0  # calls with training=True, each of which draws other noise
    _on_trial = False  # whether its weights are made only to find the shape of its result
    _outside_plans = ("trainable", "input_shape", "output_shape")  # plans record trainable weights themselves

    def __init_subclass__(cls, **more: Any):
        super().__init_subclass__(**more)
        if cls._kind == "layer":
            hooks.check_parameters(cls, **_PARAMETERS)
        if cls._kind == "layer" and array_layers.is_array_code(cls):
            array_layers.adopt(cls, Layer)
            hooks.refuse(cls, cls._kind, allowed=array_layers.ALLOWED)
        else:
            hooks.refuse(cls, cls._kind)
        # Without weights to make, and without layers to build, it is built from the start, as in Keras.
        cls.built = cls.make_weights is Layer.make_weights and cls.backward is not Layer.backward

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        input_shape: tuple[int, ...] | None = None,
        input_dim: int | None = None,
        **unknown: Any,
    ):
        if unknown:
            raise TypeError(unknown_argument(type(self).__name__, next(iter(unknown)), argument_names(type(self))))
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"{type(self).__name__}: name must be a string without '/', received {quoted(name)}.")
        self.name = name or numbered(snake_case(type(self).__name__))
        self.dtype = config.floatx() if dtype is None else config.check_dtype(dtype, self._owner)
        self.trainable = trainable
        self.activity_regularizer = activity_regularizer
        if input_dim is not None:
            input_shape = (checks.integer(f"{self._owner}: input_dim", input_dim),)
        self.given_input_shape: tuple[int, ...] | None = None
        if input_shape is not None:
            self.given_input_shape = checks.sample_shape(f"{self._owner}: input_shape", input_shape, True)
        self.input_shape: tuple[int, ...] | None = None
        self.output_shape: tuple[int, ...] | None = None
        self._variables: list[Variable] = []

    def connect(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Build for samples of this shape, once; return the shape of the result.

        Raises:
            ValueError: the shape does not fit. After this and any other error the layer is unchanged.
        """
        output_shape = self.sample_output_shape(input_shape)
        layers = all_parts(self)
        if not all(layer.built for layer in layers):
            with unchanged_on_error(layers):
                if not self.built:
                    self.make_weights(input_shape)
                self._check_sublayers()
                for use in self.uses(input_shape):
                    use.layer.connect(use.input_shape)
        self.built = True
        self.keep_shapes(input_shape, output_shape)
        return output_shape

    def keep_shapes(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Keep the shape of a sample and of its result, whose sizes may be None."""
        self.input_shape, self.output_shape = input_shape, output_shape

    def build(self, input_shape: Any) -> None:
        """Make the weights for data of this shape, once.

        Args:
            input_shape: with the batch first, as in Keras: ``(None, 784)``; None for layers without weights.

        Raises:
            ValueError: the shape does not fit, or existing weights do not fit it.
        """
        if input_shape is None and type(self).built:
            return
        if "_is_building" in vars(self):  # `super().build(input_shape)` in a build of Keras's form
            hooks.nearest_own(type(self)).make_weights(self, tuple(input_shape)[1:])
            return
        shape = checks.batch_shape(f"{self._owner}: input_shape", input_shape)
        open_shapes.connect(self, open_shapes.probes(shape))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """The shape of its result for data of this shape, both with the batch first, as in Keras."""
        shape = checks.batch_shape(f"{self._owner}: input_shape", input_shape)
        return (next(iter(input_shape)), *open_shapes.result(self.sample_output_shape, shape))

    def open_uses(self, input_shape: tuple[Any, ...]) -> list[Use]:
        """`uses` for samples whose sizes may be None."""
        return list(open_shapes.uses(self, input_shape))

    def make_weights(self, input_shape: tuple[int, ...]) -> None:
        """Make the weights for samples of this shape; called once. A subclass's own.

        The layers that its forward applies are built afterwards.
        """

    def sample_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample's result. A subclass's own.

        By default ``input_shape``, or for a layer that applies others, the shape of their result.
        """
        if not self.composite:
            return input_shape
        if self.built or type(self).make_weights is Layer.make_weights:
            return trace(self, input_shape).shape
        with on_trial(all_parts(self)):  # its forward may read weights
            self.make_weights(input_shape)
            return trace(self, input_shape).shape

    def forward(self, plan: Plan, x: View) -> View:
        """Add the launches that compute y from x."""
        raise NotImplementedError(
            f"{type(self).__name__} defines neither call(self, x), which is array code, nor forward(self, plan, x)."
        )

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        """Add the launches that compute the gradients of the weights and, where ``x.needs_gradient``, of x.

        A layer whose forward only applies others (`Plan.apply`, `Plan.combine`) does not define this: the plan goes
        back through them.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no backward(plan, dy, x, y).")

    @property
    def composite(self) -> bool:
        """Whether its backward is that of the layers that its forward applies."""
        return type(self).backward is Layer.backward

    @property
    def metrics(self) -> list[Any]:
        """Its attributes that are metrics, and those of the layers within it."""
        own = [value for value in vars(self).values() if hasattr(value, "update_state") and hasattr(value, "result")]
        return own + [metric for layer in self.sublayers for metric in layer.metrics]

    def mask_of_arrays(self, inputs: Any, previous_mask: Any) -> Any:
        """What `compute_mask` gives for arrays. A subclass's own; by default ``previous_mask``, as in Keras."""
        if self.composite:
            raise TypeError(
                f"{self._owner} applies other layers: call compute_mask(inputs, previous_mask) of each of them."
            )
        return previous_mask

    def compute_mask(self, plan: Any, x: Any = None, y: View | None = None) -> Any:
        """The mask of the result: that of ``x`` if the layer supports masking, otherwise None, with a warning.

        Of arrays, as in Keras, ``compute_mask(inputs, previous_mask)``: a truth value for each step, or None.

        Raises:
            ValueError: the layer supports masking and changes the steps.
            TypeError: it is called on arrays, and applies other layers.

        Example:
            >>> layers.Masking(0.0).compute_mask(np.array([[[0.0, 0.0], [1.0, 0.0]]])).tolist()
            [[False, True]]
        """
        if not isinstance(plan, Plan):
            return self.mask_of_arrays(plan, x)
        if y is None:
            raise TypeError(f"{self._owner}: compute_mask takes (plan, x, y), or arrays (inputs, previous_mask).")
        if x.mask is None:
            return None
        if not self.supports_masking:
            checks.warn(
                f"{self._owner} does not support masking and drops the mask of its input: from here on the steps that "
                "were left out count, in the loss and the metrics too."
            )
            return None
        if y.shape[:-1] != x.mask.shape:
            raise ValueError(
                f"{self._owner} supports masking and must keep the steps: for samples of shape {x.shape}, whose mask "
                f"has the shape {x.mask.shape}, it gives {y.shape}. A layer that changes the steps defines "
                "compute_mask(plan, x, y)."
            )
        return x.mask

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, without weights, as plain data for JSON."""
        names = [name for name in argument_names(type(self)) if name not in (*_BASE, *_COMMON)]
        return self._base_config() | self.described_arguments(names)

    def _base_config(self) -> dict[str, Any]:
        """The arguments of every layer as plain data."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a layer from the result of `get_config`, or of Keras's method of this name.

        What every layer has (``name``, ``trainable`` ...) is set afterwards where ``__init__`` does not take it.
        """
        config = serialization.arguments(cls, config)
        if isinstance(config.get("dtype"), dict):  # a policy of Keras's
            config["dtype"] = config["dtype"].get("config", {}).get("name")
        accepted = argument_names(cls)
        later = {name: config.pop(name) for name in _COMMON if name in config and name not in accepted}
        layer = super().from_config(config)
        for name, value in later.items():
            setattr(layer, name, serialization.deserialize_keras_object(value))
        return layer

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The result of the layer for these rows; the layer is built for them if necessary.

        Args:
            inputs: (n, ...); converted to the layer's dtype. A vector is n samples of one number; for a layer that
                works along the last axis, such as `Softmax`, it is one sample, as in Keras.
            training: True for the result as in training: noise is drawn, other one in each call, and batch
                normalization takes the statistics of the rows and moves its averages.
            mask: says of each step (n, ...), without the last axis, whether it counts, as that of `Masking`.

        Raises:
            ValueError: a shape does not fit, or the data are not numbers.
        """
        if isinstance(inputs, SymbolicArray):
            return applied(self, inputs, training, mask)
        with trimmed:
            return calls.run(self, inputs, training, mask)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """What the layer does with its data. A subclass's own is array code, which may use its parent's.

        Args:
            inputs, training, mask: as of ``layer(inputs)``; in a subclass's call an array of the formula.

        Raises:
            NotImplementedError: in a subclass's call, where the parent is `Layer` or applies other layers.
            TypeError: in a subclass's call, for other arrays.

        Example:
            >>> class Doubled(fastnet.layers.Dense):
            ...     def call(self, x):
            ...         return 2 * super().call(x)
            >>> Doubled(1, kernel_initializer="ones")([[1.0, 2.0]]).tolist()
            [[6.0]]
        """
        if not array_layers.is_array_code(type(self)):
            return self(inputs, training, mask)
        if not isinstance(inputs, SymbolicArray):
            raise TypeError(f"{self._owner}: super().call takes an array that call is given, or a formula of it.")
        return applied(array_layers.inherited(self, Layer), inputs, training, mask)

    def add_loss(self, loss: Any) -> None:
        """Add a number to the loss of the batch, within ``call``.

        Args:
            loss: a formula of weights, and of sums and means over the batch, such as ``ops.mean(ops.square(x))``.

        Raises:
            RuntimeError: no ``call`` is running.

        Example:
            >>> from fastnet import layers, ops
            >>> class Sparse(layers.Layer):
            ...     def call(self, x):
            ...         self.add_loss(0.01 * ops.mean(ops.abs(x)))
            ...         return x
            >>> Sparse()([[1.0, 2.0]]).tolist()
            [[1.0, 2.0]]
        """
        if tracing.add_loss is None:
            raise RuntimeError(f"{self._owner}: add_loss is a part of call(self, x): call it there.")
        tracing.add_loss(loss)

    def __repr__(self) -> str:
        shape = "" if not self.built or self.output_shape is None else f" {self.output_shape}"
        return f"<{type(self).__name__} {self.name}{shape}>"
