"""When something was last changed from outside: a step sees so in one look that nothing was."""

import os


class Moment:
    """The last change of one kind; ``now`` is another object after each."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.mark()

    def mark(self) -> None:
        """Something has changed."""
        self.now = object()


#: An argument of any layer, `trainable` too: setting a network's sets those of its layers.
arguments = Moment()
#: The value of any weight or of any optimizer's state, by `Variable.assign`.
weights = Moment()
#: The process itself: a forked child is another one.
process = Moment()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.mark)
