"""Writes the README's speed table from the results of `python -m bench`."""

import csv
from pathlib import Path

from bench.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
SIZES = {workload.name: "-".join(map(str, workload.sizes)) for workload in WORKLOADS.values()}
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
NAMES = {
    "jax": "JAX, epoch in one scan",
    "torch": "PyTorch",
    "keras": "Keras on JAX",
    "keras-tensorflow": "Keras on TensorFlow",
    "keras-50": "the same, 50 steps a call",
    "sklearn": "scikit-learn",
}


IMAGES = {
    "convnet": "two convolutions, 28×28×1",
    "vgg": "six with batch normalization, 32×32×3",
    "resnet20": "ResNet-20, 32×32×3",
}


def table(name, networks, peers):
    """Make a table of times and ratios, with PyTorch on its better number of threads, after the machine's line.

    Args:
        name: of the benchmark.
        networks: by the name of the workload.
        peers: names of columns by contender.
    """
    with open(RESULTS / f"{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    machine = (RESULTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()[1]
    measured = {row["contender"].split("@")[0] for row in rows}
    peers = {peer: title for peer, title in peers.items() if peer in measured}
    lines = [
        f"{machine}.",
        "",
        "| network | batch | fastnet | " + " | ".join(peers.values()) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    for work in dict.fromkeys(row["work"] for row in rows):
        own = [row for row in rows if row["work"] == work]
        fastnet = float(next(r["median µs"] for r in own if r["contender"] == "fastnet"))
        cells = []
        for peer in peers:
            times = [float(r["median µs"]) for r in own if r["contender"].split("@")[0] == peer]
            cells.append(f"{min(times) / fastnet:.1f}×" if times else "–")
        lines.append(
            f"| {work}: {networks[work]} | {own[0]['batch']} | {fastnet:,.0f} µs | " + " | ".join(cells) + " |"
        )
    return lines


def text():
    """Make the text between the markers."""
    return "\n".join(
        [
            BEGIN,
            "The time of a training step (gather, forward, backward, Adam) in `fit`, and how many times as long each",
            "peer takes: medians of interleaved rounds. Dense networks:",
            *table("dense", SIZES, NAMES),
            "",
            "Networks of images:",
            *table("images", IMAGES, {name: NAMES[name] for name in ("torch", "keras", "keras-tensorflow")}),
            "",
            "Below 1× fastnet is slower. `fastnet bench --quick` measures your machine in about a minute,",
            "beside the peers that are installed; it needs no checkout. All benchmarks take half an hour: in a",
            'checkout, run `.venv/bin/pip install -e ".[bench]"` (`".[bench,peers]"` for the other columns, and',
            "`tensorflow-cpu` for Keras on TensorFlow) and `fastnet bench`, which writes tables and pictures to",
            "`bench/results/own`. `fastnet bench dense images` measures the tables above, and `python -m",
            "bench.readme` writes them from `bench/results`.",
            END,
        ]
    )


def main():
    """Replace the text between the markers."""
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    path.write_text(before + text() + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
