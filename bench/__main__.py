"""Measures, prints tables, writes bench/results/own: `fastnet bench`, or `python -m bench`. All takes half an hour."""

import argparse
import importlib

from bench import report

BENCHES = ("machine", "kernels", "optimizers", "gemm", "dense", "latency", "start", "mnist", "feeding", "callbacks")


def main():
    """Run the benchmarks named on the command line, in the order of `BENCHES`."""
    parser = argparse.ArgumentParser(prog="fastnet bench", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*BENCHES, "all"], default="all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter epochs")
    parser.add_argument("--publish", action="store_true", help="into bench/results, for the README's table")
    parser.add_argument("--only", nargs="+", metavar="CONTENDER", help="dense: these, e.g. fastnet@1 torch@2")
    parser.add_argument("--works", nargs="+", metavar="NAME", help="dense: these workloads")
    parser.add_argument("--rounds", type=int, help="dense: rounds to measure")
    options = parser.parse_args()
    if not options.publish:
        report.RESULTS /= "own"
    for name in BENCHES:
        if name not in options.what and "all" not in options.what:
            continue
        module = importlib.import_module("bench.machine" if name == "machine" else f"bench.bench_{name}")
        extra = {"only": options.only, "works": options.works, "rounds": options.rounds} if name == "dense" else {}
        module.run(quick=options.quick, **extra)


if __name__ == "__main__":
    main()
