"""Jobs that users do, from their data to their result, beside the library that they would take otherwise.

`python -m bench.bench_users JOB NAME` does a job once with one contender.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass

import pytest

from . import ROOT, machine, peers, report, user_dqn, user_optimizers, user_service


@dataclass
class Job:
    """A job: functions by contender, each of which does it and returns (seconds, score).

    Args:
        does: the contenders; "fastnet" first.
        floor: the least ratio of the fastest peer's time to fastnet's.
        score: what the score is.
        notes: what is measured.
    """

    does: dict
    floor: float
    score: str
    notes: str


def cross_validation(name, data):
    """A function that cross-validates an estimator on a data set of scikit-learn, best of three after a warm-up."""

    def do():
        import sklearn.datasets
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        warnings.simplefilter("ignore", ConvergenceWarning)
        x, y = getattr(sklearn.datasets, f"load_{data}")(return_X_y=True)
        x = x.astype("float32")  # all compute in the dtype of the data
        estimator, folds = tabular_network(name), StratifiedKFold(5, shuffle=True, random_state=0)
        estimator.fit(x, y)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            scores = cross_val_score(estimator, x, y, cv=folds)
            seconds.append(time.perf_counter() - start)
        return min(seconds), scores.mean()

    return do


def tabular_network(name):
    """A network of 64 and 32 ReLU units on scaled features; Adam, 200 epochs at most, the same rule for the end."""
    if name == "fastnet":
        from fastnet.wrappers import FastnetClassifier

        return FastnetClassifier((64, 32), random_state=0)
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    batch = "auto" if name == "sklearn-auto" else 32
    return make_pipeline(StandardScaler(), MLPClassifier((64, 32), batch_size=batch, alpha=0.0, random_state=0))


def tabular(data):
    """The job of cross-validating on a data set."""
    names = ("fastnet", "sklearn", "sklearn-auto")
    notes = "5 folds, 64-32, batches of 32, or scikit-learn's own (sklearn-auto); all in float32; one thread each"
    return Job({name: cross_validation(name, data) for name in names}, 8, "accuracy", notes)


JOBS = {f"tabular, {data}": tabular(data) for data in ("digits", "breast_cancer")}


def in_process(job, name):
    """Do a job in a fresh process: (seconds, score)."""
    one_thread = dict.fromkeys(("FASTNET_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.bench_users", job, name], cwd=ROOT,
        check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **one_thread},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def available(job):
    """The contenders of a job whose library is installed."""
    return [name for name in job.does if peers.installed(name.split("-")[0])]


def run(quick=False):
    """Do every job in turns with each contender, and report times, scores and ratios."""
    rows = []
    for title, job in JOBS.items():
        results = {name: [] for name in available(job)}
        for _ in range(1 if quick else 3):
            for name, runs in results.items():
                runs.append(in_process(title, name))
        best = {name: min(seconds for seconds, _ in runs) for name, runs in results.items()}
        for name, runs in results.items():
            rows.append(report.figure(f"{title}: {name}, best", best[name], "s"))
            rows.append(report.figure(f"{title}: {name}, {job.score}", runs[0][1], ""))
        others = [seconds for name, seconds in best.items() if name != "fastnet"]
        if others:
            what = f"{title}: fastest other / fastnet"
            rows.append(report.figure(what, min(others) / best["fastnet"], "x", job.floor, at_least=True))
    for module in (user_dqn, user_optimizers, user_service):
        rows += module.rows(quick)
    notes = "\n".join(dict.fromkeys(job.notes for job in JOBS.values()))
    report.show("users", rows, machine.describe(), notes=notes)
    report.margins("users", rows)
    return rows


@pytest.mark.parametrize("title", JOBS)
def test_job(benchmark, title):
    if title.startswith("tabular"):
        pytest.importorskip("sklearn")
    _, score = benchmark.pedantic(in_process, (title, "fastnet"), rounds=1)
    assert score > 0.9


if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]].does[sys.argv[2]]()))
