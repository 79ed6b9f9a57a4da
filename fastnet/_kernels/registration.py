"""Rows of the tables for users' functions: checked, differentiated where needed, and registered by name."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from fastnet._kernels import differentiate, pasting, tangents
from fastnet._kernels.declarations import (
    check_arguments,
    check_name,
    check_numbers,
    check_parameters,
    check_rules,
    check_scalars,
    checked_passes,
    defaults,
    parameter_names,
)
from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import Activation, Loss, Pass, RowRule, Update, activations, losses, updates
from fastnet._kernels.snapshots import snapshot


def name_of(function: Callable) -> str:
    """The name of a row for a function that comes without one."""
    name = getattr(function, "__name__", "")
    return name if name.isidentifier() else "function"


def in_neither_form(function: Callable, arrays: Exception, numbers: Exception | None, arguments: str) -> str:
    """The sentences that refuse a function.

    Args:
        function: of a user.
        arrays: why it is not array code.
        numbers: why it is not a rule; left out of a lambda, which never is one.
        arguments: of the rule that it might be, "a number".
    """
    if numbers is None or getattr(function, "__name__", "") == "<lambda>":
        return str(arrays)
    return f"{arrays} As a formula of {arguments}: {numbers}"


def _read_anew(make: Callable) -> Callable:
    """The function that makes a row of its arguments: it reads the functions among them in each call (`snapshots`), and
    calls ``make`` with what it read, and with ``declared``, only where that is new."""
    known = functools.lru_cache(maxsize=256)(make)

    @functools.wraps(make)
    def row(*given: Any) -> Any:
        return known(*map(_as_read, given), declared=(row, *given))

    return row


def _as_read(given: Any) -> Any:
    """An argument whose functions are as they are now."""
    if isinstance(given, tuple):
        return tuple(map(_as_read, given))
    if isinstance(given, Pass):
        return dataclasses.replace(given, accumulate=snapshot(given.accumulate), finish=snapshot(given.finish))
    return snapshot(given)


def register_activation(name: str, f: Callable, df: Callable | None = None, keeps: str = "x") -> Activation:
    """Register ``activation=name``, with kernels for every dtype and target.

    Args:
        name: the name, as users give it.
        f: a plain function of a scalar ``f(x)``; further arguments with defaults become parameters.
        df: its derivative, a function of ``x``, or of ``y`` if ``keeps="y"``; by default found by differentiation.
        keeps: "x" or "y", the argument of ``df``.

    Raises:
        ValueError: the name is not an identifier, or is fastnet's own, or arguments do not fit; `fastnet.RuleError`, a
            subclass, if the rule cannot become a kernel. After an error nothing is registered.

    Example:
        >>> import math, fastnet
        >>> def bent(x):
        ...     return (math.sqrt(x * x + 1) - 1) / 2 + x
        >>> fastnet.register_activation("bent_identity", bent).name
        'bent_identity'
    """
    return activations.register(activation_row(name, f, df, keeps))


def activation_row(name: str, f: Callable, df: Callable | None = None, keeps: str = "x") -> Activation:
    """A row for a user's activation, see `register_activation`; it is not in the table."""
    if keeps not in ("x", "y"):
        raise ValueError(f"The activation {name!r}: keeps must be 'x' or 'y', received {quoted(keeps)}.")
    check_name("activation", name)
    return _activation_row(name, f, df, keeps)


@_read_anew
def _activation_row(name: str, f: Callable, df: Callable | None, keeps: str, *, declared: tuple) -> Activation:
    check_rules(f, df)
    parameters = defaults(f, 1)
    check_parameters("activation", name, f, 1, parameters)
    if df is not None:
        check_parameters("activation", name, df, 1, parameters)
    if df is None:
        df, keeps = differentiate.derivative_rule(f, next(iter(inspect.signature(f).parameters))), "x"
    return Activation(name, f, df, keeps, parameters, declared)


def register_loss(name: str, f: Callable, df: Callable | None = None, outputs: int = 1) -> Loss:
    """Register ``loss=name``: the mean over the last axis of ``f(y_true, y_pred)``.

    Args:
        name: the name, as users give it.
        f: a plain function of two scalars, the target and the prediction; with ``outputs`` of as many predictions.
        df: its derivative by the prediction; by default found by differentiation.
        outputs: the number of predictions for each target. Those of d targets are the last axis of the model's result:
            d of the first, then d of the second.

    Raises:
        ValueError: the name is not an identifier, or is fastnet's own, or arguments do not fit; `fastnet.RuleError`, a
            subclass, if the rule cannot become a kernel. After an error nothing is registered.

    Example:
        >>> import math, fastnet
        >>> def cubic(y_true, y_pred):
        ...     return abs(y_pred - y_true) ** 3
        >>> fastnet.register_loss("cubic", cubic).name
        'cubic'
        >>> def gaussian(y_true, mean, log_variance):
        ...     return 0.5 * (log_variance + (y_true - mean) ** 2 * math.exp(-log_variance))
        >>> row = fastnet.register_loss("gaussian", gaussian, outputs=2)
        >>> fastnet.losses.get("gaussian")([[3.0]], [[1.0, 0.0]])
        2.0
    """
    if outputs == 1:
        return losses.register(loss_row(name, f, df))
    if not isinstance(outputs, int) or outputs < 1 or df is not None:
        raise ValueError(
            f"The loss {name!r}: outputs must be at least 1, and df is only for one; received {outputs!r}."
        )
    check_name("loss", name)
    return losses.register(_outputs_row(name, f, outputs))


@_read_anew
def _outputs_row(name: str, f: Callable, outputs: int, *, declared: tuple) -> Loss:
    """A row for a user's loss of several predictions for each target."""
    check_rules(f)
    parameters = defaults(f, 1 + outputs)
    check_parameters("loss", name, f, 1 + outputs, parameters)
    by = list(inspect.signature(f).parameters)[1 : 1 + outputs]
    slopes = tuple(differentiate.derivative_rule(f, prediction) for prediction in by)
    return Loss(name, f, parameters=parameters, slopes=slopes, declared=declared)


def register_row_loss(name: str, row: RowRule, targets: str = "raw", **parameters: float) -> Loss:
    """Register ``loss=name``, a loss of a whole row: passes that fold the predictions, and rules of their result.

    Args:
        name: the name, as users give it.
        row: see `fastnet.extend.RowRule`; its ``element`` is the derivative of its ``value`` by each prediction.
        targets: what t is: "raw", the target's element; "dense", the same, of a distribution; "sparse", 1 at the
            target's class and 0 elsewhere.
        parameters: names and defaults of numbers that follow the other arguments of each of its rules.

    Raises:
        ValueError: the name is not an identifier, or is fastnet's own, or a rule takes another number of arguments;
            `fastnet.RuleError`, a subclass, if a rule cannot become a kernel. After an error nothing is registered.

    Example:
        >>> import math, fastnet
        >>> from fastnet import extend
        >>> def add_square(total, x, t):
        ...     return total + (x - t) * (x - t)
        >>> def root(total):
        ...     return math.sqrt(total)
        >>> def slope(x, t, total):
        ...     return (x - t) / math.sqrt(total)
        >>> row = extend.RowRule((extend.Pass((0.0,), add_square),), slope, root)
        >>> _ = fastnet.register_row_loss("euclidean", row)
        >>> fastnet.losses.get("euclidean")([[0.0, 0.0]], [[3.0, 4.0]])
        5.0
    """
    if targets not in ("raw", "dense", "sparse"):
        raise ValueError(f"The loss {name!r}: targets must be 'raw', 'dense' or 'sparse', received {targets!r}.")
    if not isinstance(row, RowRule) or row.value is None or row.element is None:
        raise ValueError(f"The loss {name!r}: it takes an extend.RowRule with an element and a value.")
    check_name("loss", name)
    check_numbers("loss", name, parameters)
    passes = checked_passes(name, row.passes)
    return losses.register(_row_loss_row(name, passes, row.element, row.value, targets, tuple(parameters.items())))


@_read_anew
def _row_loss_row(
    name: str, passes: tuple[Pass, ...], element: Callable, value: Callable, targets: str,
    given: tuple[tuple[str, float], ...], *, declared: tuple,
) -> Loss:  # fmt: skip
    """A row for a user's loss of a whole row."""
    parameters, folded = dict(given), 0
    for each in passes:
        count = len(each.start)
        check_arguments(name, each.accumulate, count + 2 + folded, parameters, count)
        if each.finish is not None:
            check_arguments(name, each.finish, count + folded, parameters, count)
        folded += count
    check_arguments(name, value, folded, parameters, 1)
    check_arguments(name, element, 2 + folded, parameters, 1)
    row = RowRule(passes, element, value)
    return Loss(name, row=row, targets=targets, parameters=parameters, declared=declared)


def loss_row(name: str, f: Callable, df: Callable | None = None, gradient: bool = True, of_class: bool = False) -> Loss:
    """A row for a user's loss, see `register_loss`, or for a metric, without ``gradient``; it is not in the table.

    The parameters of a class need no defaults, since they are attributes.
    """
    check_name("loss" if gradient else "metric", name)
    return _loss_row(name, f, df, gradient, of_class)


@_read_anew
def _loss_row(name: str, f: Callable, df: Callable | None, gradient: bool, of_class: bool, *, declared: tuple) -> Loss:
    kind = "loss" if gradient else "metric"
    check_rules(f, df)
    parameters = dict.fromkeys(parameter_names(f, 2), math.nan) if of_class else defaults(f, 2)
    check_parameters(kind, name, f, 2, parameters)
    if df is not None:
        check_parameters(kind, name, df, 2, parameters)
    if df is None and gradient:
        df = differentiate.derivative_rule(f, list(inspect.signature(f).parameters)[1])
    return Loss(name, f, df, parameters=parameters, declared=declared)


def register_optimizer(
    name: str,
    f: Callable,
    states: tuple[str, ...] = (),
    scalars: Callable | None = None,
    sums: Mapping[str, Callable] | None = None,
    total_sums: Mapping[str, Callable] | None = None,
    **parameters: float,
) -> Update:
    """Register ``optimizer=name``: ``f(w, g, *states, rate, *parameters) -> w, *states`` for one weight.

    Args:
        name: the name, as users give it.
        f: the update rule: weight, gradient, states, learning rate, parameters → new weight and states.
        states: names of the arrays stored beside each weight; they start at 0.
        scalars: a rule ``scalars(rate, t, *parameters)``, which is computed once a step, in float64; t is the number of
            the update, from 1. ``f`` gets its results instead of the rate and the parameters, whose names and defaults
            are those of its signature.
        sums: name → rule ``(w, g, *states, *scalars)`` of the elements of a weight. Before each update, and after
            clips and decay, its results are summed over the weight. ``f`` gets the sums behind the scalars, by these
            names.
        total_sums: the same, summed over all weights; ``f`` gets these last.
        parameters: names and defaults of the rule's further arguments (``learning_rate=`` sets the rate's default).

    Raises:
        ValueError: the name is not an identifier, or is fastnet's own, or arguments do not fit; `fastnet.RuleError`, a
            subclass, if a rule cannot become a kernel. After an error nothing is registered.

    Example:
        >>> import math, fastnet
        >>> def signed(w, g, rate):
        ...     return w - rate * (1 if g > 0 else (-1 if g < 0 else g))
        >>> fastnet.register_optimizer("signed", signed, learning_rate=1e-3).learning_rate
        0.001
        >>> def square(w, g, rate):
        ...     return g * g
        >>> def normalized(w, g, rate, squares):
        ...     return w - rate * g / math.sqrt(squares + 1e-12)
        >>> row = fastnet.register_optimizer("normalized", normalized, sums={"squares": square})
        >>> list(row.sums)
        ['squares']
    """
    check_name("optimizer", name)
    check_numbers("optimizer", name, parameters)
    summed = tuple((sums or {}).items()), tuple((total_sums or {}).items())
    return updates.register(_update_row(name, f, scalars, *summed, tuple(states), tuple(parameters.items())))


@_read_anew
def _update_row(
    name: str, f: Callable, scalars: Callable | None, sums: tuple, total_sums: tuple, states: tuple[str, ...],
    given: tuple[tuple[str, float], ...], *, declared: tuple,
) -> Update:  # fmt: skip
    """A row for a user's update, see `register_optimizer`."""
    parameters = dict(given)
    rate = parameters.pop("learning_rate", 0.01)
    by_weight, over_all = dict(sums), dict(total_sums)
    check_rules(f, results=None)
    for rule in (*by_weight.values(), *over_all.values()):
        pasting.check_rule(rule)
    wanted = ["w", "g", *states]
    if scalars is None:
        wanted += ["rate", *parameters]
        scalars = _rate_and_parameters(f, parameters)
    else:
        count = check_scalars(name, scalars, parameters)
        taken = len(parameter_names(f, 0)) - len(wanted) - len(by_weight) - len(over_all)
        if count not in (None, taken):
            raise ValueError(
                f"The optimizer {name!r}: {scalars.__name__!r} returns {count} numbers, and {f.__name__!r} takes "
                f"{taken} between its states and its sums."
            )
        wanted += parameter_names(f, len(wanted))[: max(0, taken)]
    for argument, rule in (*by_weight.items(), *over_all.items()):
        if len(parameter_names(rule, 0)) != len(wanted):
            raise ValueError(
                f"The optimizer {name!r}: the rule of the sum {argument!r} must take ({', '.join(wanted)}), it takes "
                f"({', '.join(parameter_names(rule, 0))})."
            )
    names = parameter_names(f, 2)
    if len(names) != len(set(names)) or names != [*wanted[2:], *by_weight, *over_all]:
        raise ValueError(
            f"The optimizer {name!r}: the rule must take ({', '.join([*wanted, *by_weight, *over_all])}), it takes "
            f"({', '.join(parameter_names(f, 0))})."
        )
    check_rules(f, results=1 + len(states))
    return Update(name, f, scalars, states, sums=by_weight, total_sums=over_all, learning_rate=rate, declared=declared)


def _rate_and_parameters(f: Callable, parameters: Mapping[str, float]) -> Callable:
    """The rule of the scalars of an optimizer that declares none."""
    shared = ", ".join(["rate", *parameters])
    scalars = tangents.rule_from_source(f"def scalars({', '.join(['rate', 't', *parameters])}):\n    return {shared}\n")
    scalars.__module__ = f.__module__  # a user's text, known by itself
    scalars.__defaults__ = tuple(parameters.values())
    return scalars
