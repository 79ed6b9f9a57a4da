"""A progress bar for loops of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastnet.progress import Progress


class Progbar:
    """Shows how far a loop is, and the means of what it measures.

    Args:
        target: Steps in all; None where nobody knows.
        width, interval, unit_name: Accepted as in Keras; the bar is drawn as `fit`'s.
        verbose: 0 silent, 1 a bar on a terminal and in a notebook, else a line at the end, 2 a line at the end.
        stateful_metrics: Names whose values are shown as they are; those of all others are averaged over the steps.
        stateless_metrics: Instead: the names whose values are averaged.

    Raises:
        ValueError: both lists given, or another ``verbose``.

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
        """Tell that ``current`` steps are done, and what the last ones gave: pairs (name, value).

        Args:
            finalize: Whether these were the last; by default when ``target`` is reached.
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
        """The same, with ``n`` more steps."""
        self.update(self._seen + n, values)

    def means(self) -> dict[str, float]:
        """What is shown."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def _averages(self, name: str) -> bool:
        return name in self._averaged if self._averaged is not None else name not in (self._shown_as_is or ())
