"""Shows the progress of training on a terminal, in a notebook, or as lines in a log."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from fastnet import config
from fastnet._kernels.errors import quoted
from fastnet.terminal import encodable

_INTERVAL = 0.1  # least number of seconds between two redraws
_BAR_WIDTH = 24
_NOTEBOOK_WIDTH = 120


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

    A bar is drawn at most ten times a second; the next drawing lists the epochs that ended since. What a callback
    prints to the terminal stands below the lines of the epochs before it, and above the bar; a second progress within
    a callback prints lines there. If the stream is closed or fails, training continues without output. After
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
        self._view = _choose_view(verbose, stream)
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
            self._write(lambda view: view.show(_Frame(title, None, "", text)))
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

    def _write(self, action: Callable[[_View], None]) -> None:
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

    def _frame(self, seconds: float) -> _Frame:
        parts = [_rate(self._step, seconds)]
        if self._steps is None:
            count = f"{self._step} steps"
        else:
            count = f"{self._step}/{self._steps}"
            if self._step:
                parts.append(f"ETA {_duration((self._steps - self._step) * seconds / self._step)}")
        parts += _values(self._logs)
        done = None if not self._steps else self._step / self._steps
        return _Frame(self._title(), done, count, "  ".join(part for part in parts if part))

    def _summary(self, logs: dict[str, Any]) -> str:
        """Keras's line of a finished epoch; behind its title where a bar was drawn."""
        seconds = time.perf_counter() - self._started
        parts = [f"{self._step}/{self._steps or self._step}", f"{seconds:.0f}s"]
        if self._step:
            parts.append(_time_of_step(seconds / self._step))
        if self._view is not None and self._view.is_live:
            parts.insert(0, self._title())
        return " - ".join([*parts, *_values(logs)])


class _Frame:
    """One state of the bar."""

    def __init__(self, title: str, done: float | None, count: str, text: str) -> None:
        self.title, self.done, self.count, self.text = title, done, count, text

    def render(self, width: int, encoding: str) -> Any:
        """Render one line of ``width`` columns for rich, cut at the right."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        text = Text(encodable(self.text, encoding))
        row: list[Any] = [Text(self.title), Text(self.count), text]
        used = sum(part.cell_len + 2 for part in row[:2]) + 1
        bar = min(_BAR_WIDTH, width - used - text.cell_len - 2)
        if self.done is not None and bar >= _BAR_WIDTH // 4:
            row.insert(1, ProgressBar(total=1.0, completed=self.done, width=bar))
            used += bar + 2
        text.truncate(max(0, width - used))
        grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        for _ in row:
            grid.add_column(no_wrap=True)
        grid.add_row(*row)
        return grid


class _View(Protocol):
    is_live: bool

    def add(self, line: str) -> None: ...

    def show(self, frame: _Frame | None) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """Prints lines to a log."""

    is_live = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        self._stream.write(encodable(line, encoding) + "\n")
        self._stream.flush()

    def show(self, frame: _Frame | None) -> None:
        pass

    def close(self) -> None:
        pass


class _Logger:
    """Sends lines to Python's `logging`."""

    is_live = False

    def add(self, line: str) -> None:
        import logging  # here: few programs send progress to it

        logging.getLogger("fastnet").info("%s", line)

    def show(self, frame: _Frame | None) -> None:
        pass

    def close(self) -> None:
        pass


class _AboveBar:
    """Standard output while a bar is drawn: the lines that wait for the next drawing are written first."""

    def __init__(self, stream: TextIO, terminal: _Terminal) -> None:
        self._stream, self._terminal = stream, terminal

    def write(self, text: str) -> int:
        self._terminal.write_lines()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Terminal:
    """Redraws a bar in place, below the lines of finished epochs."""

    is_live = True

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        self._encoding = self._console.encoding
        self._lines: list[str] = []
        # Callbacks that print to the same stream print above the bar.
        self._redirects = stream is sys.stdout
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=self._redirects,
            redirect_stderr=self._redirects,
        )

    def add(self, line: str) -> None:
        self._lines.append(line)

    def write_lines(self) -> None:
        from rich.text import Text

        lines, self._lines = self._lines, []
        if lines:
            self._console.print(Text(encodable("\n".join(lines), self._encoding)), soft_wrap=True)

    def show(self, frame: _Frame | None) -> None:
        if not self._live.is_started and frame is not None:
            self._live.start()
            if self._redirects:
                # Live puts the stream back when it stops.
                sys.stdout = _AboveBar(sys.stdout, self)  # type: ignore[assignment]
        self._live.update(frame.render(self._console.width, self._encoding) if frame else "")
        with self._console:  # one write
            if self._live.is_started:
                self._live.refresh()
            self.write_lines()

    def close(self) -> None:
        self._live.stop()


class _Notebook:
    """Updates a cell's output: a bar for running epochs, then their lines."""

    is_live = True

    def __init__(self) -> None:
        self._handle: Any = None
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)

    def show(self, frame: _Frame | None) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._put("\n".join(lines))
            self._handle = None
        if frame:
            from rich.console import Console

            text = io.StringIO()
            Console(file=text, width=_NOTEBOOK_WIDTH, color_system=None, force_jupyter=False).print(
                frame.render(_NOTEBOOK_WIDTH, "utf-8")
            )
            self._put(text.getvalue().rstrip())

    def _put(self, text: str) -> None:
        data = {"text/plain": text}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def close(self) -> None:
        pass


def _choose_view(verbose: int | str, stream: TextIO | None) -> _View | None:
    if (isinstance(verbose, str) and verbose != "auto") or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'verbose must be "auto", 0, 1 or 2, but {quoted(verbose)} was received.')
    if verbose == 0:
        return None
    if not config.is_interactive_logging_enabled():
        return _Logger()
    if verbose != 2 and stream is None and _in_notebook():
        return _Notebook()
    if stream is None:
        stream = sys.stdout
    # sys.stdout is None in a Windows program without a console; its replacements may only have write and flush.
    if stream is None or getattr(stream, "closed", False):
        return None
    is_terminal = hasattr(stream, "isatty") and stream.isatty()
    if verbose != 2 and is_terminal and not isinstance(stream, _AboveBar) and os.environ.get("TERM") != "dumb":
        return _Terminal(stream)
    return _Lines(stream) if verbose != "auto" or is_terminal else None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)


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
