"""The command `fastnet` with its subcommands demo, bench, info, warmup and cache."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import fastnet
from fastnet._kernels.errors import quoted

if TYPE_CHECKING:
    from fastnet._kernels.cache import Folder

INTERRUPTED = 130  # the exit code that shells give a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: as on a command line; by default those of this process.

    Returns:
        The exit code: 0, 1 after an error with a message, 130 after Ctrl-C. A wrong command line exits with 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # The encoding of a file or pipe on Windows may lack µ. Lines are flushed at once, for readers of a pipe.
            stream.reconfigure(errors="replace", line_buffering=True)
    given = list(sys.argv[1:] if arguments is None else arguments)
    known, forwarded = (given[:1], given[1:]) if given[:1] == ["bench"] else (given, [])  # bench parses its own options
    options = _parser().parse_args(known, argparse.Namespace(forwarded=forwarded))
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print(f"\nfastnet {options.command}: stopped.", file=sys.stderr)
        return INTERRUPTED
    except (OSError, ValueError, fastnet.NonFiniteError, fastnet.KernelError) as error:
        print(f"fastnet {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnet", description="A compiled training engine for neural networks.")
    parser.add_argument("--version", action="version", version=f"fastnet {fastnet.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    demo = commands.add_parser("demo", help="train a classifier of handwritten digits and show its results")
    demo.add_argument("--images", action="store_true", help="a convolutional network instead of a dense one")
    demo.add_argument("--epochs", type=_positive, metavar="N", help="passes over the data (default 60, images 20)")
    demo.add_argument("--seed", type=_natural, default=0, metavar="N", help="of weights and shuffling (default 0)")
    demo.add_argument(
        "--output", type=Path, default=Path("fastnet-demo"), metavar="DIR", help="folder for the results (fastnet-demo)"
    )
    demo.set_defaults(run=_demo)

    bench = commands.add_parser("bench", help="measure kernels, training steps and starts, beside other libraries")
    bench.set_defaults(run=_bench)

    info = commands.add_parser("info", help="show versions, threads, the kernel cache and the machine's speed")
    info.set_defaults(run=_info)

    warmup = commands.add_parser(
        "warmup",
        help="compile kernels into the cache, for instance while the image of a container is built",
        description="Compiles kernels into the cache: those of common networks, of one model, or of all that fastnet "
        "has. FASTNET_TARGET names another processor than this one (docs/production.md).",
    )
    which = warmup.add_mutually_exclusive_group()
    which.add_argument("model", type=Path, nargs="?", metavar="MODEL", help="a file of a model (.fastnet)")
    whole = "each activation, optimizer, loss and simple layer; some minutes"
    which.add_argument("--all", action="store_true", help=whole)
    warmup.set_defaults(run=_warmup)

    cache = commands.add_parser("cache", help="show the kernel cache, or clear it")
    cache.add_argument("action", nargs="?", choices=["show", "clear"], default="show", help="(default show)")
    cache.set_defaults(run=_cache)
    return parser


def _positive(text: str) -> int:
    value = _natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be an integer that is not negative, received {quoted(text)}")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    from fastnet import demo

    demo.run(options.epochs, options.seed, options.output, options.images)
    return 0


def _bench(options: argparse.Namespace) -> int:
    for root in (Path.cwd(), Path(fastnet.__file__).resolve().parents[1]):
        if (root / "bench" / "__main__.py").is_file() and (root / "fastnet").is_dir():
            return subprocess.call([sys.executable, "-m", "bench", *options.forwarded], cwd=root)
    return subprocess.call([sys.executable, "-m", "fastnet._bench", *options.forwarded])


def _info(options: argparse.Namespace) -> int:
    from fastnet._kernels import cache, machine_code
    from fastnet.engine import machine_peak
    from fastnet.engine.cuda import current

    lines = {"fastnet": fastnet.__version__, "python": f"{platform.python_version()}, {platform.platform()}"}
    for package in ("numpy", "numba", "llvmlite", "rich", "matplotlib"):
        lines[package] = _version(package)
    lines |= {
        "processor": f"{machine_code.cpu()}, {platform.machine()}",
        "threads": str(fastnet.get_num_threads()),
        "device": _device(),
        "GPU": current.described(),
        "kernel cache": _stored(cache.folder(), cache.stored()),
    }
    for name, value in lines.items():
        print(f"{name:<13} {value}")
    for level, size in (("caches", machine_peak.SMALLEST), ("memory", machine_peak.LARGEST)):
        print(f"{level:<13} {machine_peak.measure(['float32'], size)}")
    return 0


def _device() -> str:
    """The device of models that are compiled without one, or what is wrong with that of the environment."""
    try:
        return fastnet.config.device()
    except ValueError as error:
        return str(error)


def _stored(folder: Folder, files: list[tuple[Path, os.stat_result]]) -> str:
    kernels = sum(path.suffix == ".o" for path, _ in files)
    remark = f"; {folder.remark}" if folder.remark else ""
    return f"{folder.path} ({kernels} kernels, {sum(info.st_size for _, info in files) / 1e6:.1f} MB{remark})"


def _warmup(options: argparse.Namespace) -> int:
    from fastnet import warmup
    from fastnet._kernels import cache, machine_code

    folder = cache.folder()
    if folder.remark:
        raise OSError(f"kernels cannot be kept in {folder.path}: {folder.remark}. Set FASTNET_CACHE_DIR to another.")
    before, start = len(cache.stored()), time.perf_counter()
    networks: Iterable[fastnet.Sequential] = warmup.everything() if options.all else warmup.common()
    if options.model is not None:
        networks = [fastnet.models.load_model(options.model)]
    for network in networks:
        warmup.model(network)
    files = cache.stored()
    seconds, processor = time.perf_counter() - start, machine_code.cpu()
    print(f"{len(files) - before} new files in {seconds:.1f} s, for the processor {processor}.")
    print(_stored(folder, files))
    return 0


def _cache(options: argparse.Namespace) -> int:
    from fastnet._kernels import cache

    if options.action == "clear":
        print(f"{cache.clear()} files removed.")
    print(_stored(cache.folder(), cache.stored()))
    return 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
