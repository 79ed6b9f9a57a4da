"""Writes what a plan became on a device: its launches, and their code as text."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from fastnet.engine.executable import Executable
from fastnet.engine.text import plan_text

_numbers = itertools.count()


def dump(executable: Executable, folder: str | os.PathLike[str]) -> Path:
    """Write a bound plan to a folder, which is made.

    ``plan.txt`` has the launches with their operands; ``launches.txt`` what the device starts: for each launch its
    file, and how it is divided; on a GPU entry, grid, block, and the lines of ``plan.txt`` that it does. Each code is a
    file: IR and assembly of the CPU, PTX of a GPU.

    Returns:
        The folder.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    (path / "plan.txt").write_text(plan_text(executable.plan) + "\n", encoding="utf-8")
    lines: list[str] = []
    names: dict[tuple[str, ...], str] = {}
    for name, texts, launched in executable.code():
        key = tuple(texts.values())
        if key not in names:
            names[key] = f"{len(names):02d}_{re.sub(r'[^A-Za-z0-9_]', '_', name)[:80]}"
            for suffix, text in texts.items():
                (path / f"{names[key]}.{suffix}").write_text(text, encoding="utf-8")
        lines.append(f"{names[key]}: {launched}")
    (path / "launches.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def dump_if_asked(executable: Executable) -> None:
    """`dump` to a new folder in ``FASTNET_DUMP``, where that is set."""
    folder = os.environ.get("FASTNET_DUMP")
    if folder:
        dump(executable, Path(folder) / f"{executable.device}_{os.getpid()}_{next(_numbers)}")
