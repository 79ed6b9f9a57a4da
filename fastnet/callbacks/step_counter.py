"""Counts steps over epochs, for callbacks that act after a number of steps."""

from __future__ import annotations

from fastnet import checks
from fastnet._kernels.errors import quoted


class StepCounter:
    """Detects that ``count`` more steps are done, across the ends of epochs.

    Args:
        count: "epoch" for never, since epochs have a hook of their own.
        owner: for errors.

    Raises:
        ValueError: neither "epoch" nor a positive integer.
    """

    def __init__(self, count: int | str, owner: str):
        if not (isinstance(count, str) and count == "epoch") and not (checks.is_integer(count) and count >= 1):
            raise ValueError(
                f"{owner}: save_freq must be 'epoch' or a positive number of steps, received {quoted(count)}."
            )
        self.count = None if isinstance(count, str) else int(count)
        self.seen = self.step = 0

    def begin_epoch(self) -> None:
        """Count the steps of an epoch from 0 again."""
        self.step = 0

    def reach(self, step: int) -> bool:
        """Whether ``count`` or more steps are done since this was last True; ``step`` steps of the epoch are done."""
        self.seen, self.step = self.seen + step - self.step, step
        due = self.count is not None and self.seen >= self.count
        if due:
            self.seen = 0
        return due

    def steps_left(self) -> int | None:
        """Steps until `reach` is True again, at least 1; None for never."""
        # A training may be resumed with another count, and with more than that many steps done.
        return None if self.count is None else max(1, self.count - self.seen)
