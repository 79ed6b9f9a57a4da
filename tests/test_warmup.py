"""Kernels compiled before they are needed, and what is shown where they are not."""

import io
import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import cli, layers, warmup
from fastnet._kernels import cache, machine_code
from fastnet._kernels import compile as compiler

USE = """
import sys
import numpy as np, fastnet
model = fastnet.models.load_model(sys.argv[1])
rng = np.random.default_rng(0)
for dtype in ("uint8",):
    x, y = rng.integers(0, 9, (70, 5)).astype(dtype), rng.integers(0, 3, 70)
    model.fit(x, y, batch_size=32, epochs=2, validation_split=0.2, verbose=0)
    model.fit(x[:1], y[:1], sample_weight=np.ones(1), verbose=0)
    model.evaluate(x, y, verbose=0), model.predict(x, verbose=0), model.predict(x[:1])
assert "numba" not in sys.modules
"""


# The command, for fewer dtypes than it takes: each has kernels of its own.
WARM_UP = """
import sys
from fastnet import cli, warmup
warmup.READ_DTYPES, warmup.LABEL_DTYPES, warmup.WEIGHT_DTYPES = ("uint8",), ("int64",), ("float64",)
sys.exit(cli.main(["warmup", sys.argv[1]]))
"""


def small_model():
    model = fastnet.Sequential([layers.Input((5,)), layers.Dense(3)])
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


@pytest.mark.slow
def test_a_model_that_was_warmed_up_compiles_nothing(tmp_path):
    """For the processor that is named; its code does not run meanwhile."""
    small_model().save(tmp_path / "model.fastnet")
    environment = {**os.environ, "FASTNET_CACHE_DIR": str(tmp_path / "cache")}
    if cli.platform.machine() in ("x86_64", "AMD64"):
        environment["FASTNET_TARGET"] = "x86-64"
    command = [sys.executable, "-c", WARM_UP, str(tmp_path / "model.fastnet")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[1-9]\d* new files in [\d.]+ s, for the processor .+\.$", done.stdout, re.MULTILINE)
    stored = sorted(path.name for path in (tmp_path / "cache" / "kernels").glob("*.o"))
    (tmp_path / "cache" / "kernels").chmod(0o555)
    subprocess.run([sys.executable, "-c", USE, str(tmp_path / "model.fastnet")], env=environment, check=True)
    assert sorted(path.name for path in (tmp_path / "cache" / "kernels").glob("*.o")) == stored


def test_what_is_warmed_up_without_a_model(monkeypatch):
    """Networks of all kinds are built, bound and not run; here without their kernels."""
    monkeypatch.setattr(compiler, "load", lambda source: 1)
    for name in ("TRAINED_ROWS", "PREDICTED_ROWS", "READ_DTYPES", "LABEL_DTYPES", "TARGET_DTYPES", "WEIGHT_DTYPES"):
        monkeypatch.setattr(warmup, name, getattr(warmup, name)[:1])
    count = {}
    for kind in (warmup.common, warmup.everything):
        networks = list(kind())
        count[kind] = len(networks)
        for network in networks:
            warmup.model(network)
    assert count[warmup.everything] > count[warmup.common] + 40


def test_a_processor_that_is_none(monkeypatch):
    monkeypatch.setenv("FASTNET_TARGET", "x86-64-v3")
    assert machine_code.cpu() == "x86-64-v3"
    monkeypatch.setenv("FASTNET_TARGET", "pentium-99")
    with pytest.raises(ValueError, match="FASTNET_TARGET is 'pentium-99', which names no processor"):
        machine_code.cpu()


def test_a_model_without_a_shape_is_refused():
    with pytest.raises(ValueError, match="shape of a sample"):
        warmup.model(fastnet.Sequential([layers.Dense(3)]))


def test_warmup_needs_a_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path / "file"))
    assert cli.main(["warmup"]) == 1
    assert "FASTNET_CACHE_DIR" in capsys.readouterr().err
    assert cli.main(["cache", "clear"]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_cache_is_shown_and_cleared(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    cache.write("one", b"code")
    assert cli.main(["cache"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'kernels'} (1 kernels, 0.0 MB)\n"
    assert cli.main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"1 files removed.\n{tmp_path / 'kernels'} (0 kernels, 0.0 MB)\n"


# ---- while kernels are compiled


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def cold(tmp_path, monkeypatch):
    """No kernel is known, neither to this process nor in the cache; the names of those that are built."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiler, "_loaded", {})
    kernels = []

    def lowered(source, name, lowered=compiler.lowered):
        kernels.append(name)
        return lowered(source, name)

    monkeypatch.setattr(compiler, "lowered", lowered)
    return kernels


def uses(model):
    x = np.ones((4, 5), np.float32)
    yield "fit", lambda **verbose: model.fit(x, np.zeros(4, int), **verbose)
    yield "evaluate", lambda **verbose: model.evaluate(x, np.zeros(4, int), **verbose)
    yield "predict", lambda **verbose: model.predict(x, **verbose)


@pytest.mark.parametrize(
    ("stream", "verbose", "shown"),
    [
        (Terminal, {}, True),
        (Terminal, {"verbose": 0}, False),
        (Terminal, {"verbose": 2}, False),
        (io.StringIO, {}, False),
    ],
)
def test_a_line_is_shown_while_kernels_are_compiled(monkeypatch, stream, verbose, shown):
    def read(name, *suffix, read=cache.read):
        told.append(name)
        compiler.watchers.notify()
        return read(name, *suffix)

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(cache, "read", read)  # as if each kernel had to be compiled
    model, told = small_model(), []
    for name, use in uses(model):
        told.clear()
        monkeypatch.setattr(compiler, "_loaded", {})
        model.compile(model.optimizer, model.loss)  # drops the plans
        stdout = stream()
        monkeypatch.setattr(sys, "stdout", stdout)
        use(**verbose)
        assert told, name
        assert ("Compiling kernels" in stdout.getvalue()) == shown, name
    assert not compiler.watchers.functions


def test_compiling_says_nothing_to_a_log(cold, caplog):
    caplog.set_level(logging.DEBUG)
    fastnet.Sequential([layers.Input((3,)), layers.ReLU()]).predict(np.ones((2, 3)), verbose=0)
    assert cold and not [record for record in caplog.records if record.name.startswith("numba")]
    assert logging.getLogger("numba").level == logging.NOTSET


def test_who_asks_numba_for_its_log_gets_it(cold, caplog):
    caplog.set_level(logging.DEBUG, logger="numba")
    compiler.build(compiler.Source("one", "one", lambda: TEXT), "one")
    assert [record for record in caplog.records if record.name.startswith("numba")]


TEXT = """
def kernel(bases, args, rows, lo, hi):
    args[0] = lo
"""


@pytest.mark.parametrize("path", ["rules.py", "file.zip/rules.py"])
def test_an_installation_without_sources_is_told_why_it_does_not_work(tmp_path, path):
    (tmp_path / "file.zip").touch()
    with pytest.raises(fastnet.KernelError, match=r"rules\.py is missing.*\.py files"):
        compiler.contents(str(tmp_path / path))


def test_a_model_that_is_warmed_up_stays_as_it_was(monkeypatch):
    monkeypatch.setattr(compiler, "load", lambda source: 1)
    model = small_model()
    warmup.model(model)
    assert not model.optimizer.states
    model.optimizer.exclude_from_weight_decay(var_names=["bias"])
