"""Measures fastnet; prints and keeps tables. All benchmarks take half an hour, --quick about a minute."""

import argparse
import importlib
import importlib.util

from . import IN_CHECKOUT, report

BENCHES = (
    "machine", "kernels", "optimizers", "gemm", "convolution", "dense", "images", "latency", "start", "mnist",
    "feeding", "callbacks", "users", "formulas", "ptx", "cuda",
)  # fmt: skip
NEEDED = "pytest_benchmark"  # by all but --quick


def main():
    """Run the benchmarks named on the command line, in the order of `BENCHES`."""
    parser = argparse.ArgumentParser(prog="fastnet bench", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)} or all (default)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="alone: training steps beside the installed peers; with names: fewer rounds and shorter epochs",
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: the same as the NAME cuda")
    parser.add_argument("--publish", action="store_true", help="into bench/results, for the README's table")
    parser.add_argument(
        "--only", nargs="+", metavar="CONTENDER", help="dense and images: these, e.g. fastnet@1 torch@2"
    )
    parser.add_argument("--works", nargs="+", metavar="NAME", help="dense, images and races: these workloads")
    parser.add_argument("--rounds", type=int, help="dense, images and races: rounds to measure")
    parser.add_argument(
        "--against",
        metavar="PATH",
        help="race another version of fastnet (a checkout, a virtual environment, an interpreter) in turns with this "
        "one; NAME is then one kind of race, or all (default)",
    )
    options = parser.parse_args()
    if options.device == "cuda":
        options.what.append("cuda")
    if not IN_CHECKOUT and (options.against or options.publish):
        parser.error("--against and --publish need a checkout of fastnet")
    if IN_CHECKOUT and not options.publish:
        report.RESULTS /= "own"
    if options.quick and not options.what and not options.against:
        return importlib.import_module(".quick", __package__).run()
    names = None if options.against else chosen(parser, options.what, BENCHES)
    if importlib.util.find_spec(NEEDED) is None:
        extra = "-e '.[bench]'" if IN_CHECKOUT else "'fastnet[bench]'"
        raise SystemExit(f"fastnet bench needs more packages: pip install {extra}; `fastnet bench --quick` does not.")
    if options.against:
        return run_races(parser, options)
    for name in names:
        module = importlib.import_module(".machine" if name == "machine" else f".bench_{name}", __package__)
        restricted = name in ("dense", "images")
        extra = {"only": options.only, "works": options.works, "rounds": options.rounds} if restricted else {}
        module.run(quick=options.quick, **extra)
    return None


def chosen(parser, names, known):
    """The known benchmarks that are named; all of them for "all" and without names."""
    wrong = [name for name in names if name not in (*known, "all")]
    if wrong:
        parser.error(f"unknown benchmark {wrong[0]!r} (choose from {', '.join(known)}, all)")
    return [name for name in known if name in names or not names or "all" in names]


def run_races(parser, options):
    """Race another version."""
    from . import race

    try:
        kinds = chosen(parser, options.what, race.NAMES)
        race.run(options.against, kinds, options.quick, options.rounds, options.works)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
