"""Optimizers that are a row of the registry and no more: the rule, its parameters, and the arguments that all share."""

from __future__ import annotations

import inspect
from typing import Any

from fastnet._kernels import registry
from fastnet.optimizers.optimizer import Optimizer
from fastnet.settable import Completed, init_of


def _class(row: registry.Update) -> Any:
    """The class of a row: its docstring is the rule's."""
    defaults = {"learning_rate": row.learning_rate, **row.parameters}
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arguments = [inspect.Parameter(name, either, default=value) for name, value in defaults.items()]
    arguments.append(inspect.Parameter("common", inspect.Parameter.VAR_KEYWORD))

    def start(optimizer: Optimizer, given: dict[str, Any]) -> None:
        Optimizer.__init__(optimizer, row, **given.pop("common"), **given)

    members = {"__init__": init_of(arguments, start), "__doc__": row.f.__doc__, "__module__": __name__}
    return Completed(row.public, (Optimizer,), members)


globals().update({row.public: _class(row) for row in registry.updates.unique() if row.public})
