"""Layers made of layers side by side: residual connections and parallel branches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from fastnet import checks, serialization
from fastnet._kernels.errors import quoted
from fastnet.default_names import numbered
from fastnet.engine import operations
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.layer import Layer
from fastnet.layers.network import Network

_MERGES: dict[str, Any] = {
    "concat": operations.Concatenate,
    "add": operations.Add,
    "multiply": operations.Multiply,
    "average": operations.Average,
    "maximum": operations.Maximum,
}


class _OfBranches(Layer):
    """A layer whose arguments ``_branches`` are layers, or lists of them."""

    _branches: ClassVar[tuple[str, ...]]

    def described_arguments(self, names: Iterable[str]) -> dict[str, Any]:
        """The arguments of these names as plain data; a subclass may take others."""
        names = list(names)
        with serialization.sharing():
            parts = {name: _described(getattr(self, name)) for name in names if name in self._branches}
            return parts | super().described_arguments(name for name in names if name not in parts)


class Wrapper(_OfBranches):
    """A layer around another one, for subclasses: its weights are those of ``layer``, and its own.

    A subclass defines `forward`, which applies ``self.layer`` (docs/extending.md); this one only applies it.

    Args:
        layer: the layer.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: ``layer`` is not a layer.

    Example:
        >>> class Doubled(layers.Wrapper):
        ...     def forward(self, plan, x):
        ...         y = plan.apply(self.layer, x)
        ...         return plan.combine(fastnet.extend.Add(), y, y)
        >>> layer = Doubled(layers.Dense(1, kernel_initializer="ones"))
        >>> layer([[1.0, 2.0]]).tolist()
        [[6.0]]
    """

    _branches = ("layer",)
    _fixed: ClassVar[tuple[str, ...]] = ("layer",)

    def __init__(self, layer: Layer, **more: Any):
        super().__init__(**more)
        if not isinstance(layer, Layer):
            raise ValueError(f"{self._owner}: layer must be a layer, received {quoted(layer)}.")
        self.layer = layer

    def sample_output_shape(self, input_shape):
        return self.layer.sample_output_shape(input_shape)

    def forward(self, plan: Plan, x: View) -> View:
        return plan.apply(self.layer, x)


class Residual(_OfBranches):
    """y = branch(x) + shortcut(x): a branch with a way around it; He et al. 2016, arXiv:1512.03385, equations 1 and 2.

    The sum is joined to the branch's last product or formula, and needs no pass of its own.

    Args:
        branch: a layer, a `Sequential`, or a list of layers that are applied in order.
        shortcut: the same, for the other way; None for y = branch(x) + x.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    A mask of the input goes through both ways, as it does through their layers; a step of the result counts where it
    counts in one of them.

    Raises:
        ValueError: a branch is not a layer, or the results have different shapes.

    Example:
        >>> block = layers.Residual([layers.Dense(8, activation="relu"), layers.Dense(4)])
        >>> fastnet.Sequential([layers.Input((4,)), block, layers.Dense(1)]).output_shape
        (None, 1)
    """

    _fixed = _branches = ("branch", "shortcut")

    def __init__(self, branch: Any, shortcut: Any = None, **more: Any):
        super().__init__(**more)
        self.branch = as_layer(f"{self._owner}: branch", branch)
        self.shortcut = None if shortcut is None else as_layer(f"{self._owner}: shortcut", shortcut)
        _must_differ(self._owner, self.sublayers)

    def sample_output_shape(self, input_shape):
        result = self.branch.sample_output_shape(input_shape)
        other = input_shape if self.shortcut is None else self.shortcut.sample_output_shape(input_shape)
        if other != result:
            way = "the input has" if self.shortcut is None else "the shortcut gives"
            raise ValueError(
                f"{self._owner} adds results of one shape; for samples of shape {input_shape} the branch gives "
                f"{result}, {way} {other}. Give a shortcut whose result has the branch's shape, such as "
                f"shortcut=layers.Dense({result[-1] if result else 1})."
            )
        return result

    def forward(self, plan: Plan, x: View) -> View:
        y = plan.apply(self.branch, x)
        other = x if self.shortcut is None else plan.apply(self.shortcut, x)
        return _merged(plan, operations.Add(), (y, other))


class Parallel(_OfBranches):
    """The results of several branches that read the same data, merged.

    Args:
        branches: a list whose items are layers, `Sequential` models or lists of layers that are applied in order.
        merge: "concat" for the results side by side along the last axis, each written in place; "add",
            "multiply", "average" or "maximum" element by element.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    A mask of the input goes through the branches, as it does through their layers; a step of the result counts where it
    counts in one of them.

    Raises:
        ValueError: there are no branches, a branch is not a layer, merge has another value, or the shapes of the
            results cannot be merged.

    Example:
        >>> wide_and_deep = layers.Parallel([layers.Dense(2), [layers.Dense(8, activation="relu"), layers.Dense(2)]])
        >>> fastnet.Sequential([layers.Input((3,)), wide_and_deep]).output_shape
        (None, 4)
    """

    _fixed = ("branches", "merge")
    _branches = ("branches",)

    def __init__(self, branches: Sequence[Any], merge: str = "concat", **more: Any):
        super().__init__(**more)
        if not isinstance(branches, (list, tuple)) or not branches:
            raise ValueError(f"{self._owner}: branches must be a list of layers, received {quoted(branches)}.")
        self.branches = [as_layer(f"{self._owner}: branch {i}", branch) for i, branch in enumerate(branches)]
        self.merge = checks.one_of(f"{self._owner}: merge", merge, *_MERGES)
        _must_differ(self._owner, self.sublayers)

    def sample_output_shape(self, input_shape):
        shapes = [branch.sample_output_shape(input_shape) for branch in self.branches]
        first = shapes[0]
        concatenates = self.merge == "concat"
        compared = {shape[:-1] if concatenates else shape for shape in shapes}
        if len(compared) == 1 and not (concatenates and () in shapes):
            return (*first[:-1], sum(shape[-1] for shape in shapes)) if concatenates else first
        wanted = "results that differ in their last axis alone" if concatenates else "results of one shape"
        raise ValueError(
            f"{self._owner} with merge={self.merge!r} needs {wanted}; for samples of shape {input_shape} its branches "
            f"give {', '.join(map(str, shapes))}."
        )

    @property
    def reads(self) -> str:  # type: ignore[override]
        """The data that its branches read, if all of them read the same kind."""
        found = {branch.reads for branch in self.branches}
        return found.pop() if len(found) == 1 else "float"

    @property
    def keeps_values(self) -> bool:  # type: ignore[override]
        """Whether its branches and the merge keep values."""
        return _MERGES[self.merge].keeps_values and all(branch.keeps_values for branch in self.branches)

    def forward(self, plan: Plan, x: View) -> View:
        results = tuple(plan.apply(branch, x) for branch in self.branches)
        return results[0] if len(results) == 1 else _merged(plan, _MERGES[self.merge](), results)


def as_layer(argument: str, given: Any) -> Layer:
    """A layer, or a list of layers that are applied in order, as one layer.

    Raises:
        ValueError: the object is neither.
    """
    if isinstance(given, Layer):
        return given
    if not isinstance(given, (list, tuple)) or not given or not all(isinstance(layer, Layer) for layer in given):
        raise ValueError(f"{argument} must be a layer or a list of layers, received {quoted(given)}.")
    return given[0] if len(given) == 1 else Stack(list(given))


def _must_differ(owner: str, layers: Sequence[Layer]) -> None:
    """Check that no two layers have the same name."""
    names = [layer.name for layer in layers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{owner}: two layers have the name {twice!r}; give one of them another (name=...).")


def _described(branch: Any) -> Any:
    """A layer, or a list of branches, as plain data; a list of layers stays a list."""
    if isinstance(branch, list):
        return [_described(item) for item in branch]
    return serialization.serialize_keras_object(branch.layers if isinstance(branch, Stack) else branch)


class Stack(Network):
    """A list of layers that are applied in order, as one layer.

    Args:
        layers: in order.
    """

    def __init__(self, layers: Sequence[Layer]):
        super().__init__(layers, True, numbered("stack"))


def _merged(plan: Plan, operation: Any, results: tuple[View, ...]) -> View:
    """Add the launches that merge results, in the dtype of the layer that merges them."""
    cast = operations.Cast(plan.dtype)
    return plan.combine(operation, *(x if x.dtype == plan.dtype else plan.combine(cast, x) for x in results))
