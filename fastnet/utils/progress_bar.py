"""A progress bar for the user's own loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastnet.progress import Progress


class Progbar:
    """Shows the progress of a loop, and the means of its values.

    Args:
        target: the number of steps; None if it is unknown.
        width, interval, unit_name: accepted as in Keras; the bar looks like that of `fit`.
        verbose: 0 shows nothing; 1 a bar on a terminal and in a notebook, else a line at the end; 2 a line at the end.
        stateful_metrics: names of values that are shown unchanged; the others are averaged over the steps.
        stateless_metrics: names of values that are averaged; the others are shown unchanged.

    Raises:
        ValueError: both lists are given, or ``verbose`` has another value.

    Example:
        >>> bar = fastnet.utils.Progbar(10, verbose=0)
        >>> for step in range(10):
        ...     bar.add(1, values=[("loss", 1 / (step + 1))])
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Progbar: give stateful_metrics or stateless_metrics, not both.")
        self.target = target
        self._shown_as_is = None if stateful_metrics is None else set(stateful_metrics)
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, float]] = {}  # sum of value times steps, and steps
        self._seen = 0
        self._progress: Progress | None = Progress(1, target, verbose, label="Steps")
        self._progress.epoch_begin(0)

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that ``current`` steps are done.

        Args:
            current: steps that are done.
            values: (name, value) of the steps since the last call.
            finalize: whether these were the last steps; by default when ``target`` is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            total, count = (0.0, 0.0) if finalize or not self._averages(name) else self._sums.get(name, (0.0, 0.0))
            self._sums[name] = total + float(value) * steps, count + steps
        self._seen = current
        if self._progress is None:
            return
        self._progress.update(current, self.means())
        if finalize:
            self._progress.epoch_end(self.means())
            self._progress.close()
            self._progress = None

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that ``n`` more steps are done; see `update`."""
        self.update(self._seen + n, values)

    def means(self) -> dict[str, float]:
        """The values that are shown, by name."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def _averages(self, name: str) -> bool:
        return name in self._averaged if self._averaged is not None else name not in (self._shown_as_is or ())
