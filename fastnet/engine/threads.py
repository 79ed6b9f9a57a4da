"""The number of threads that fastnet uses."""

from __future__ import annotations

import math
import operator
import os
from pathlib import Path


def set_num_threads(n: int) -> None:
    """Set the number of threads that fastnet uses, including the calling thread.

    Results have the same bits for every number. A run starts the threads when it first needs them, and does small work
    on one. The default is ``FASTNET_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the cores that this process may use
    (its affinity and the quota of its control group).

    Args:
        n: an integer of at least 1.

    Raises:
        ValueError: ``n`` is not an integer, or below 1.

    Example:
        >>> fastnet.set_num_threads(1)
    """
    try:
        number = 0 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        number = 0
    if not 1 <= number < 2**31:
        raise ValueError(f"The number of threads must be an integer of at least 1, got {n!r}.")
    from fastnet.engine import _runner

    _runner.set_num_threads(number)


def get_num_threads() -> int:
    """The number of threads that fastnet uses, including the calling thread.

    Raises:
        ValueError: the number was not set, and its environment variable does not hold an integer of at least 1.

    Example:
        >>> fastnet.set_num_threads(2)
        >>> fastnet.get_num_threads()
        2
    """
    from fastnet.engine import _runner

    return _runner.get_num_threads()


def default_num_threads() -> int:
    """The default number of threads: from the environment, else the cores that this process may use."""
    for variable, text in (
        ("FASTNET_NUM_THREADS", os.environ.get("FASTNET_NUM_THREADS", "")),
        # A list with one number for each nesting level.
        ("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "").split(",")[0]),
    ):
        if text.strip():
            return _number(variable, text.strip())
    return usable_cores()


def _number(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) < 2**31):
        raise ValueError(
            f"The environment variable {variable} must be an integer of at least 1, got {os.environ[variable]!r}. "
            "Correct it or unset it."
        )
    return int(text)


def usable_cores() -> int:
    """The number of cores that this process may use: its affinity, at most the quota (rounded up) of its group."""
    if hasattr(os, "process_cpu_count"):
        cores = os.process_cpu_count()
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count()
    return max(1, min(cores or 1, math.ceil(cgroup_quota())))


def cgroup_quota(root: str | Path = "/") -> float:
    """The number of cores whose time Linux's control groups (version 1 and 2) grant this process; 10⁹ without a limit.

    A group's limit also holds for the groups below it. Therefore the smallest limit from the root to the process's
    group counts. A container often sees its own group as the root, while ``/proc`` names the host's path: groups that
    do not exist are skipped.
    """
    root = Path(root)
    quota = 10.0**9
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if not controllers:
            mounts = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            mounts = ["sys/fs/cgroup/cpu", f"sys/fs/cgroup/{controllers}"]
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for mount in mounts:
            for depth in range(len(parts) + 1):
                quota = min(quota, _group_quota(root.joinpath(mount, *parts[:depth])))
    return quota


def _group_quota(group: Path) -> float:
    fields = _text(group / "cpu.max").split() or [
        *_text(group / "cpu.cfs_quota_us").split(),
        *_text(group / "cpu.cfs_period_us").split(),
    ]
    # An unlimited group has "max" in version 2 and -1 in version 1.
    if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]):
        return max(int(fields[0]), 1) / int(fields[1])
    return 10.0**9


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # another system, or hidden from a container
        return ""
