"""Shows the progress of training on a terminal, in a notebook, or as lines in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TextIO

from fastnet.progress_views import Frame, View, choose_view

_INTERVAL = 0.1  # least number of seconds between two redraws


class Progress:
    """Shows epoch, steps, steps per second, remaining time, loss and metrics.

    Args:
        epochs: number of epochs.
        steps: steps in an epoch; None if the number is unknown.
        verbose: "auto" draws a bar on a terminal and in a notebook, and is silent elsewhere. 0 is silent. 1 draws a bar
            on a terminal and in a notebook, and prints Keras's lines for each epoch elsewhere. 2 prints these lines.
        stream: the stream to write to; by default `sys.stdout`.
        label: the title of an epoch. A label other than "Epoch" has no number if ``epochs`` is 1.

    Raises:
        ValueError: ``verbose`` has another value.

    A bar is drawn at most ten times a second; the next drawing lists the epochs that ended since. Output
    of a callback stands on the terminal below the lines of the epochs before it, and above the bar; a second progress
    within a callback prints lines there. If the stream is closed or fails, training continues without output. After
    `fastnet.config.disable_interactive_logging`, all lines go to the logger "fastnet".

    Example:
        >>> from fastnet.progress import Progress
        >>> with Progress(epochs=2, steps=100, verbose=2) as progress:
        ...     for epoch in range(2):
        ...         progress.epoch_begin(epoch)
        ...         progress.update(100, {"loss": 0.5})
        ...         progress.epoch_end({"loss": 0.5})
        Epoch 1/2
        100/100 - ...s/step - loss: 0.5000
        Epoch 2/2
        100/100 - ...s/step - loss: 0.5000
    """

    def __init__(
        self,
        epochs: int,
        steps: int | None,
        verbose: int | str = "auto",
        stream: TextIO | None = None,
        label: str = "Epoch",
    ) -> None:
        self._epochs = epochs
        self._steps = steps
        self._label = label
        self._view = choose_view(verbose, stream)
        self._next_draw = 0.0
        self._epoch: int | None = None
        self._step = 0
        self._logs: dict[str, Any] = {}
        self._started = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def epoch_begin(self, epoch: int) -> None:
        """Begin epoch number ``epoch``, counted from 0."""
        self._epoch, self._step, self._logs = epoch, 0, {}
        self._started = time.perf_counter()
        if self._view is not None and not self._view.is_live and self._label == "Epoch":
            self._write(lambda view: view.add(self._title()))
        self._draw()

    def update(self, step: int, logs: dict[str, Any] | None = None) -> None:
        """Show that ``step`` steps of this epoch are done, and the means so far."""
        self._step, self._logs = step, logs or {}
        self._draw()

    def notice(self, title: str, text: str) -> None:
        """Show a title and a text where a bar is drawn, until the next drawing."""
        if self._view is not None and self._view.is_live:
            self._write(lambda view: view.show(Frame(title, None, "", text)))
            self._next_draw = 0.0

    def epoch_end(self, logs: dict[str, Any] | None = None) -> None:
        """End the epoch, and show its results."""
        if self._epoch is None or self._view is None:
            return
        if self._steps is not None:
            self._step = self._steps
        line = self._summary(logs or {})
        self._epoch = None
        self._write(lambda view: view.add(line))

    def close(self) -> None:
        """Show what is pending, including an interrupted epoch, and release the terminal. May be called twice."""
        if self._view is None:
            return
        if self._epoch is not None and self._step:
            line = self._summary(self._logs)
            self._write(lambda view: view.add(line))
        self._write(lambda view: view.show(None))
        view, self._view = self._view, None
        if view is not None:
            with contextlib.suppress(OSError, ValueError):  # see _write
                view.close()

    def _draw(self) -> None:
        if self._view is None or not self._view.is_live:
            return
        now = time.perf_counter()
        if now >= self._next_draw:
            self._next_draw = now + _INTERVAL
            frame = self._frame(now - self._started)
            self._write(lambda view: view.show(frame))

    def _write(self, action: Callable[[View], None]) -> None:
        view = self._view
        if view is None:
            return
        try:
            action(view)
        except (OSError, ValueError):
            # The terminal or the pipe is gone, or the stream is closed (ValueError). Training continues.
            self._view = None
            with contextlib.suppress(OSError, ValueError):
                view.close()

    def _title(self) -> str:
        alone = self._epochs == 1 and self._label != "Epoch"
        return self._label if alone or self._epoch is None else f"{self._label} {self._epoch + 1}/{self._epochs}"

    def _frame(self, seconds: float) -> Frame:
        parts = [_rate(self._step, seconds)]
        if self._steps is None:
            count = f"{self._step} steps"
        else:
            count = f"{self._step}/{self._steps}"
            if self._step:
                parts.append(f"ETA {_duration((self._steps - self._step) * seconds / self._step)}")
        parts += _values(self._logs)
        done = None if not self._steps else self._step / self._steps
        return Frame(self._title(), done, count, "  ".join(part for part in parts if part))

    def _summary(self, logs: dict[str, Any]) -> str:
        """Keras's line of a finished epoch; behind its title where a bar was drawn."""
        seconds = time.perf_counter() - self._started
        parts = [f"{self._step}/{self._steps or self._step}", f"{seconds:.0f}s"]
        if self._step:
            parts.append(_time_of_step(seconds / self._step))
        if self._view is not None and self._view.is_live:
            parts.insert(0, self._title())
        return " - ".join([*parts, *_values(logs)])


def _rate(step: int, seconds: float) -> str:
    if not step or seconds <= 0:
        return ""
    rate = step / seconds
    return f"{rate:,.0f} steps/s" if rate >= 10 else f"{rate:.2f} steps/s" if rate >= 1 else f"{1 / rate:.2f} s/step"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{remainder:02}" if hours else f"{minutes}:{remainder:02} min"


def _time_of_step(seconds: float) -> str:
    microseconds = round(seconds * 1e6)
    for unit, name in ((1_000_000, "s"), (1000, "ms")):
        if microseconds >= unit:
            return f"{microseconds / unit:.0f}{name}/step"
    return f"{microseconds}us/step"


def _values(logs: dict[str, Any]) -> list[str]:
    return [f"{name}: {_number(value)}" for name, value in logs.items()]


def _number(value: Any) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.4f}" if 1e-3 < abs(number) < 1e5 else f"{number:.4e}"
