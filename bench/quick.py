"""A look at this machine in about a minute: training steps beside the installed peers, and shares of its peak."""

import contextlib
import time
from dataclasses import replace

from . import machine, peers, report
from .contest import CHECK_STEPS, contenders, measure, rows_of
from .workloads import WORKLOADS

WORKS = ("mnist32", "mlp512", "tiny")  # a slow machine measures the first ones
ROUNDS = 2
LATEST = 35  # seconds after which no further network is begun: a slow machine, many peers
PAUSE = 0.3  # seconds between contenders, in which the threads of the one before fall asleep
SHORTER = 8  # times as short are the epochs
MEANING = (
    "share: the part of the machine's peak of float32 multiply-adds (all threads) that the matrix products of a step "
    "reach.\nLarge layers come close to it in every library; small ones spend the time on overhead, which is what "
    "fastnet saves."
)


def run():
    """Measure and report."""
    rows, cores, start = [], machine.cores(), time.monotonic()
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(peers.Worker(name)) for name in contenders() if name != "keras-50"]
        peak = machine.peak_gflops(cores, rounds=3)
        for workload in [WORKLOADS[name] for name in WORKS]:
            if time.monotonic() - start > LATEST:
                break
            shorter = replace(workload, floors={})
            steps = max(CHECK_STEPS, workload.steps // SHORTER)
            times, versions = measure(shorter, workers, ROUNDS, steps, PAUSE)
            rows += [quick_row(row, peak) for row in rows_of(shorter, times)]
    notes = f"{ROUNDS} rounds in turns; peak {peak:.0f} GF/s on {cores} threads\n{MEANING}"
    report.show("quick", rows, machine.describe(versions), notes)
    return rows


def quick_row(row, peak):
    """The columns that are shown."""
    ratio = row.get("ratio best")
    return {
        "network": row["work"],
        "batch": row["batch"],
        "library": row["contender"],
        "µs a step": row["best µs"],
        "times fastnet's": "" if ratio is None else ratio,
        "share": f"{row['GF/s'] / peak:.0%}",
    }
