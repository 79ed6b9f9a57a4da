"""Measures fastnet, prints tables and writes them to bench/results/own. All benchmarks take half an hour."""

import argparse
import importlib

from bench import race, report

BENCHES = ("machine", "kernels", "optimizers", "gemm", "dense", "latency", "start", "mnist", "feeding", "callbacks")


def main():
    """Run the benchmarks named on the command line, in the order of `BENCHES`."""
    parser = argparse.ArgumentParser(prog="fastnet bench", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)} or all (default)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter epochs")
    parser.add_argument("--publish", action="store_true", help="into bench/results, for the README's table")
    parser.add_argument("--only", nargs="+", metavar="CONTENDER", help="dense: these, e.g. fastnet@1 torch@2")
    parser.add_argument("--works", nargs="+", metavar="NAME", help="dense and races: these workloads")
    parser.add_argument("--rounds", type=int, help="dense and races: rounds to measure")
    parser.add_argument(
        "--against",
        metavar="PATH",
        help="race another version of fastnet (a checkout, a virtual environment, an interpreter) in turns with this "
        f"one: {', '.join(race.NAMES)} or all (default)",
    )
    options = parser.parse_args()
    known = race.NAMES if options.against else BENCHES
    wrong = [name for name in options.what if name not in (*known, "all")]
    if wrong:
        parser.error(f"unknown benchmark {wrong[0]!r} (choose from {', '.join(known)}, all)")
    chosen = [name for name in known if name in options.what or not options.what or "all" in options.what]
    if not options.publish:
        report.RESULTS /= "own"
    if options.against:
        try:
            race.run(options.against, chosen, options.quick, options.rounds, options.works)
        except ValueError as error:
            parser.error(str(error))
        return
    for name in chosen:
        module = importlib.import_module("bench.machine" if name == "machine" else f"bench.bench_{name}")
        extra = {"only": options.only, "works": options.works, "rounds": options.rounds} if name == "dense" else {}
        module.run(quick=options.quick, **extra)


if __name__ == "__main__":
    main()
