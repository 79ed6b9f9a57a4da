"""Progress in logs, on terminals and in notebooks."""

import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastnet
from fastnet import layers, progress
from fastnet.progress import Progress


def run(stream, verbose, epochs=2, steps=3, logs=None):
    with Progress(epochs, steps, verbose, stream) as shown:
        for epoch in range(epochs):
            shown.epoch_begin(epoch)
            for step in range(1, (steps or 5) + 1):
                shown.update(step, logs or {"loss": 1.0 / step})
            shown.epoch_end(logs or {"loss": 0.25, "accuracy": 1e-5})


@pytest.mark.parametrize(
    ("verbose", "lines"), [(0, 0), (False, 0), ("auto", 0), (1, 4), (True, 4), (2, 4), (np.int64(2), 4)]
)
def test_lines_when_piped(verbose, lines):
    stream = io.StringIO()
    run(stream, verbose)
    text = stream.getvalue()
    assert text.count("\n") == lines
    assert "\x1b" not in text
    if lines:
        title, line = text.splitlines()[:2]
        assert title == "Epoch 1/2"
        assert re.fullmatch(r"3/3 - 0s - \d+[mu]s/step - loss: 0\.2500 - accuracy: 1\.0000e-05", line)


@pytest.mark.parametrize("verbose", ["on", 3, -1, None, 1.5, "1"])
def test_bad_verbose(verbose):
    with pytest.raises(ValueError, match='verbose must be "auto", 0, 1 or 2'):
        Progress(1, 1, verbose)


def test_unknown_steps_and_odd_values():
    stream = io.StringIO()
    run(stream, 2, epochs=1, steps=None, logs={"loss": float("nan"), "rate": np.float32(0), "big": 1e30, "name": "x"})
    assert stream.getvalue().startswith("Epoch 1/1\n5/5 - 0s - ")
    assert stream.getvalue().endswith(" - loss: nan - rate: 0.0000e+00 - big: 1.0000e+30 - name: x\n")


def test_an_epoch_cut_short_says_where():
    stream = io.StringIO()
    shown = Progress(3, 10, 2, stream)
    shown.epoch_begin(1)
    shown.update(4, {"loss": 2.0})
    shown.close()
    shown.close()
    assert stream.getvalue().startswith("Epoch 2/3\n4/10 - 0s - ")
    assert stream.getvalue().count("\n") == 2


def test_stream_that_is_not_unicode():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    run(stream, 2, logs={"größe": 1.0})
    assert b"gr??e: 1.0000" in raw.getvalue()


def test_closed_and_broken_streams_do_not_stop_training():
    closed = io.StringIO()
    shown = Progress(2, 3, 2, closed)
    closed.close()
    shown.epoch_begin(0)
    shown.epoch_end({"loss": 1.0})
    shown.close()
    run(closed, 2)

    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    run(Broken(), 2)


def test_stream_with_nothing_but_write_and_flush():
    written = []
    run(SimpleNamespace(write=written.append, flush=lambda: None), 1)
    assert "".join(written).count("\n") == 4


def test_no_stdout_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    run(None, 2)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.123, "0.12 s"), (12.3, "12 s"), (59.7, "60 s"), (61, "1:01 min"), (7261.2, "2:01:01")]
)
def test_duration(seconds, text):
    assert progress._duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2s/step"), (0.694, "694ms/step"), (765e-6, "765us/step"), (3e-7, "0us/step")]
)
def test_time_of_a_step(seconds, text):
    assert progress._time_of_step(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(12345.6, "12,346 steps/s"), (2.5, "2.50 steps/s"), (0.25, "4.00 s/step"), (0, "")]
)
def test_rate(rate, text):
    assert progress._rate(rate * 8, 8.0) == text


def on_terminal(code, columns=80, **environment):
    """What a process writes to a terminal; needs the pty module."""
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM")}
    environment = {**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    chunks = []
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(master)
    assert process.wait() == 0, b"".join(chunks).decode()
    return b"".join(chunks).decode("utf-8", "replace")


TRAINING = """
import sys, time
from fastnet import progress
clock = 0.0
progress.time.perf_counter = lambda: clock
with progress.Progress({epochs}, 50, "auto") as shown:
    for epoch in range({epochs}):
        shown.epoch_begin(epoch)
        for step in range(50):
            clock += {seconds}
            shown.update(step + 1, {{"loss": 0.5, "accuracy": 0.75}})
        {inside}
        shown.epoch_end({{"loss": 0.25}})
"""


def test_bar_on_a_terminal():
    text = on_terminal(TRAINING.format(epochs=2, seconds=0.25, inside="print('from a callback')"))
    assert "Epoch 2/2" in text
    assert "━" in text
    assert re.search(r"25/50  4\.00 steps/s  ETA 6\.25 s  loss: 0\.5000  accuracy: 0\.7500", text)
    # Finished epochs stay, in order, each once, and so does what a callback printed.
    final = [line for line in re.split(r"[\r\n]+|\x1b\[2K", text) if line.endswith("loss: 0.2500")]
    assert final == [f"Epoch {epoch}/2 - 50/50 - 12s - 250ms/step - loss: 0.2500" for epoch in (1, 2)]
    assert text.count("from a callback") == 2
    assert text.index("\x1b[?25l") < text.rindex("\x1b[?25h")


def test_at_most_ten_redraws_a_second():
    # 100 epochs of 50 steps of 1 ms on the process's own clock: 5 seconds.
    text = on_terminal(TRAINING.format(epochs=100, seconds=0.001, inside=""))
    assert 40 <= text.count("ETA") + text.count(" 0/50") <= 110  # printing epochs above the bar draws it twice
    finished = re.findall(r"Epoch (\d+)/100 - 50/50 - 0s - 1ms/step", text)
    assert finished == [str(i + 1) for i in range(100)]


def screen(text, columns):
    """The lines that stand on a terminal of this width after the text was written to it."""
    rows, row, column = {}, 0, 0
    for control, character in re.findall(r"\x1b\[([0-9;?]*[A-Za-z])|([^\x1b])", text):
        if control:
            count = int(re.sub(r"\D", "", control) or 1)
            if control.endswith("A"):
                row -= count
            elif control.endswith("K"):
                rows[row] = {}
        elif character == "\n":
            row += 1
        elif character == "\r":
            column = 0
        else:
            if column == columns:
                row, column = row + 1, 0
            rows.setdefault(row, {})[column] = character
            column += 1
    lines = ["".join(rows[r].get(c, " ") for c in range(max(rows[r], default=-1) + 1)).rstrip() for r in sorted(rows)]
    return [line for line in lines if line]


@pytest.mark.parametrize("columns", [4, 9, 14, 20, 33, 40, 60, 300])
def test_bar_fits_any_width(columns):
    text = on_terminal(TRAINING.format(epochs=2, seconds=0.25, inside=""), columns)
    frames = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", text)]
    bars = [line.rstrip() for line in frames if "━" in line or re.search(r"\d+/50  |…", line)]
    assert columns < 20 or bars
    assert max(map(len, bars), default=0) <= columns
    # Nothing of a bar is left: only the lines of the epochs, which the terminal wraps.
    lines = [f"Epoch {epoch}/2 - 50/50 - 12s - 250ms/step - loss: 0.2500" for epoch in (1, 2)]
    assert "".join(screen(text, columns)).replace(" ", "") == "".join(lines).replace(" ", "")


@pytest.mark.parametrize("verbose", [1, 2])
def test_predict_of_one_batch_prints_its_line(capsys, verbose):
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
    for _ in range(2):  # also the second time
        model.predict(np.zeros((3, 2)), verbose=verbose)
        assert re.fullmatch(r"1/1 - 0s - \d+[mu]?s/step\n", capsys.readouterr().out)
    model.predict(np.zeros((3, 2)))
    assert capsys.readouterr().out == ""


ORDER = """
import numpy as np, fastnet
from fastnet import callbacks, layers
model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
model.compile("sgd", "mse")
x = np.zeros((600, 2), "float32")
class Prints(callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        print("begins", epoch)
    def on_epoch_end(self, epoch, logs=None):
        model.predict(x)
        print("ends", epoch)
model.fit(x, x[:, :1], epochs=4, batch_size=600, callbacks=[Prints()])
print("behind")
"""


def test_what_a_callback_prints_stands_behind_the_epochs_before_it():
    lines = screen(on_terminal(ORDER, 100), 100)
    wanted = []
    for epoch in range(4):
        predict = r"3/3 - 0s - \d+[mu]s/step"
        wanted += [
            f"begins {epoch}",
            predict,
            f"ends {epoch}",
            rf"Epoch {epoch + 1}/4 - 1/1 - 0s.* - loss: 0\.0000e\+00",
        ]
    assert len(lines) == len(wanted) + 1 and lines[-1] == "behind", lines
    for line, pattern in zip(lines, wanted):
        assert re.fullmatch(pattern, line), lines


def test_bar_without_unicode():
    text = on_terminal(TRAINING.format(epochs=1, seconds=0.25, inside=""), PYTHONIOENCODING="ascii")
    assert text.isascii()
    assert "25/50" in text


def test_dumb_terminal_gets_lines():
    text = on_terminal(TRAINING.format(epochs=2, seconds=0.25, inside=""), TERM="dumb")
    assert "\x1b" not in text
    line = "50/50 - 12s - 250ms/step - loss: 0.2500"
    assert text.splitlines() == ["Epoch 1/2", line, "Epoch 2/2", line]


def test_interrupt_restores_the_terminal():
    inside = "raise KeyboardInterrupt"
    code = TRAINING.format(epochs=2, seconds=0.25, inside=inside)
    indented = code.replace("\n", "\n    ")
    text = on_terminal(
        f"try:\n    {indented}\nexcept KeyboardInterrupt:\n    print('over', sys.stdout is sys.__stdout__)\n"
    )
    assert text.rindex("\x1b[?25h") < text.index("over True")


def test_terminal_that_goes_away():
    code = TRAINING.format(epochs=2, seconds=0.25, inside="import os; os.dup2(os.open(os.devnull, os.O_RDONLY), 1)")
    on_terminal(code)


def test_notebook(monkeypatch):
    shown = []

    class Handle:
        def __init__(self, data):
            self.place = len(shown)
            shown.append(data["text/plain"])

        def update(self, data, raw):
            assert raw
            shown[self.place] = data["text/plain"]

    class ZMQInteractiveShell:
        pass

    def display(data, raw, display_id):
        assert raw
        assert display_id
        return Handle(data)

    shell = type("Shell", (ZMQInteractiveShell,), {})()
    package = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    with Progress(2, 4, "auto") as bar:
        for epoch in range(2):
            bar.epoch_begin(epoch)
            bar.update(2, {"loss": 0.5})
            assert re.match(rf"Epoch {epoch + 1}/2  ━+.*  2/4  .*loss: 0\.5000$", shown[-1])
            bar.epoch_end({"loss": 0.25})
    assert len(shown) == 2
    assert [line[:9] for line in shown] == ["Epoch 1/2", "Epoch 2/2"]
    assert all(line.endswith("loss: 0.2500") for line in shown)
