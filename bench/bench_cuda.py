"""A GPU: training steps against PyTorch and JAX, kernels against the card's bandwidth and peak, populations, MNIST.

`python -m bench cuda` (or `--device cuda`) measures all of it in under 25 minutes, and writes `cuda/<card>/`. Without a
GPU it says so in one line. Written without a GPU at hand: its parts were run on the PTX machine, which has no speed.
"""

import contextlib
import math
import re
import shutil
import time
from unittest import mock

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet._kernels import registry
from fastnet.engine.cuda import current, executable
from fastnet.engine.cuda.driver import Node
from fastnet.engine.profiling import launch_bytes, launch_operations
from fastnet.testing import machine_gpu
from fastnet.testing.populations import Population
from fastnet.testing.running import on

from . import bench_mnist, contest, cuda_peers, report
from .bench_kernels import column_sum, gather, layer, update
from .bench_ptx import assembled, training
from .cuda_kernels import BARRIERS, COPY, EMPTY, MULTIPLY_ADDS, ROUNDS
from .workloads import ON_A_CARD, WORKLOADS, oracle

PAUSE = 0.1  # seconds between contenders
TOLERANCE = 1e-2  # of losses: PyTorch's Adam of a graph has another epsilon, which the first steps feel
SHARE_OF_UPDATES = 0.85  # least share of the bandwidth of a copy
GRAPH, BLOCK, POPULATION = 12, 10, 0.15  # most microseconds of a step of 16-64-64-4
LARGE, SHARE_OF_TF32 = "large-gpu", 0.9
MNIST_SECONDS, MNIST_ACCURACY, MNIST_EPOCHS = 1, 0.98, 20


# ---- the card


def bandwidth(gpu, elements=1 << 28, rounds=5):
    """Bytes a second of a copy of float32."""
    memory = [gpu.allocate(4 * elements) for _ in range(2)]
    gpu.upload(memory[0], np.zeros(elements, np.float32))
    node = Node(gpu.load(COPY, "copy"), elements // 1024, 256, tuple(memory))
    seconds = min(gpu.times([node])[0] for _ in range(rounds))
    for address in memory:
        gpu.free(address)
    return 8 * elements / seconds


def peak(gpu, blocks=16, rounds=5):
    """Operations a second of float32 multiply-adds in registers; so many blocks for each multiprocessor."""
    result = gpu.allocate(4 * 256)
    node = Node(gpu.load(MULTIPLY_ADDS, "multiply_adds"), blocks * gpu.processors, 256, (result,))
    seconds = min(gpu.times([node])[0] for _ in range(rounds))
    gpu.free(result)
    return 2 * 8 * ROUNDS * 256 * node.grid / seconds


def node_seconds(gpu, nodes=200, replays=50):
    """Seconds of a node of a graph that does nothing: what 200 take beyond 100."""
    empty, seconds = Node(gpu.load(EMPTY, "empty"), 1, 32, ()), []
    for count in (nodes // 2, nodes):
        graph = gpu.capture([empty] * count)
        seconds.append(timed(gpu, lambda graph=graph: gpu.replay(graph, replays)))
    return (seconds[1] - seconds[0]) / (replays * nodes / 2)


def barrier_seconds(gpu, rounds=1000):
    """Seconds of a barrier of a grid with a block on each multiprocessor: what 2,000 take beyond 1,000."""
    counter, seconds = gpu.allocate(4), []
    for count in (rounds, 2 * rounds):
        gpu.upload(counter, np.zeros(1, np.uint32))
        node = Node(gpu.load(BARRIERS, "barriers"), gpu.processors, 256, (counter, count))
        seconds += gpu.times([node])
    gpu.free(counter)
    return (seconds[1] - seconds[0]) / rounds


def timed(gpu, work, rounds=3):
    """Seconds of work on the device, the best of some rounds."""
    best = math.inf
    for _ in range(rounds + 1):  # the first warms up
        gpu.synchronize()
        start = time.perf_counter()
        work()
        gpu.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


# ---- parts


def steps(quick):
    """Rows of fastnet and its peers, one table for all workloads."""
    rows, names = [], cuda_peers.contenders()
    for workload in ON_A_CARD.values():
        count = max(contest.CHECK_STEPS, workload.steps // 20) if quick else workload.steps
        chosen = [name for name in names if name not in cuda_peers.LOWER or workload.name == LARGE]
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(cuda_peers.Worker(name)) for name in chosen]
            times, _ = contest.measure(workload, workers, 2 if quick else 5, count, PAUSE, TOLERANCE)
        rows += contest.rows_of(workload, times)
    return rows


def figures(gpu, rows, quick):
    """Rows of single figures; `rows` are those of `steps`."""
    best = {(row["work"], row["contender"]): row["best µs"] for row in rows}
    yield report.figure("a node of a graph that does nothing", 1e6 * node_seconds(gpu), "µs")
    yield report.figure("a barrier of all blocks of a grid", 1e6 * barrier_seconds(gpu), "µs")
    for name in ("tiny", "mlp512"):
        bound, batch, _sources = training(name, "graph")
        yield report.figure(f"launches a step, {name}", len(bound._nodes(batch)), "")
    for name, floor, contender in (("graph", GRAPH, "fastnet-graph"), ("one block", BLOCK, "fastnet")):
        if ("tiny-gpu", contender) in best:
            yield report.figure(f"a step of 16-64-64-4 b32, {name}", best["tiny-gpu", contender], "µs", floor)
    ours, theirs = (best.get((LARGE, contender)) for contender in cuda_peers.LOWER)
    if ours and theirs:
        share = round(theirs / ours, 3)
        yield report.figure(f"{LARGE}, high: speed beside PyTorch's TF32", share, "", SHARE_OF_TF32, at_least=True)
    for models in (1, gpu.processors, 2 * gpu.processors):
        floor = POPULATION if models > 1 else None
        seconds = population(gpu, models, 100 if quick else 1000)
        yield report.figure(f"a step of one of {models} models side by side", 1e6 * seconds, "µs", floor)
    yield report.figure("copy", bandwidth(gpu) / 1e9, "GB/s")
    yield report.figure("multiply-adds", peak(gpu) / 1e9, "GF/s")


def population(gpu, models, count, name="tiny"):
    """Seconds of a step of one of some models that train side by side."""
    workload = WORKLOADS[name]
    x, y = workload.data()
    made = []
    for _ in range(models):
        one = cuda_peers.Fastnet(workload, x, y, workload.weights()).model
        made.append(one)
    together = Population(gpu, made, x, y, workload.batch)
    together.send()
    count = min(count, len(x) // workload.batch // 5)  # `timed` runs it four times
    return timed(gpu, lambda: together.run(count)) / (count * models)


def cases(scale=1):
    """(name, least share of a copy of its largest launch, function that makes the run) of kernels that fill a card."""
    weights, rows = 10_000_000 // scale, 65_536 // scale
    size = max(4096 // scale, 1)
    return [
        *((f"update {row.name}", SHARE_OF_UPDATES, lambda r=row: update(r, weights)) for row in updates()),
        (f"dense {size}×{size}×{size}", None, lambda: layer(lambda: layers.Dense(size, name="dense"), size, size)),
        ("softmax 10", None, lambda: layer(lambda: layers.Softmax(name="softmax"), 10, rows)),
        ("layer normalization 128", None, lambda: layer(layers.LayerNormalization, 128, rows)),
        ("dropout 128", None, lambda: layer(lambda: layers.Dropout(0.2), 128, rows)),
        ("gather 784", None, lambda: gather("float32", 784, rows=max(rows // 8, 1))),
        ("column sum 512", None, lambda: column_sum(512, rows)),
    ]


def updates():
    """The updates of the registry."""
    return registry.updates.unique()


def kernels(chosen, bytes_a_second, operations_a_second, rounds=5):
    """Rows of the launches of cases: time, and shares of a copy's bandwidth and of the peak."""
    for name, floor, make in chosen:
        with on("cuda"), mock.patch.object(executable, "SMALL", -1):
            run = make()
        best = np.full(len(run.plan.launches), np.inf)
        for _ in range(rounds):
            times = np.zeros(len(best))
            run.steps(1, times=times)
            np.minimum(best, times, out=best)
        largest = max(launch_bytes(launch, run.rows) for launch in run.plan.launches)
        for launch, seconds in zip(run.plan.launches, best):
            bytes_ = launch_bytes(launch, run.rows)
            share, least = bytes_ / seconds / bytes_a_second, floor if bytes_ == largest else None
            yield {
                "case": name,
                "launch": launch.name[:50],
                "µs": f"{1e6 * seconds:.2f}",
                "share of a copy": round(share, 3),
                "share of multiply-adds": round(launch_operations(launch, run.rows) / seconds / operations_a_second, 3),
                "floor": least,
                "verdict": report.verdict(round(share, 3), least, at_least=True),
            }


def mnist():
    """Rows of the training of MNIST: the seconds of `fit` until the accuracy is reached."""
    if bench_mnist.data_folder() is None:
        print("no MNIST: set FASTNET_DATA to the folder that holds mnist/")
        return []
    (x, y), test = bench_mnist.load()
    made = []
    for _ in range(2):  # the first compiles
        model = bench_mnist.model(fastnet, device="cuda")
        seconds, accuracy, epochs = 0.0, 0.0, 0
        while accuracy < MNIST_ACCURACY and epochs < MNIST_EPOCHS:
            start = time.perf_counter()
            model.fit(x, y, batch_size=bench_mnist.BATCH, verbose=0)
            seconds, epochs = seconds + time.perf_counter() - start, epochs + 1
            accuracy = model.evaluate(*test, verbose=0)[1]
        made = [
            report.figure("MNIST, 784-512-10: seconds of training", seconds, "s", MNIST_SECONDS),
            report.figure("its accuracy", accuracy, "", MNIST_ACCURACY, at_least=True),
            report.figure("its epochs", epochs, ""),
        ]
    return made


def run(quick=False):
    """Measure and report all of it."""
    if not current.is_there():
        print(f"no GPU: {current.described().removeprefix('none: ')}")
        return
    gpu, start = current.driver(), time.perf_counter()
    folder = "cuda/" + re.sub(r"\W+", "-", gpu.name).strip("-").lower()
    rows = steps(quick)
    report.show(f"{folder}/steps", rows, current.described(), "interleaved rounds; time of one step; float32, no TF32")
    found = [*figures(gpu, rows, quick), *mnist()]
    rates = {row["what"]: 1e9 * row["value"] for row in found}
    kernel_rows = list(kernels(cases(8 if quick else 1), rates["copy"], rates["multiply-adds"]))
    found.append(report.figure("all of these measurements", (time.perf_counter() - start) / 60, "min", 25))
    report.show(f"{folder}/figures", found, current.described())
    report.show(f"{folder}/kernels", kernel_rows, current.described())


def test_parts():
    """Every part that is this module's runs, in the PTX machine and in small."""
    with machine_gpu(processors=2, check=False) as gpu:
        assert bandwidth(gpu, 2048, 1) > 0 and peak(gpu, 1, 1) > 0 and node_seconds(gpu, 4, 1) > 0
        assert barrier_seconds(gpu, 2) > 0
        assert population(gpu, 2, 1) > 0
        chosen = [case for case in cases(8192) if case[0] in ("update adam", "dense 1×1×1", "softmax 10")]
        rows = list(kernels(chosen, 1e9, 1e9, 1))
    assert {row["case"] for row in rows} == {case[0] for case in chosen}


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="needs ptxas")
@pytest.mark.parametrize("text", [BARRIERS, COPY, EMPTY, MULTIPLY_ADDS], ids=["barriers", "copy", "empty", "adds"])
def test_kernels_are_ptx(text):
    (row,) = assembled({("a card", "kernel"): text}, "sm_90")
    assert row["spilled bytes"] == 0


def test_without_a_gpu(capsys):
    """One line, and no error."""
    if not current.is_there():
        run()
        assert re.fullmatch(r"no GPU: .+\n", capsys.readouterr().out)


def test_a_peer_that_fails_is_left_out(capsys):
    """The others are measured; fastnet itself must not fail."""
    workload = WORKLOADS["tiny"]

    class Fake:
        def __init__(self, name, fails=False):
            self.name, self.fails = name, fails

        def ask(self, command, **arguments):
            if self.fails:
                raise RuntimeError(f"{self.name}: the worker ended")
            return {"loss": oracle(workload, contest.CHECK_STEPS), "version": "1", "seconds": 1.0}

    times, versions = contest.measure(workload, [Fake("fastnet"), Fake("torch", True), Fake("jax")], 1, 1, 0)
    assert list(times) == list(versions) == ["fastnet", "jax"]
    assert capsys.readouterr().out == "tiny without torch: torch: the worker ended\n"
    with pytest.raises(RuntimeError, match="fastnet: the worker ended"):
        contest.measure(workload, [Fake("fastnet", True)], 1, 1, 0)
