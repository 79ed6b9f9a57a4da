"""The tables of what fastnet knows: one row declares a thing, and everything else follows from it.

A row holds the formula's rules, the parameters with their defaults, and what the backward pass keeps.  From it follow
the string name, the kernels of every dtype and target, the tests and the benchmark.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

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
    """

    name: str
    f: Callable
    df: Callable
    keeps: str = "x"
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """One run over the elements of a row that folds them into numbers.

    Args:
        start: the numbers' first values.
        accumulate: rule ``(*numbers, x, t, *earlier) -> numbers``, for each element x and target t; ``earlier`` are the
            numbers of the passes before.
        finish: rule ``(*numbers, *earlier) -> numbers``, after the last element; None where nothing remains to be done.

    Where a pass has one number, its rules return it bare.
    """

    start: tuple[float, ...]
    accumulate: Callable
    finish: Callable | None = None


@dataclass(frozen=True, eq=False)
class RowRule:
    """A function of a whole row: passes that fold it into numbers, then ``value`` of these, or ``element`` of each x.

    ``value(*folded)`` is the row's result (a loss), ``element(x, t, *folded)`` the result for each element (softmax,
    the gradient of a loss, None where there is none); ``folded`` are the numbers of all passes.  ``t`` is the target's
    element, or 0.  The parameters of a `Loss` follow the other arguments of each of these rules.
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
        row: instead of ``f``, a rule over the last axis.
        targets: "dense" (the shape of the prediction; a row rule smooths the labels), "raw" (the same without
            smoothing), "signs" (the same; where a batch has only 0 and 1 they become -1 and 1), "sparse" (a class index
            for each row, seen as a one-hot row) or "label" (seen as a number).
        parameters: names and defaults of the further arguments of ``f``; their annotations are ranges (`ranges.py`).
        public: name of the class in `fastnet.losses` and `fastnet.metrics` that is this rule with its parameters and no
            more; the function of arrays has the row's name. Their docstrings begin with that of ``f``, or of the value
            of ``row``.
        example: targets, predictions and their loss, for these docstrings.
        is_metric: whether the class is one of `fastnet.metrics` too.
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

    @property
    def sparse(self) -> bool:
        """Whether a target is a class index instead of a row."""
        return self.targets in ("sparse", "label")

    @property
    def ranges(self) -> dict[str, Range]:
        """The ranges of the parameters that have one."""
        return _ranges(self.f) if self.f is not None else {}

    @property
    def formula(self) -> str:
        """The docstring of its rule."""
        rule = self.f if self.row is None else self.row.value
        return inspect.getdoc(rule) or ""


def _ranges(rule: Callable) -> dict[str, Range]:
    """The parameters of a rule that are annotated with a range."""
    found = {p.name: p.annotation for p in inspect.signature(rule).parameters.values()}
    return {name: annotation for name, annotation in found.items() if isinstance(annotation, tuple)}


class Carried:
    """Annotation of a scalars rule's argument that the step before hands on; its default is the first value."""


@dataclass(frozen=True, eq=False)
class Update:
    """An optimizer's update of one weight.

    Args:
        name: the string a user gives.
        f: rule ``f(w, g, *states, *scalars) -> w, *states``. Its docstring is that of the ``public`` class.
        scalars: float64 rule ``scalars(rate, t, *parameters, *carried) -> *scalars, *carried``, computed once a step;
            ``t`` counts from 1. One number is returned bare. Its signature declares the parameters: names, defaults,
            and ranges (`ranges.py`) as annotations; arguments that are `Carried` come last.
        states: names of what is stored for each weight, starting at 0.
        starts: their start values, 0 where not named; a string is the name of a parameter, "learning_rate" or "weight".
        direction: whether the weight changes only when something is known of the whole of it. ``f`` then leaves it as
            it is and gives a direction as its last state, which is there for the step alone; w -= factor · direction
            follows.
        factor: float64 rule ``factor(w_squares, direction_squares, size, *scalars)``, of the sums of squares; by
            default the first of the scalars.
        means: states that are means over one axis of the weight: name → the axis they lack. They come after
            ``states``; ``f`` is not given them.
        learning_rate: its default.
        public: name of the class in `fastnet.optimizers` that is this rule with its parameters and no more.
    """

    name: str
    f: Callable
    scalars: Callable
    states: tuple[str, ...] = ()
    starts: Mapping[str, float | str] = field(default_factory=dict)
    direction: bool = False
    factor: Callable | None = None
    means: Mapping[str, int] = field(default_factory=dict)
    learning_rate: float = 0.001
    public: str = ""

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
        """Names and start values of float64 numbers that ``scalars`` hands on to the next step."""
        return {p.name: p.default for p in self._declared if p.annotation is Carried}

    @cached_property
    def scalar_count(self) -> int:
        """How many scalars ``f`` takes."""
        return len(inspect.signature(self.f).parameters) - 2 - len(self.states) - self.direction

    @property
    def _declared(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.scalars).parameters.values())[2:]


class Table(dict):
    """Rows by name; an unknown name is an error that offers the nearest known ones.

    Args:
        kind: of its rows, for errors.
        own: names that are fastnet's without a row.
    """

    def __init__(self, kind: str, *own: str):
        super().__init__()
        self.kind, self.own = kind, set(own)

    def add(self, row, *names: str):
        """Enter one of fastnet's own rows under its name, and under further names."""
        self.own.update((row.name, *names))
        self.update(dict.fromkeys((row.name, *names), row))
        return row

    def register(self, row):
        """Enter a user's row; one that had its name makes way, so that a notebook's cell may run again."""
        if row.name in self.own:
            raise ValueError(f"The {self.kind} {row.name!r} is fastnet's own; register yours under another name.")
        self[row.name] = row
        return row

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
    """The sentence for an unknown name."""
    near = nearest(str(name), known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"Unknown {kind} {name!r}.{hint} Known: {', '.join(sorted(set(known)))}."


def nearest(name: str, known) -> list[str]:
    """The known names that end with this one ("crossentropy"), else those that are spelled alike; each once."""

    def folded(text):
        return text.replace("_", "").replace("-", "").lower()

    spelled: dict[str, str] = {}
    for each in sorted(known, reverse=not name[:1].isupper()):  # of MeanSquaredError and mean_squared_error one
        spelled.setdefault(folded(each), each)
    ends = [each for each in spelled if len(name) > 3 and each.endswith(folded(name))]
    near = sorted(ends, key=len)[:5] or difflib.get_close_matches(folded(name), spelled, n=3, cutoff=0.5)
    return [spelled[each] for each in near]


activations = Table("activation", "softmax", "log_softmax")
losses = Table("loss")
metrics = Table("metric")
updates = Table("optimizer")


def parameter_names(rule: Callable, leading: int) -> list[str]:
    """The names of a rule's parameters behind the first ``leading`` ones."""
    return list(inspect.signature(rule).parameters)[leading:]


def _check(kind: str, name: object, rule: Callable, df: Callable | None = None, results: int | None = 1) -> None:
    """A name that can be one, and rules that can become kernels: said now, and not in the middle of training."""
    from fastnet._kernels import pasting  # it reads this module's rows

    pasting.check_rule(rule, results)
    if df is not None:
        pasting.check_rule(df)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"The name of the {kind} must be an identifier, received {name!r}.")


def _check_parameters(kind: str, name: str, rule: Callable, leading: int, parameters: Mapping[str, float]) -> None:
    names = parameter_names(rule, leading)
    if len(inspect.signature(rule).parameters) < leading:
        wanted = f"{leading} argument{'s' * (leading > 1)}"
        raise ValueError(f"The {kind} {name!r}: {rule.__name__!r} must take at least {wanted}, it takes fewer.")
    if names != list(parameters):
        raise ValueError(
            f"The {kind} {name!r}: the parameters of {rule.__name__!r} behind the first {leading} are {names}, but "
            f"defaults are given for {list(parameters)}. The rule and its derivative take the same parameters in the "
            "same order, and the rule gives each one a default."
        )


def _defaults(rule: Callable, leading: int) -> dict[str, float]:
    """Defaults written in a rule's own signature."""
    parameters = list(inspect.signature(rule).parameters.values())[leading:]
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def register_activation(name: str, f: Callable, df: Callable | None = None, keeps: str = "x") -> Activation:
    """Make ``activation=name`` known, with kernels for every dtype and target.

    Args:
        name: the string users give.
        f: a plain function of a scalar ``f(x)``; further arguments with defaults become parameters.
        df: its derivative, a function of ``x``, or of ``y`` where ``keeps="y"``; by default found by differentiation.
        keeps: "x" or "y", what ``df`` is a function of.

    Raises:
        ValueError: a bad name, one of fastnet's own, or arguments that do not fit; `fastnet.RuleError`, a kind of it,
            for a rule that cannot become a kernel. Nothing is registered then.

    Example:
        >>> import math, fastnet
        >>> def bent(x):
        ...     return (math.sqrt(x * x + 1) - 1) / 2 + x
        >>> fastnet.register_activation("bent_identity", bent).name
        'bent_identity'
    """
    return activations.register(activation_row(name, f, df, keeps))


def activation_row(name: str, f: Callable, df: Callable | None = None, keeps: str = "x") -> Activation:
    """The row `register_activation` enters; it is in no table."""
    if keeps not in ("x", "y"):
        raise ValueError(f"The activation {name!r}: keeps must be 'x' or 'y', received {keeps!r}.")
    _check("activation", name, f, df)
    parameters = _defaults(f, 1)
    _check_parameters("activation", name, f, 1, parameters)
    if df is not None:
        _check_parameters("activation", name, df, 1, parameters)
    if df is None:
        from fastnet._kernels import differentiate  # needed by this alone, and it takes time to import

        df, keeps = differentiate.derivative_rule(f, next(iter(inspect.signature(f).parameters))), "x"
    return Activation(name, f, df, keeps, parameters)


def register_loss(name: str, f: Callable, df: Callable | None = None) -> Loss:
    """Make ``loss=name`` known: the mean over the last axis of ``f(y_true, y_pred)``.

    Args:
        name: the string users give.
        f: a plain function of two scalars, the target and the prediction.
        df: its derivative by the prediction; by default found by differentiation.

    Raises:
        ValueError: a bad name, one of fastnet's own, or arguments that do not fit; `fastnet.RuleError`, a kind of it,
            for a rule that cannot become a kernel. Nothing is registered then.

    Example:
        >>> def cubic(y_true, y_pred):
        ...     return abs(y_pred - y_true) ** 3
        >>> fastnet.register_loss("cubic", cubic).name
        'cubic'
    """
    return losses.register(loss_row(name, f, df))


def loss_row(name: str, f: Callable, df: Callable | None = None, gradient: bool = True, of_class: bool = False) -> Loss:
    """A row of its own for a user's loss, see `register_loss`; for a metric where no ``gradient`` is wanted.

    Of a class the parameters need no defaults: they are attributes.
    """
    kind = "loss" if gradient else "metric"
    _check(kind, name, f, df)
    parameters = dict.fromkeys(parameter_names(f, 2), math.nan) if of_class else _defaults(f, 2)
    _check_parameters(kind, name, f, 2, parameters)
    if df is not None:
        _check_parameters(kind, name, df, 2, parameters)
    if df is None and gradient:
        from fastnet._kernels import differentiate

        df = differentiate.derivative_rule(f, list(inspect.signature(f).parameters)[1])
    return Loss(name, f, df, parameters=parameters)


def register_optimizer(name: str, f: Callable, states: tuple[str, ...] = (), **parameters: float) -> Update:
    """Make ``optimizer=name`` known: ``f(w, g, *states, rate, *parameters) -> w, *states`` for one weight.

    Args:
        name: the string users give.
        f: the update rule: weight, gradient, states, learning rate, parameters → new weight and states.
        states: names of what is kept for each weight; they start at 0.
        parameters: names and defaults of the rule's further arguments (``learning_rate=`` sets the rate's default).

    Raises:
        ValueError: a bad name, one of fastnet's own, or arguments that do not fit; `fastnet.RuleError`, a kind of it,
            for a rule that cannot become a kernel. Nothing is registered then.

    Example:
        >>> def signed(w, g, rate):
        ...     return w - rate * (1 if g > 0 else (-1 if g < 0 else g))
        >>> fastnet.register_optimizer("signed", signed, learning_rate=1e-3).learning_rate
        0.001
    """
    _check("optimizer", name, f, results=None)
    rate = parameters.pop("learning_rate", 0.01)
    names = parameter_names(f, 2)
    fits = len(names) == len(states) + 1 + len(parameters)
    if not fits or names[: len(states)] != list(states) or names[len(states) + 1 :] != list(parameters):
        raise ValueError(
            f"The optimizer {name!r}: the rule must take (w, g, {', '.join([*states, 'rate', *parameters])}), "
            f"it takes ({', '.join(parameter_names(f, 0))})."
        )
    _check("optimizer", name, f, results=1 + len(states))
    shared = ", ".join(["rate", *parameters])
    from fastnet._kernels import tangents

    scalars = tangents.rule_from_source(f"def scalars({', '.join(['rate', 't', *parameters])}):\n    return {shared}\n")
    scalars.__module__ = f.__module__  # a user's text, known by itself
    scalars.__defaults__ = tuple(parameters.values())
    return updates.register(Update(name, f, scalars, tuple(states), learning_rate=rate))
