"""Training steps of dense networks: fastnet's `fit` against PyTorch, JAX, Keras and scikit-learn.

Every contender first trains some steps from the same weights, and its loss must be that of a float64 oracle. Then
whole shuffled epochs are timed in turns.
"""

import contextlib

import pytest

from . import machine, peers, report
from .contest import CHECK_STEPS, check, contenders, measure, rows_of
from .workloads import WORKLOADS, oracle


def run(quick=False, only=None, works=None, rounds=None):
    """Measure and report the workloads; `only` and `works` restrict contenders and workloads by name."""
    rounds = rounds or (2 if quick else 7)
    names = only or contenders()
    rows = []
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(peers.Worker(name)) for name in names]
        for workload in [WORKLOADS[name] for name in works or WORKLOADS]:
            steps = max(CHECK_STEPS, workload.steps // 20) if quick else workload.steps
            times, versions = measure(workload, workers, rounds, steps)
            rows += rows_of(workload, times)
    report.show("dense", rows, machine.describe(versions), notes=f"{rounds} rounds, interleaved; time of one step")
    report.bars("dense", rows)
    return rows


@pytest.fixture(scope="module")
def worker(request):
    """One process for each contender, shared by its workloads."""
    with peers.Worker(request.param) as worker:
        yield worker


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
@pytest.mark.parametrize("worker", contenders(), indirect=True)
def test_step(benchmark, worker, workload):
    """Time an epoch, after checking the loss of some steps against a float64 oracle."""
    steps = 50 if benchmark.disabled else workload.steps
    arguments = {"workload": workload.name, "check_steps": CHECK_STEPS, "epoch_steps": min(steps, workload.steps)}
    answer = worker.ask("prepare", **arguments)
    check({worker.name: answer["loss"], "float64 oracle": oracle(workload, CHECK_STEPS)})
    benchmark.extra_info["steps"] = arguments["epoch_steps"]
    benchmark.pedantic(worker.ask, ("epoch",), rounds=5)
