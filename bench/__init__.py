"""Benchmarks: `python -m bench --help` in a checkout, `fastnet bench --help` elsewhere, or `pytest bench`."""

from pathlib import Path

IN_CHECKOUT = __name__ == "bench"  # in a wheel it is a part of fastnet
ROOT = Path(__file__).resolve().parents[__name__.count(".") + 1]  # where Python finds this package by its name
