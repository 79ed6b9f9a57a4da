"""Measures training steps of the contenders in turns, after checking that they compute the same."""

import statistics
import time

from . import machine, peers, report
from .workloads import oracle

CHECK_STEPS = 3  # after more steps, one flipped ReLU of the wide net moves the loss by 2e-4
# Threads of OpenBLAS and OpenMP spin for up to 0.2 s after their work, on the cores of the next contender. It cost
# fastnet, which came after scikit-learn, 20 to 40 % on two threads.
PAUSE = 0.5
TOLERANCE = 1e-4  # JAX and Keras compute 1 - β₂ᵗ in float32 (6e-5 off at t = 1); the others differ by 1e-7


def contenders():
    """The installed contenders; PyTorch on one thread and on all, since small work is faster on one."""
    names = []
    for name in filter(peers.installed, peers.CONTENDERS):
        names += [f"torch@{n}" for n in sorted({1, machine.cores()})] if name == "torch" else [name]
    return names


def check(losses, tolerance=TOLERANCE):
    """Raise an error unless the losses by contender agree."""
    low, high = min(losses.values()), max(losses.values())
    if not high - low <= tolerance * high:
        raise AssertionError(f"the contenders compute different things; losses after {CHECK_STEPS} steps: {losses}")


def measure(workload, workers, rounds, epoch_steps, pause=PAUSE, tolerance=TOLERANCE):
    """Measure the seconds of a step in turns: a list of `rounds` values for each worker.

    A peer that fails, for want of a compiler or of memory, is left out.
    """
    arguments = {"workload": workload.name, "check_steps": CHECK_STEPS, "epoch_steps": epoch_steps}
    answers = {}
    for worker in workers:
        try:
            answers[worker.name] = worker.ask("prepare", **arguments)
        except RuntimeError as error:
            if worker.name.startswith("fastnet"):
                raise
            print(f"{workload.name} without {worker.name}: {error}")
    workers = [worker for worker in workers if worker.name in answers]
    losses = {name: answer["loss"] for name, answer in answers.items()}
    check({**losses, "float64 oracle": oracle(workload, CHECK_STEPS)}, tolerance)
    times = {worker.name: [] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            time.sleep(pause)
            times[worker.name].append(worker.ask("epoch")["seconds"])
    return times, {name: answer["version"] for name, answer in answers.items()}


def rows_of(workload, times):
    """Yield the table rows of one workload: times, GF/s, ratios to fastnet, and the floor with its verdict."""
    ours = times.get("fastnet")
    for name, seconds in times.items():
        best, median = min(seconds), statistics.median(seconds)
        row = {
            "work": workload.name,
            "batch": workload.batch,
            "contender": name,
            "best µs": round(best * 1e6, 1),
            "median µs": round(median * 1e6, 1),
        }
        if hasattr(workload, "flops"):
            row["GF/s"] = round(workload.flops / best / 1e9, 1)
        if ours and name != "fastnet":
            row["ratio best"] = round(best / min(ours), 2)
            row["ratio median"] = round(median / statistics.median(ours), 2)
            row["floor"] = workload.floors.get(name.partition("@")[0])
            row["verdict"] = report.verdict(row["ratio best"], row["floor"], at_least=True)
        yield row
