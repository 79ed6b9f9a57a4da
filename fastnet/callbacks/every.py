"""Counting steps over epochs."""

from __future__ import annotations

from fastnet import checks


class EverySteps:
    """Tells when ``count`` more steps are done; the end of an epoch does not matter.

    Args:
        count: "epoch" for never, since epochs have a hook of their own.
        owner: for errors.

    Raises:
        ValueError: neither "epoch" nor a positive integer.
    """

    def __init__(self, count: int | str, owner: str):
        if not (isinstance(count, str) and count == "epoch") and not (checks.is_whole(count) and count >= 1):
            raise ValueError(f"{owner}: save_freq must be 'epoch' or a positive number of steps, received {count!r}.")
        self.count = None if isinstance(count, str) else int(count)
        self.seen = self.step = 0

    def begin_epoch(self) -> None:
        """Steps are counted from 0 again."""
        self.step = 0

    def reach(self, step: int) -> bool:
        """``step`` steps of the epoch are done: whether ``count`` or more are, since this was last so."""
        self.seen, self.step = self.seen + step - self.step, step
        due = self.count is not None and self.seen >= self.count
        if due:
            self.seen = 0
        return due

    def left(self) -> int | None:
        """Steps until it is so again, at least 1."""
        # A training may be resumed with another count, of which more than enough steps are done already.
        return None if self.count is None else max(1, self.count - self.seen)
