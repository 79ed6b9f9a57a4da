"""Two installed versions of fastnet against each other: `python -m bench --against PATH`.

PATH is another checkout with built extensions, a virtual environment, or a Python interpreter. Each version runs in its
own process (`racer.py`). The two take turns round by round, since other programs then disturb both alike. A checkout
that races itself shows the noise.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import ROOT, machine, racer, report, workers
from .bench_start import FIT, fresh

ROUNDS, HEATS = 15, 3
# A version is slower if the best rounds and the median ratio (by more than this) and 3 of 4 rounds agree.
NOISE = 0.03
AGREE = 1e-4  # relative difference of losses: the order of sums moves them by 1e-6
PEAK = f"""
import fastnet, sys
sys.path.insert(0, {str(ROOT)!r})
from bench.small_models import peak_main
peak_main()
"""


@dataclass(frozen=True)
class Installation:
    """One version: its interpreter, and its checkout if it is not installed."""

    name: str
    python: str
    checkout: Path | None = None

    @classmethod
    def at(cls, name, path):
        """Find the installation in a checkout, in a virtual environment, or of an interpreter.

        Raises:
            ValueError: ``path`` is none of these.
        """
        path = Path(os.path.abspath(path))  # not resolved: an environment's interpreter is a link
        if path.is_file():
            return cls(name, str(path))
        program = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        if (path / "fastnet" / "__init__.py").is_file():
            own = path / ".venv" / program
            return cls(name, str(own) if own.exists() else sys.executable, path)
        if (path / program).exists():
            return cls(name, str(path / program))
        raise ValueError(f"{path} is neither a checkout of fastnet nor a virtual environment nor a Python interpreter.")

    def environment(self):
        """Environment variables with which the interpreter finds only this version."""
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**variables, "PYTHONPATH": str(self.checkout)} if self.checkout else variables

    def worker(self, folder):
        """Start a process that serves the commands of `racer`."""
        return workers.Worker(self.name, [self.python, racer.__file__], folder, self.environment())

    def fresh(self, code, cache, folder):
        """Run `code` in a new process: (seconds, its output)."""
        return fresh(code, cache, self.python, folder, self.environment())

    def commit(self):
        """The checkout's commit; empty if git does not know it."""
        if self.checkout is None:
            return ""
        command = ["git", "-C", str(self.checkout), "describe", "--always", "--dirty"]
        with contextlib.suppress(OSError):
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
        return ""


def laps(pair, ask, rounds):
    """Measure both `rounds` times by `ask(contender)`: [(old, new), ...]. They take turns at beginning."""
    results = []
    for k in range(rounds):
        answers = [ask(one) for one in (pair if k % 2 == 0 else pair[::-1])]
        results.append(tuple(answers if k % 2 == 0 else answers[::-1]))
    return results


def row(work, results, unit, scale, noise=NOISE):
    """Make a row: the best rounds of both, and the ratios of the old version to the new one."""
    old, new = ([scale * value for value in values] for values in zip(*results))
    ratios = sorted(a / b for a, b in results)
    best, median = min(old) / min(new), statistics.median(ratios)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    verdict = "slower" if max(best, median) < 1 - noise and high < 1 else ""
    verdict = "faster" if min(best, median) > 1 + noise and low > 1 else verdict
    return {
        "work": work,
        "old": f"{min(old):.4g}",
        "new": f"{min(new):.4g}",
        "unit": unit,
        "ratio best": f"{best:.3f}",
        "ratio median": f"{median:.3f}",
        "half of the rounds": f"{low:.2f} to {high:.2f}",
        "verdict": verdict,
    }


def race(kind, pair, names, quick, rounds, folder):
    """Yield rows of one kind of work. The workers start anew in each heat, since processes differ in their speed."""
    heats = 1 if quick else HEATS
    results, remarks = {name: [] for name in names}, {}
    for _ in range(heats):
        with contextlib.ExitStack() as stack:
            two = [stack.enter_context(one.worker(folder)) for one in pair]
            for name in names:
                answers = [worker.ask("prepare", kind=kind, name=name, quick=quick) for worker in two]
                remark = remark_on(name, answers)
                if remark:
                    remarks[name] = remark
                if "error" not in answers[0]:
                    results[name] += laps(two, lambda worker: worker.ask("lap")["seconds"], -(-rounds // heats))
    for name in names:
        line = row(name, results[name], "µs", 1e6) if results[name] else {"work": name}
        yield {**line, "verdict": remarks[name]} if name in remarks else line


def remark_on(name, answers):
    """The reason for which speeds are not compared: the old version cannot do the work, or the losses differ."""
    if "error" in answers[1]:
        raise RuntimeError(f"{name}: {answers[1]['error']}")
    if "error" in answers[0]:
        return f"only new ({answers[0]['error']})"
    old, new = (answer["loss"] for answer in answers)
    if old is None or abs(old - new) <= AGREE * abs(old):
        return ""
    return f"losses differ: {old:.7g} and {new:.7g}"


class Starts:
    """Measures fresh processes of both installations, each with its own kernel cache in `folder`."""

    def __init__(self, pair, folder):
        self.folder = folder
        self.caches = {one: tempfile.mkdtemp(dir=folder) for one in pair}

    def fit(self, one, cache=None):
        """{"whole": seconds of the process, "first", "later": of its two fits}."""
        seconds, printed = one.fresh(FIT, cache or self.caches[one], self.folder)
        return {"whole": seconds, **json.loads(printed)}

    def cold(self, one):
        """Seconds of a first fit that compiles its kernels."""
        with tempfile.TemporaryDirectory(dir=self.folder) as cache:
            return self.fit(one, cache)["first"]

    def extra(self, one):
        """Seconds by which a first fit takes longer than the next."""
        answer = self.fit(one)
        return answer["first"] - answer["later"]

    def run(self, name, pair, rounds):
        """Make a row."""
        unit, scale, noise, measure = STARTS[name]
        if measure is Starts.cold:
            rounds = -(-rounds // 5)  # ten seconds each
        else:
            laps(pair, lambda one: measure(self, one), 1)  # fills the cache
        return row(name, laps(pair, lambda one: measure(self, one), rounds), unit, scale, noise)


# (unit, factor, noise, measurement) by name. The third row is a small difference of large numbers.
STARTS = {
    "import fastnet, whole process": (
        "ms", 1e3, NOISE, lambda starts, one: one.fresh("import fastnet", starts.caches[one], starts.folder)[0]
    ),
    "import, build, fit; filled cache": ("ms", 1e3, NOISE, lambda starts, one: starts.fit(one)["whole"]),
    "first fit above a later one": ("ms", 1e3, 0.1, Starts.extra),
    "first fit, empty kernel cache": ("s", 1, 0.1, Starts.cold),
    "peak memory, 784-128-10 trained": (
        "MB", 1, NOISE, lambda starts, one: float(one.fresh(PEAK, starts.caches[one], starts.folder)[1])
    ),
}  # fmt: skip
NAMES = {**{kind: tuple(works) for kind, works in racer.RACES.items()}, "start": tuple(STARTS)}


def run(against, kinds=tuple(NAMES), quick=False, rounds=None, works=None):
    """Race this checkout against the installation at `against`; `works` restricts the rows by name."""
    rounds = rounds or (2 if quick else ROUNDS)
    pair = [Installation.at("old", against), Installation("new", sys.executable, ROOT)]
    tables = {}
    # An empty folder, since Python looks for modules where it is started.
    with tempfile.TemporaryDirectory() as folder:
        versions = describe(pair, folder)
        notes = f"{rounds} rounds in turns; ratios are old / new: above 1 the new one is better"
        for kind in kinds:
            names = [name for name in NAMES[kind] if not works or name in works]
            if kind == "start":
                starts = Starts(pair, folder)
                tables[kind] = [starts.run(name, pair, rounds) for name in names]
            else:
                tables[kind] = list(race(kind, pair, names, quick, rounds, folder))
            if names:
                report.show(f"race_{kind}", tables[kind], machine.describe(versions), notes)
    return tables


def describe(pair, folder):
    """The versions by name, for the tables; prints their paths."""
    files, versions = [], {}
    for one in pair:
        with one.worker(folder) as worker:
            hello = worker.ask("hello")
        files.append(hello["file"])
        versions[f"fastnet ({one.name})"] = f"{hello['version']} {one.commit()}".strip()
        print(f"{one.name}: {hello['file']}", flush=True)
    if files[0] == files[1]:
        print("Both are one installation: the ratios show the noise.")
    return versions
