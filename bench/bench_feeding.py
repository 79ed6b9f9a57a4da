"""The cost of feeding data: batches from generators against arrays; one sample a step, and all at once."""

import contextlib
import statistics
import time

import numpy as np
import pytest

from . import contest, machine, peers, report
from .workloads import ENDS, Workload

SHARE = 0.9  # the least speed of batches that are ready, as a share of the array's
WORKS = [Workload(f"784-{units}-10", (784, units, 10), 128, 200, {}) for units in (128, 512)]
KINDS = ("array", "array in order", "generator", "list", "PyDataset", "PyDataset, two workers", "DataLoader")


def batches(x, y, size):
    """Yield views of arrays."""
    for k in range(0, len(x), size):
        yield x[k : k + size], y[k : k + size]


def dataset(x, y, size, workers):
    """Make a PyDataset of views of arrays."""
    import fastnet

    class Ready(fastnet.utils.PyDataset):
        def __len__(self):
            return -(-len(x) // size)

        def __getitem__(self, index):
            return x[index * size : (index + 1) * size], y[index * size : (index + 1) * size]

    return Ready(workers=workers)


def loader(x, y, size):
    """Make a DataLoader of whole batches, which leaves out PyTorch's collating row by row."""
    import torch

    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    order = torch.utils.data.BatchSampler(torch.utils.data.SequentialSampler(data), size, drop_last=False)
    return torch.utils.data.DataLoader(data, sampler=order, batch_size=None)


def epochs(workload, kinds):
    """Functions that train an epoch, by the kind of data."""
    x, y = workload.data()
    model = peers.Fastnet(workload, x, y, workload.weights()).model
    size = workload.batch
    listed = list(batches(x, y, size))
    makers = {
        "array": lambda: model.fit(x, y, batch_size=size, verbose=0),
        "array in order": lambda: model.fit(x, y, batch_size=size, shuffle=False, verbose=0),
        "generator": lambda: model.fit(batches(x, y, size), verbose=0),
        "list": lambda: model.fit(listed, verbose=0),
        "PyDataset": lambda: model.fit(dataset(x, y, size, 1), verbose=0),
        "PyDataset, two workers": lambda: model.fit(dataset(x, y, size, 2), verbose=0),
        "DataLoader": lambda: model.fit(loader(x, y, size), verbose=0),
    }
    return {kind: makers[kind] for kind in kinds}


def kinds():
    """The kinds of data that the installed packages provide."""
    return [kind for kind in KINDS if kind != "DataLoader" or peers.installed("torch")]


def feeding(workload, rounds):
    """Yield table rows: microseconds a step for each kind of data, in turns, and the share of the array's speed."""
    calls = epochs(workload, kinds())
    times = {kind: [] for kind in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for kind, call in calls.items():
            start = time.perf_counter()
            call()
            times[kind].append((time.perf_counter() - start) / workload.steps)
    for kind, seconds in times.items():
        share = statistics.median(a / b for a, b in zip(times["array"], seconds))
        floor = SHARE if kind in ("generator", "list") else None
        yield {
            "work": workload.name,
            "data": kind,
            "best µs": round(min(seconds) * 1e6, 1),
            "median µs": round(statistics.median(seconds) * 1e6, 1),
            "share of the array's speed": round(share, 3),
            "floor": "" if floor is None else floor,
            "verdict": report.verdict(share, floor, at_least=True),
        }


def ends(rounds, quick):
    """Make table rows: one sample a step, and full batches, against the peers."""
    rows = []
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(peers.Worker(name)) for name in contest.contenders() if name != "sklearn"]
        for workload in ENDS.values():
            steps = max(contest.CHECK_STEPS, workload.steps // 20) if quick else workload.steps
            times, _ = contest.measure(workload, workers, rounds, steps)
            rows += contest.rows_of(workload, times)
    return rows


def run(quick=False):
    """Measure and report both tables."""
    rounds = 2 if quick else 9
    rows = [row for workload in WORKS for row in feeding(workload, rounds)]
    report.show("feeding", rows, machine.describe(), notes=f"{rounds} rounds in turns; batches of 128×784 float32")
    report.strips("feeding", rows, ["work", "data"], "share of the array's speed", "share of the array's speed")
    rows = ends(rounds, quick)
    report.show("ends", rows, machine.describe(), notes=f"{rounds} rounds, interleaved; time of one step")
    report.bars("ends", rows)
    return rows


@pytest.mark.parametrize("kind", ["array", "generator"])
def test_epoch(benchmark, kind):
    workload = Workload("784-128-10", (784, 128, 10), 128, 4 if benchmark.disabled else 200, {})
    (call,) = epochs(workload, [kind]).values()
    call()
    history = benchmark.pedantic(call, rounds=3)
    assert np.isfinite(history.history["loss"][0])
