"""`python -m bench --against`: two versions of fastnet in turns."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "bench" / "race.py").exists():
    pytest.skip("needs a checkout", allow_module_level=True)
pytest.importorskip("pytest_benchmark")

# A version whose predict is slower, whose evaluate lies, and that knows no Lion.
OLDER = """
import time

def _slower(self, *args, __predict=Sequential.predict, **kwargs):
    time.sleep(0.01)
    return __predict(self, *args, **kwargs)

def _lies(self, *args, __evaluate=Sequential.evaluate, **kwargs):
    return 1 + __evaluate(self, *args, **kwargs)

Sequential.predict, Sequential.evaluate = _slower, _lies
del optimizers.Lion
"""


def bench(*arguments):
    command = [sys.executable, "-m", "bench", "--quick", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def line(text, start):
    (found,) = [line for line in text.splitlines() if line.startswith(f"{start}  ")]
    return found


@pytest.mark.slow
def test_two_versions_race(tmp_path):
    shutil.copytree(ROOT / "fastnet", tmp_path / "fastnet", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "fastnet" / "__init__.py", "a", encoding="utf-8") as file:
        file.write(OLDER)
    works = ["tiny", "SGD", "Lion", "predict, tiny, 1 row", "import fastnet, whole process"]
    text = bench("--against", tmp_path, "dense", "optimizers", "latency", "start", "--works", *works)
    assert f"old: {tmp_path / 'fastnet' / '__init__.py'}" in text
    assert f"new: {ROOT / 'fastnet' / '__init__.py'}" in text
    for title in ("race_dense", "race_optimizers", "race_latency", "race_start"):
        assert f"== {title} ==" in text
    assert "losses differ" in line(text, "tiny") and "losses differ" in line(text, "SGD")
    assert "only new" in line(text, "Lion") and "Lion" in line(text, "Lion")[6:]
    predict = line(text, "predict, tiny, 1 row")
    old, new = predict.split()[4:6]
    assert float(old) > 10_000 > float(new), predict
    assert predict.endswith("faster")
    assert "ms" in line(text, "import fastnet, whole process")


def test_a_version_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "bench", "--against", str(tmp_path), "dense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "neither a checkout" in done.stderr and str(tmp_path) in done.stderr


def test_kinds_that_do_not_race():
    command = [sys.executable, "-m", "bench", "--against", str(ROOT), "mnist"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "'mnist'" in done.stderr and "latency" in done.stderr


@pytest.fixture
def race(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import race

    return race


def test_verdicts_need_the_best_and_the_median(race):
    row = race.row("work", [(2.0, 1.0), (2.0, 1.0), (3.0, 1.0)], "µs", 1e6)
    assert row["ratio best"] == "2.000" and row["ratio median"] == "2.000" and row["verdict"] == "faster"
    assert row["old"] == "2e+06" and row["new"] == "1e+06"
    assert race.row("work", [(0.5, 1.0), (0.9, 1.0), (0.9, 1.0)], "s", 1)["verdict"] == "slower"
    # One lucky round of the old version: the best says slower, the median equal.
    assert race.row("work", [(0.5, 1.0), (1.0, 1.0), (1.0, 1.0)], "s", 1)["verdict"] == ""


def test_who_begins_changes(race):
    asked = []
    results = race.laps(("old", "new"), lambda name: asked.append(name) or len(asked), 3)
    assert asked == ["old", "new", "new", "old", "old", "new"]
    assert results == [(1, 2), (4, 3), (5, 6)]


def test_installations(race, tmp_path):
    python = tmp_path / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    python.parent.mkdir()
    python.touch()
    assert race.Installation.at("old", python) == race.Installation("old", str(python))
    assert race.Installation.at("old", tmp_path) == race.Installation("old", str(python))
    assert race.Installation.at("old", ROOT).checkout == ROOT
    assert race.Installation.at("old", ROOT).environment()["PYTHONPATH"] == str(ROOT)
    assert "PYTHONPATH" not in race.Installation.at("old", tmp_path).environment()
