"""Losses that are a row of the registry and no more."""

from __future__ import annotations

import inspect
from typing import Any

from fastnet import checks
from fastnet._kernels import registry
from fastnet.losses.loss import Loss
from fastnet.settable import Completed, init_of

ROWS = [row for row in registry.losses.unique() if row.public]


def parameters_of(row: registry.Loss) -> list[inspect.Parameter]:
    """The parameters of a row as arguments with their defaults."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [inspect.Parameter(name, kind, default=value) for name, value in row.parameters.items()]


def described(row: registry.Loss, summary: str, more: str, example: str) -> str:
    """A docstring of the formula, the parameters, the arguments that all share, and the row's example.

    Args:
        row: the row; the docstring of its rule may have a section "Args:".
        summary: what stands for the formula, which it may contain.
        more: the line about the other arguments; empty for none.
        example: the row's example as code, with ``{targets}``, ``{predictions}`` and ``{loss}``.
    """
    _, _, arguments = row.formula.partition("\n\nArgs:\n")
    arguments = "\n".join(line for line in (arguments.rstrip(), more) if line)
    sections = [summary, f"Args:\n{arguments}" if arguments else ""]
    if row.ranges:
        sections.append("Raises:\n    ValueError: an argument outside its range.")
    if row.example is not None:
        targets, predictions, loss = row.example
        example_text = example.format(targets=targets, predictions=predictions, loss=loss)
        sections.append("Example:\n" + "\n".join(f"    {line}" for line in example_text.split("\n")))
    return "\n\n".join(section for section in sections if section) + "\n"


def _class(row: registry.Loss) -> Any:
    """The class of a row."""
    summary = row.formula.partition("\n\nArgs:\n")[0]
    more = "    reduction, name, dtype: as for every `Loss`."
    document = described(
        row, summary, more, f">>> round(losses.{row.public}()({{targets}}, {{predictions}}), 4)\n{{loss}}"
    )
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = {"reduction": "sum_over_batch_size", "name": row.name, "dtype": None}
    arguments = [*parameters_of(row), *(inspect.Parameter(key, kind, default=v) for key, v in shared.items())]

    def start(loss: Loss, given: dict[str, Any]) -> None:
        Loss.__init__(loss, given["name"], given["reduction"], given["dtype"])
        for name in row.parameters:
            setattr(loss, name, given[name])

    ranges = {name: row.ranges.get(name, checks.FINITE) for name in row.parameters}
    members = {"__init__": init_of(arguments, start), "__doc__": document, "__module__": __name__, "_row": row.name}
    return Completed(row.public, (Loss,), {**members, "_ranges": ranges})


CLASSES: dict[str, Any] = {row.public: _class(row) for row in ROWS}
globals().update(CLASSES)
