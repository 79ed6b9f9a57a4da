"""CUDA without a card: what the PTX machine counts for each launch of a step, and what ptxas makes of each kernel.

Counts are the same on every machine: instructions of warps, their accesses to global memory, and the sectors of 32
bytes that these touch. Where 32 lanes read neighbouring float32, an access touches 4 sectors. They stand beside the
arithmetic of a launch, as `model.profile` counts it.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from unittest import mock

import llvmlite
import pytest

from fastnet import layers, utils
from fastnet._kernels import registry
from fastnet._kernels.cuda.tiles import THREADS
from fastnet.engine.cuda import executable
from fastnet.engine.profiling import launch_bytes, launch_operations
from fastnet.engine.sources import Source
from fastnet.testing import machine_gpu
from fastnet.testing.ptx.launch import Counts
from fastnet.testing.running import on

from . import cuda_peers, report
from .bench_kernels import column_sum, gather, layer, update
from .workloads import WORKLOADS

CARD = {"level": "sm_90", "processors": 132}  # as an H100 has; tiles of products follow from the multiprocessors
LEVELS = ("sm_75", "sm_90")  # for ptxas
BATCHES = 8  # of the data: more than steps are counted
MEMORY = ("accesses", "sectors_read", "sectors_written", "bank_conflicts")  # of `Counts`
FORMS = {"graph": -1, "one block": float("inf")}


def training(name, form):
    """The bound step of a workload in one of the `FORMS`; its rows, and what must live as long."""
    utils.clear_session()  # layers have the same names again
    workload = WORKLOADS[name]
    x, y = (array[: BATCHES * workload.batch] for array in workload.data())
    with mock.patch.object(executable, "SMALL", FORMS[form]):
        trained = cuda_peers.Fastnet(workload, x, y, workload.weights())
        step = trained.model._trainer.plans.make("train", workload.batch, sources := (Source(x), Source(y)))
    for inlet, source in zip((step.x, step.y), sources):
        step.executable.connect(inlet, source)
    return step.executable, workload.batch, sources


def kernel(make):
    """A case of `bench_kernels` on the GPU; its rows, and what must live as long."""
    with on("cuda"), mock.patch.object(executable, "SMALL", FORMS["graph"]):
        run = make()
    return run.bound, run.rows, run


IMAGES = {  # of 4 samples of 8×8 pixels: the layer, and the channels that it gets
    "convolution 3×3, 16-32": (lambda: layers.Conv2D(32, 3, padding="same", name="conv"), 16),
    "Winograd's 3×3, 32-32": (lambda: layers.Conv2D(32, 3, padding="same", name="conv"), 32),
    "depthwise 3×3, 32": (lambda: layers.DepthwiseConv2D(3, padding="same", name="conv"), 32),
    "max pooling 2×2, 32": (lambda: layers.MaxPooling2D(2, name="pool"), 32),
    "average pooling 2×2, 32": (lambda: layers.AveragePooling2D(2, name="pool"), 32),
}


def cases():
    """(name, function that binds it) of every case."""
    adam = registry.updates["adam"]
    return [
        *((f"16-64-64-4 b32, {form}", lambda form=form: training("tiny", form)) for form in FORMS),
        ("dense 128×128×128", lambda: kernel(lambda: layer(lambda: layers.Dense(128, name="dense"), 128, 128))),
        ("adam 65,536", lambda: kernel(lambda: update(adam, 65_536))),
        ("softmax 128×10", lambda: kernel(lambda: layer(lambda: layers.Softmax(name="softmax"), 10, 128))),
        ("gather 128×784", lambda: kernel(lambda: gather("float32", 784, rows=128))),
        ("bias sum 128×512", lambda: kernel(lambda: column_sum(512, 128))),
        *(
            (f"{name}, 4×8×8", lambda make=make, channels=channels: kernel(lambda: layer(make, (8, 8, channels), 4)))
            for name, (make, channels) in IMAGES.items()
        ),
    ]


def counted(gpu, name, bound, rows):
    """Rows of a table: what the launches of the second step do, each by itself, and what all of them do."""
    bound.run(0, BATCHES * rows, rows, 1, float("inf"))
    found = []
    for device_launch in bound.launches_at(rows):
        node = bound._binder.node([device_launch], rows)
        gpu.launch(node)
        position = device_launch.position
        launches = bound.plan.launches[position : position + 1] if position >= 0 else []
        what = " ".join(f"{launch.label} {launch.name}".strip() for launch in launches) or device_launch.source.name
        found.append(_row(name, what, (node.grid, node.block), gpu.counts, launches, rows))
    if "one block" in name:
        return [*found, _step_of_a_block(gpu, name, bound, rows)]
    nodes = len(bound._nodes(rows))
    return [*found, _sum(name, found, nodes)] if "graph" in name else found[:-1]  # without the end of the step


def _step_of_a_block(gpu, name, bound, rows):
    """What a further step in the same launch takes."""
    counts = []
    for steps in (1, 2):
        gpu.launch(bound._steps(rows).node(steps))
        counts.append(gpu.counts)
    one, two = counts
    further = Counts(
        two.instructions - one.instructions,
        {kind: number - one.by_kind.get(kind, 0) for kind, number in two.by_kind.items()},
        *(getattr(two, each) - getattr(one, each) for each in MEMORY),
    )
    return _row(name, "all of a step", (1, THREADS), further, bound.plan.launches, rows)


def _row(name, what, shape, counts, launches, rows):
    return {
        "case": name,
        "launch": what[:60],
        "blocks": shape[0],
        "threads": shape[1],
        "instructions": counts.instructions,
        "multiply-adds": sum(number for kind, number in counts.by_kind.items() if kind.startswith("fma")),
        "accesses": counts.accesses,
        "sectors": counts.sectors,
        "sectors an access": round(counts.sectors / max(counts.accesses, 1), 1),
        "bank conflicts": counts.bank_conflicts,
        "operations": round(sum(launch_operations(launch, rows) for launch in launches)),
        "bytes": round(sum(launch_bytes(launch, rows) for launch in launches)),
    }


def _sum(name, found, nodes):
    """A row of all launches, which are so many nodes of a graph."""
    total = {"case": name, "launch": f"all {len(found)} launches, in {nodes} nodes", "blocks": "", "threads": ""}
    for column in list(found[0])[4:]:
        total[column] = sum(row[column] for row in found)
    total["sectors an access"] = round(total["sectors"] / total["accesses"], 1)
    return total


def assembled(texts, level):
    """Rows of a table: registers, shared memory and spills of kernels, by ptxas."""
    for (case, name), text in texts.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.ptx"
            path.write_text(text)
            command = ["ptxas", "-v", "-arch", level, str(path), "-o", str(path.with_suffix(".cubin"))]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        numbers = {what: int(n) for n, what in re.findall(r"(\d+) (?:bytes )?(registers|smem|spill \w+|stack)", said)}
        yield {
            "level": level,
            "case": case,
            "kernel": name[:70],
            "registers": numbers["registers"],
            "shared bytes": numbers.get("smem", 0),
            "stack bytes": numbers.get("stack", 0),
            "spilled bytes": numbers.get("spill stores", 0) + numbers.get("spill loads", 0),
        }


def texts_of(chosen, level):
    """(case, kernel) → PTX of the kernels of cases, each once."""
    texts = {}
    for name, make in chosen:
        with machine_gpu(**{**CARD, "level": level}, check=False):
            bound, *_ = made = make()
            for kernel, code, _ in bound.code():
                if code["ptx"] not in texts.values():
                    texts[name, kernel] = code["ptx"]
            del made
    return texts


def run(quick=False):
    """Count, assemble and report."""
    chosen = cases()[1:] if quick else cases()
    rows = []
    for name, make in chosen:
        with machine_gpu(**CARD, check=False) as gpu:
            bound, batch, _sources = make()
            rows += counted(gpu, name, bound, batch)
    card = f"PTX of llvmlite {llvmlite.__version__} for {CARD['level']}, {CARD['processors']} multiprocessors"
    report.show(
        "ptx", rows, card, "instructions, multiply-adds and accesses are those of warps; sectors are of 32 bytes"
    )
    if shutil.which("ptxas") is None:
        print("no table of registers: ptxas is not installed")
        return rows
    registers = [row for level in LEVELS[quick:] for row in assembled(texts_of(chosen, level), level)]
    said = subprocess.run(["ptxas", "--version"], capture_output=True, text=True).stdout
    (version,) = re.findall(r"release (\S+),", said)
    report.show("ptx_registers", registers, f"ptxas {version}, llvmlite {llvmlite.__version__}")
    return rows


@pytest.mark.parametrize(("name", "make"), cases(), ids=[name.replace(" ", "-") for name, _ in cases()])
def test_counts(name, make):
    """Counts are the same again."""
    found = []
    for _ in range(2):
        with machine_gpu(**CARD, check=False) as gpu:
            bound, rows, _sources = make()
            found.append(counted(gpu, name, bound, rows))
    assert found[0] == found[1]
    if name == "adam 65,536":  # 4 arrays are read and 3 written; 4 numbers of the step and whether it has STOPPED
        (row,) = (row for row in found[0] if "apply_update" in row["launch"])
        assert (row["accesses"], row["sectors"]) == (512 * (4 + 3 + 5), 512 * (16 * (4 + 3) + 5))


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="needs ptxas")
def test_registers():
    """Adam's update of four weights takes few enough registers for 1,536 threads of a multiprocessor, and no stack."""
    chosen = [case for case in cases() if case[0] == "adam 65,536"]
    (row,) = (row for row in assembled(texts_of(chosen, "sm_90"), "sm_90") if "apply_update" in row["kernel"])
    assert 0 < row["registers"] <= 40 and row["stack bytes"] == row["spilled bytes"] == 0
