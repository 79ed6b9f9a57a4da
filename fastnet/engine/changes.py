"""The last changes from outside: a step compares one object to know that nothing has changed since the step before."""

import contextlib
import os
import threading
from collections.abc import Iterator


class LastChange:
    """The last change of one kind; ``token`` is another object after each."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        self.mark()

    def mark(self) -> None:
        """Record a change."""
        self.token = object()


class _Lowering(threading.local):
    depth = 0


_lowering = _Lowering()


def is_lowering() -> bool:
    """Whether this thread makes a plan. An attribute that a layer then sets on itself is not a change from outside."""
    return _lowering.depth > 0


@contextlib.contextmanager
def lowering() -> Iterator[None]:
    """Make a plan in the block."""
    _lowering.depth += 1
    try:
        yield
    finally:
        _lowering.depth -= 1


#: Of an argument of any layer, and of `trainable`: setting a network's sets those of its layers.
arguments = LastChange()
#: Of an argument of any loss that was replaced.
losses = LastChange()
#: Of the value of any weight or of any optimizer's state, by `Variable.assign`.
weights = LastChange()
#: Of the process: a forked child is another one.
process = LastChange()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.mark)
