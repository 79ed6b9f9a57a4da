"""The tables of activations, losses and updates: one row declares one, and everything else follows from the row.

A row holds the formula's rules, the parameters with their defaults, and the values that the backward pass needs. The
name, the kernels of every dtype and target, the tests and the benchmark follow from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastnet._kernels.errors import quoted
from fastnet._kernels.ranges import Range


@dataclass(frozen=True, eq=False)
class Activation:
    """An elementwise activation y = f(x, *parameters).

    Args:
        name: the string a user gives.
        f: the rule.
        df: its derivative dy/dx, a function of ``x`` or ``y`` (see ``keeps``) and the parameters; by default
            differentiated from ``f``.
        keeps: "x" or "y": the argument of ``df``, the buffer that must live until the backward pass.
        parameters: names and defaults of the further arguments.
        declared: of a user's row, the function that made it and its arguments.
    """

    name: str
    f: Callable
    df: Callable
    keeps: str = "x"
    parameters: Mapping[str, float] = field(default_factory=dict)
    declared: tuple = ()


@dataclass(frozen=True)
class Pass:
    """One run over the elements of a row that folds them into accumulators.

    Args:
        start: the accumulators' first values.
        accumulate: rule ``(*accumulators, x, t, *earlier) -> accumulators``, for each element x and target t;
            ``earlier`` are the accumulators of the passes before.
        finish: rule ``(*accumulators, *earlier) -> accumulators``, after the last element; None if it is not needed.
        sums: the positions of the accumulators to which each element only adds something; of long rows they are added
            in parts, without the error of a long sum.

    Where a pass has one accumulator, its rules return it bare.

    Example:
        >>> import math
        >>> from fastnet import extend
        >>> def larger(largest, x, t):
        ...     return largest if x < largest else x
        >>> extend.Pass((-math.inf,), larger).start
        (-inf,)
    """

    start: tuple[float, ...]
    accumulate: Callable
    finish: Callable | None = None
    sums: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class RowRule:
    """A function of a row: passes that fold it into accumulators, then ``value`` of these, or ``element`` of each x.

    ``value(*folded)`` is the row's result (a loss), ``element(x, t, *folded)`` the result for each element (softmax,
    the gradient of a loss; None without one); ``folded`` are the accumulators of all passes.  ``t`` is the target's
    element, or 0.  The parameters of a `Loss` follow the other arguments of each of these rules.

    Example:
        >>> from fastnet import extend
        >>> def add(total, x, t):
        ...     return total + abs(x - t)
        >>> def value(total):
        ...     return total
        >>> def slope(x, t, total):
        ...     return 1 if x > t else -1
        >>> len(extend.RowRule((extend.Pass((0.0,), add),), slope, value).passes)
        1
    """

    passes: tuple[Pass, ...]
    element: Callable | None
    value: Callable | None = None


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss, or a metric of each row: elementwise and averaged over the last axis, or a row rule.

    Args:
        name: the string a user gives.
        f: rule ``f(y_true, y_pred, *parameters)`` of one element.
        df: its derivative by ``y_pred``; None for a metric.
        slopes: of a rule of several predictions, ``f(y_true, *predictions, *parameters)``, the derivative by each; the
            last axis of the predictions is divided among them.
        row: instead of ``f``, a rule over the last axis.
        targets: "dense" (the shape of the prediction; a row rule smooths the labels), "raw" (the same without
            smoothing), "signs" (the same; if a batch has only 0 and 1 they become -1 and 1), "sparse" (a class index
            for each row, seen as a one-hot row), "label" (seen as a number) or "group" (any integer for each row, equal
            for rows that belong together).
        parameters: names and defaults of the further arguments of ``f``; their annotations are ranges (`ranges.py`).
        public: name of the class in `fastnet.losses` and `fastnet.metrics` that is this rule with its parameters and no
            more; the function of arrays has the row's name. Their docstrings begin with that of ``f``, or of the value
            of ``row``.
        example: targets, predictions and their loss, for these docstrings.
        is_metric: whether the class is one of `fastnet.metrics` too.
        traced: instead of ``f``, a loss written as array code (`symbolic.losses.TracedLoss`).
        declared: as of an `Activation`.
    """

    name: str
    f: Callable | None = None
    df: Callable | None = None
    row: RowRule | None = None
    targets: str = "dense"
    parameters: Mapping[str, float] = field(default_factory=dict)
    public: str = ""
    example: tuple[list, list, float] | None = None
    is_metric: bool = True
    slopes: tuple[Callable, ...] = ()
    traced: Any = None
    declared: tuple = ()

    @property
    def outputs(self) -> int:
        """The number of predictions for each target."""
        return max(1, len(self.slopes))

    def target_shape(self, shape: tuple[int, ...], received: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """The shape of the targets of predictions of this shape.

        Args:
            shape: of a prediction.
            received: the shape of the targets that are given, on which a formula of arrays decides.

        Raises:
            ValueError: the last axis cannot be divided among the predictions of a target.
        """
        if self.traced is not None and received is not None and (*received, 1) != shape:
            return received or (1,)
        if self.sparse or self.outputs == 1:
            return shape[:-1] if self.sparse else shape
        if not shape or shape[-1] % self.outputs:
            raise ValueError(
                f"The loss {self.name!r} reads {self.outputs} predictions for each target: the last axis must be a "
                f"multiple of {self.outputs}; received predictions of shape {('n', *shape)}.".replace("'n'", "n")
            )
        return (*shape[:-1], shape[-1] // self.outputs)

    @property
    def sparse(self) -> bool:
        """Whether a target is an integer instead of a row."""
        return self.targets in ("sparse", "label", "group")

    def classes(self, width: int) -> int | None:
        """The number of classes that targets may name, for predictions of ``width``; None for any integers."""
        return None if self.targets == "group" else width

    @property
    def ranges(self) -> dict[str, Range]:
        """The ranges of the parameters that have one."""
        rule = self.f if self.row is None else self.row.value
        return {} if rule is None else _ranges(rule)

    @property
    def formula(self) -> str:
        """The docstring of its rule."""
        rule = self.f if self.row is None else self.row.value
        return inspect.getdoc(rule) or ""


def _ranges(rule: Callable) -> dict[str, Range]:
    """The parameters of a rule that are annotated with a range."""
    found = {p.name: p.annotation for p in inspect.signature(rule).parameters.values()}
    return {name: annotation for name, annotation in found.items() if isinstance(annotation, Range)}


class Carried:
    """Annotation of a scalars rule's argument that the step before hands on; its default is the first value."""


@dataclass(frozen=True, eq=False)
class Stage:
    """Numbers of a weight that are computed from sums over it, before its update.

    Args:
        f: float64 rule ``(*parameters, *scalars, *numbers, *sums, *carried) -> *numbers``, of the numbers of the stages
            before; one number is returned bare.
        count: how many numbers it gives.
        parameters: values of its first arguments, which may differ between weights.
        sums: rules ``(w, g, *states, *scalars, *numbers)``, summed over the weight.
    """

    f: Callable
    count: int
    parameters: tuple[float, ...] = ()
    sums: tuple[Callable, ...] = ()


@dataclass(frozen=True, eq=False)
class Update:
    """An optimizer's update of one weight.

    Args:
        name: the string a user gives.
        f: rule ``f(w, g, *states, *scalars, *sums, *total_sums) -> w, *states``. Its docstring is that of the
            ``public`` class.
        scalars: float64 rule ``scalars(rate, t, *parameters, *carried) -> *scalars, *carried``, computed once a step;
            ``t`` counts from 1. One number is returned bare. Its signature declares the parameters: names, defaults,
            and ranges (`ranges.py`) as annotations; arguments that are `Carried` come last.
        states: names of the arrays stored for each weight, which start at 0.
        starts: other first values of states; a string is the name of a parameter, "learning_rate" or "weight".
        direction: whether the update needs numbers of the whole weight. ``f`` then leaves the weight unchanged, and
            returns a direction as its last state, which exists only in the step; w -= factor · direction follows.
        factor: float64 rule ``factor(w_squares, direction_squares, size, *scalars)``, of the sums of squares; by
            default the first of the scalars.
        means: states that are means over one axis of the weight: name → the axis they lack. They come after
            ``states``; ``f`` does not take them.
        sums: name → rule ``(w, g, *states, *scalars)``, summed over each weight before its update.
        total_sums: the same, summed over all weights.
        stages: instead of sums, numbers of the weight, one stage after the other; ``f`` takes them behind the scalars.
        carried: names of float64 numbers of each weight that the last numbers of the last stage hand on to the next
            step; ``f`` does not take these last numbers.
        whole: instead of ``f``, whose parameters still tell the scalars, what adds the launches of the update
            (`symbolic.whole_updates`); states may have any shapes, and those of one number are float64.
        learning_rate: its default.
        public: name of the class in `fastnet.optimizers` that is this rule with its parameters and no more.
        declared: as of an `Activation`.
    """

    name: str
    f: Callable
    scalars: Callable
    states: tuple[str, ...] = ()
    starts: Mapping[str, float | str] = field(default_factory=dict)
    direction: bool = False
    factor: Callable | None = None
    means: Mapping[str, int] = field(default_factory=dict)
    sums: Mapping[str, Callable] = field(default_factory=dict)
    total_sums: Mapping[str, Callable] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    carried: tuple[str, ...] = ()
    whole: Any = None
    learning_rate: float = 0.001
    public: str = ""
    declared: tuple = ()

    @cached_property
    def parameters(self) -> dict[str, float]:
        """Names and defaults of the further arguments of ``scalars``."""
        return {p.name: p.default for p in self._declared if p.annotation is not Carried}

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """The ranges of the parameters that have one."""
        return _ranges(self.scalars)

    @cached_property
    def memory(self) -> dict[str, float]:
        """Names and first values of float64 numbers that ``scalars`` hands on to the next step."""
        return {p.name: p.default for p in self._declared if p.annotation is Carried}

    @cached_property
    def scalar_count(self) -> int:
        """The number of scalars that ``f`` takes."""
        others = 2 + len(self.states) + self.direction + len(self.sums) + len(self.total_sums)
        others += sum(stage.count for stage in self.stages) - len(self.carried)
        return len(inspect.signature(self.f).parameters) - others

    @property
    def _declared(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.scalars).parameters.values())[2:]


class Table(dict):
    """Rows by name; an unknown name is an error that offers the nearest known ones.

    ``table[name]`` reads a user's functions anew: a row is another one where something that they refer to has changed.

    Args:
        kind: of its rows, for errors.
        built_in: names that are fastnet's without a row.
    """

    def __init__(self, kind: str, *built_in: str):
        super().__init__()
        self.kind, self.built_in = kind, set(built_in)
        self._adopted: set[str] = set()

    def add(self, row, *names: str):
        """Add one of fastnet's own rows under its name, and under further names."""
        self.built_in.update((row.name, *names))
        self.update(dict.fromkeys((row.name, *names), row))
        return row

    def register(self, row):
        """Add a user's row. It replaces an earlier row of its name: a notebook's cell may run again."""
        if row.name in self.built_in:
            raise ValueError(f"The {self.kind} {row.name!r} is fastnet's own; register yours under another name.")
        self[row.name] = row
        self._adopted.discard(row.name)
        return row

    def adopt(self, row) -> None:
        """Add a row from another process, unless the user registered one of its name here; a later one replaces it."""
        if row.name not in self or row.name in self._adopted:
            self[row.name] = row
            self._adopted.add(row.name)

    def __getitem__(self, name: str):
        row = super().__getitem__(name)
        if row.declared:
            make, *arguments = row.declared
            row = self[name] = make(*arguments)
        return row

    def knows(self, row) -> bool:
        """Whether its name stands for a row, or for one that was made by the same registration."""
        found = self.get(row.name)
        return found is row or (found is not None and bool(row.declared) and found.declared == row.declared)

    def find(self, name: str):
        """The row of a name."""
        try:
            return self[name]
        except KeyError:
            raise ValueError(unknown(self.kind, name, self)) from None

    def unique(self) -> list:
        """The rows, each once, in order of registration."""
        return list(dict.fromkeys(self.values()))


def unknown(kind: str, name: object, known) -> str:
    """The sentence for an unknown name, with a few known ones."""
    known = set(known)
    near = nearest(str(name), known)
    hint = f" Did you mean {' or '.join(map(quoted, near))}?"
    if not near:
        more = f" and {len(known) - 3} more" if len(known) > 3 else ""
        hint = f" Known: {', '.join(map(quoted, sorted(known)[:3]))}{more}."
    return f"Unknown {kind} {quoted(name)}.{hint}"


def nearest(name: str, known) -> list[str]:
    """Five known names that end with this one ("crossentropy"), else three that are spelled alike; each once."""
    import difflib  # only errors need it

    def folded(text):
        return text.replace("_", "").replace("-", "").lower()

    spelled: dict[str, str] = {}
    for each in sorted(known, reverse=not name[:1].isupper()):  # only one of MeanSquaredError and mean_squared_error
        spelled.setdefault(folded(each), each)
    ends = [each for each in spelled if len(name) > 3 and each.endswith(folded(name))]
    near = sorted(ends, key=len)[:5] or difflib.get_close_matches(folded(name)[:100], spelled, n=3, cutoff=0.5)
    return [spelled[each] for each in near]


activations = Table("activation", "softmax", "log_softmax", "sparsemax", "glu")
losses = Table("loss")
metrics = Table("metric")
updates = Table("optimizer")
