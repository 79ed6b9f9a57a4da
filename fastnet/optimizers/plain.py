"""Classes of the rows that need no class of their own: the rule, its parameters, and the arguments all share."""

from __future__ import annotations

import inspect
from typing import Any

from fastnet._kernels import registry
from fastnet.optimizers.base import Optimizer
from fastnet.settable import Completed


def _plain_class(row: registry.Update) -> Any:
    """The class of a row: the docstring is the rule's, the signature follows from the row's parameters."""
    of_self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    defaults = {"learning_rate": row.learning_rate, **row.parameters}
    arguments = [of_self.replace(name=name, default=value) for name, value in defaults.items()]
    common = inspect.Parameter("common", inspect.Parameter.VAR_KEYWORD)
    signature = inspect.Signature([of_self, *arguments, common])

    def __init__(self: Optimizer, *args: Any, **named: Any) -> None:
        given = dict(signature.bind(self, *args, **named).arguments)
        del given["self"]
        Optimizer.__init__(self, row, **given.pop("common", {}), **given)

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    assert row.public is not None
    return Completed(row.public, (Optimizer,), {"__init__": __init__, "__doc__": row.f.__doc__, "__module__": __name__})


globals().update({row.public: _plain_class(row) for row in registry.updates.unique() if row.public})
