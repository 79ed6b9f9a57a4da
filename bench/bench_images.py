"""Training steps of networks of images: fastnet's `fit` against PyTorch and Keras.

Every contender first trains some steps from the same weights, without dropout, and the losses must agree. Then whole
shuffled epochs are timed in turns.
"""

import contextlib
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from . import image_peers, machine, peers, report
from .contest import PAUSE, rows_of
from .image_workloads import WORKLOADS

CHECK_STEPS = 2
TOLERANCES = 1e-5, 2e-3  # of the losses before and after these steps: PyTorch adds epsilon to another root in Adam


def contenders(workload):
    """The installed contenders of a workload; PyTorch on one thread and on all."""
    names = ["fastnet"]
    if peers.installed("torch"):
        names += [f"torch@{n}" for n in sorted({1, machine.cores()})]
    has_blocks = any(layer[0] == "block" for layer in workload.layers)
    backends = {"keras": "jax", "keras-tensorflow": "tensorflow"}
    found = [name for name, backend in backends.items() if find_spec("keras") and find_spec(backend)]
    return names + ([] if has_blocks else found)


def check(losses):
    """Raise an error unless the contenders' losses agree, before and after the first steps."""
    for position, tolerance in enumerate(TOLERANCES):
        values = [pair[position] for pair in losses.values()]
        if not max(values) - min(values) <= tolerance * max(values):
            raise AssertionError(f"the contenders compute different things; losses after 0 and {CHECK_STEPS}: {losses}")


def run(quick=False, only=None, works=None, rounds=None):
    """Measure and report the workloads; `only` and `works` restrict contenders and workloads by name."""
    rounds = rounds or (2 if quick else 7)
    rows, versions = [], {}
    for workload in [WORKLOADS[name] for name in works or WORKLOADS]:
        names = [name for name in contenders(workload) if only is None or name in only]
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(image_peers.Worker(name)) for name in names]
            arguments = {"workload": workload.name, "check_steps": CHECK_STEPS}
            arguments["epoch_steps"] = max(CHECK_STEPS, workload.steps // 10) if quick else workload.steps
            answers = {worker.name: worker.ask("prepare", **arguments) for worker in workers}
            check({name: answer["losses"] for name, answer in answers.items()})
            times = {worker.name: [] for worker in workers}
            for _ in range(rounds):
                for worker in workers:
                    time.sleep(PAUSE)
                    times[worker.name].append(worker.ask("epoch")["seconds"])
            versions |= {name: answer["version"] for name, answer in answers.items()}
            rows += rows_of(workload, times)
    report.show("images", rows, machine.describe(versions), notes=f"{rounds} rounds, interleaved; time of one step")
    if Path("/proc/self/status").exists() and (only is None or "fastnet" in only):
        memory(only, works, machine.describe(versions))
    return rows


def memory(only, works, described):
    """Measure and report by how much a process grows at most that trains two steps, each in a fresh one."""
    rows = []
    for workload in works or WORKLOADS:
        grown = {}
        for name in contenders(WORKLOADS[workload]):
            if "@" not in name or name == f"torch@{machine.cores()}":
                with image_peers.Worker(name) as worker:
                    if only is None or name in only:
                        grown[name] = worker.ask("memory", workload=workload)["bytes"]
        rows.append(report.figure(f"{workload}, fastnet", grown["fastnet"] / 1e6, "MB"))
        for name in grown.keys() - {"fastnet"}:
            rows.append(report.figure(f"{workload}, {name}", grown[name] / 1e6, "MB"))
            ratio = grown["fastnet"] / grown[name]
            rows.append(report.figure(f"{workload}, fastnet / {name}", ratio, "", 1 if "torch" in name else None))
    report.show("images_memory", rows, described, notes="growth of a process over one with the library and the data")


@pytest.mark.parametrize("name", WORKLOADS)
def test_fastnet_computes_what_torch_does(name):
    pytest.importorskip("torch")
    losses = {}
    for contender in ("fastnet", "torch"):
        with image_peers.Worker(contender) as worker:
            answer = worker.ask("prepare", workload=name, check_steps=CHECK_STEPS, epoch_steps=CHECK_STEPS)
            losses[contender] = answer["losses"]
    check(losses)
