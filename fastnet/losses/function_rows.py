"""Functions of users as rows of the registry: formulas of two numbers, or of arrays."""

from __future__ import annotations

from collections.abc import Callable

from fastnet._kernels import differentiate, registration, registry
from fastnet._kernels.errors import RuleError
from fastnet.symbolic.array import ShapeError, TracingError
from fastnet.symbolic.losses import TracedLoss


def function_row(function: Callable, gradient: bool) -> registry.Loss:
    """The row of a function: a formula of two numbers, or else one of arrays.

    Raises:
        RuleError: it is neither.
    """
    name = registration.name_of(function)
    try:
        return registration.loss_row(name, function, None, gradient)
    except RuleError as error:
        problem = error
    return traced_row(function, name, gradient, problem)


def numbers_of_a_row(row: registry.Loss, true_shape: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """How many numbers a function of a user's gives for a row: the row's loss is their mean, but Keras sums them all.

    Args:
        row: of the loss; one of the registry gives one number.
        true_shape, shape: of a target and a prediction.
    """
    if row.traced is not None:
        return row.traced.form(true_shape, shape).numbers
    is_of_elements = row.f is not None and row.outputs == 1 and not registry.losses.knows(row)
    return shape[-1] if is_of_elements and shape else 1


def reads_predictions(row: registry.Loss, true_shape: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether a gradient of the loss reaches predictions of a shape."""
    if row.traced is not None:
        return row.traced.form(true_shape, shape).reads_predictions
    return not differentiate.vanishes(row.df)


def traced_row(function: Callable, name: str, gradient: bool, problem: RuleError | None = None) -> registry.Loss:
    """The row of a loss written as array code; ``problem`` says why it is no formula of numbers."""
    loss = TracedLoss(function, name, gradient)
    try:
        loss.form((6,), (6,))
        found = None
    except ShapeError:  # it reads other shapes, which are known when it is trained
        found = None
    except TracingError as error:
        found = error
    if found is not None:
        raise RuleError(registration.in_neither_form(function, found, problem, "two numbers"))
    return registry.Loss(name, targets="raw", traced=loss)
