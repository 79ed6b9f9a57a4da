"""The last changes from outside: a step compares one object to know that nothing has changed since the step before."""

import os


class LastChange:
    """The last change of one kind; ``token`` is another object after each."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        self.mark()

    def mark(self) -> None:
        """Record a change."""
        self.token = object()


#: Of an argument of any layer, and of `trainable`: setting a network's sets those of its layers.
arguments = LastChange()
#: Of an argument of any loss that was replaced.
losses = LastChange()
#: Of the value of any weight or of any optimizer's state, by `Variable.assign`.
weights = LastChange()
#: Of the process itself: a forked child is another one.
process = LastChange()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.mark)
