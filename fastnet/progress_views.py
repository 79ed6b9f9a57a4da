"""Where progress is shown: a terminal, a notebook, a log."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, Protocol, TextIO

from fastnet import config
from fastnet._kernels.errors import quoted
from fastnet.terminal import encodable

_BAR_WIDTH = 24
_NOTEBOOK_WIDTH = 120


class Frame:
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


class View(Protocol):
    """Where progress is shown."""

    is_live: bool

    def add(self, line: str) -> None: ...

    def show(self, frame: Frame | None) -> None: ...

    def close(self) -> None: ...


class Lines:
    """Prints lines to a log."""

    is_live = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        self._stream.write(encodable(line, encoding) + "\n")
        self._stream.flush()

    def show(self, frame: Frame | None) -> None:
        pass

    def close(self) -> None:
        pass


class Logger:
    """Sends lines to Python's `logging`."""

    is_live = False

    def add(self, line: str) -> None:
        import logging  # here: few programs send progress to it

        logging.getLogger("fastnet").info("%s", line)

    def show(self, frame: Frame | None) -> None:
        pass

    def close(self) -> None:
        pass


class AboveBar:
    """Standard output while a bar is drawn: the lines that wait for the next drawing are written first."""

    def __init__(self, stream: TextIO, terminal: Terminal) -> None:
        self._stream, self._terminal = stream, terminal

    def write(self, text: str) -> int:
        self._terminal.write_lines()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Terminal:
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

    def show(self, frame: Frame | None) -> None:
        if not self._live.is_started and frame is not None:
            self._live.start()
            if self._redirects:
                # Live puts the stream back when it stops.
                sys.stdout = AboveBar(sys.stdout, self)  # type: ignore[assignment]
        self._live.update(frame.render(self._console.width, self._encoding) if frame else "")
        with self._console:  # one write
            if self._live.is_started:
                self._live.refresh()
            self.write_lines()

    def close(self) -> None:
        self._live.stop()


class Notebook:
    """Updates a cell's output: a bar for running epochs, then their lines."""

    is_live = True

    def __init__(self) -> None:
        self._handle: Any = None
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)

    def show(self, frame: Frame | None) -> None:
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


def choose_view(verbose: int | str, stream: TextIO | None) -> View | None:
    if (isinstance(verbose, str) and verbose != "auto") or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'verbose must be "auto", 0, 1 or 2, but {quoted(verbose)} was received.')
    if verbose == 0:
        return None
    if not config.is_interactive_logging_enabled():
        return Logger()
    if verbose != 2 and stream is None and _in_notebook():
        return Notebook()
    if stream is None:
        stream = sys.stdout
    # sys.stdout is None in a Windows program without a console; its replacements may only have write and flush.
    if stream is None or getattr(stream, "closed", False):
        return None
    is_terminal = hasattr(stream, "isatty") and stream.isatty()
    if verbose != 2 and is_terminal and not isinstance(stream, AboveBar) and os.environ.get("TERM") != "dumb":
        return Terminal(stream)
    return Lines(stream) if verbose != "auto" or is_terminal else None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)
