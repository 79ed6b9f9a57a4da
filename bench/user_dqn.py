"""The training call of a deep Q-learner (examples/dqn.py) beside PyTorch's: `bench_users` shows the rows."""

from __future__ import annotations

import importlib.util
import statistics
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from . import report

FLOOR = 6  # times as fast as PyTorch at its best
PAUSE = 0.3  # seconds between contenders: threads of OpenMP spin on for 0.2
CALLS = 500  # a round; of 50, a processor that wakes up from the pause is measured (on a Xeon 215 µs instead of 108)


def example() -> ModuleType:
    """The module of the example, which plays only when it is the program."""
    path = Path(__file__).resolve().parents[1] / "examples" / "dqn.py"
    spec = importlib.util.spec_from_file_location("dqn", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def transitions(rows):
    """Random transitions, as `Memory.draw` gives them."""
    rng = np.random.default_rng(0)
    states, next_states = rng.normal(size=(2, rows, 4)).astype("float32")
    return states, rng.integers(0, 2, rows), next_states, (rng.random(rows) < 0.1).astype("float32")


def torch_call(gamma, threads, batch):
    """The same step in PyTorch, with Adam fused; a function of nothing."""
    import torch

    torch.manual_seed(0)

    def network():
        hidden = [torch.nn.Linear(4, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU()]
        return torch.nn.Sequential(*hidden, torch.nn.Linear(64, 2))

    model, target = network(), network()
    optimizer = torch.optim.Adam(model.parameters(), 5e-4, fused=True)
    loss, (states, actions, next_states, fell) = torch.nn.HuberLoss(), map(torch.from_numpy, batch)
    actions = actions[:, None]

    def train():
        torch.set_num_threads(threads)
        with torch.no_grad():
            best = model(next_states).argmax(1, keepdim=True)
            goal = 1 + gamma * (1 - fell) * target(next_states).gather(1, best)[:, 0]
        optimizer.zero_grad()
        loss(model(states).gather(1, actions)[:, 0], goal).backward()
        optimizer.step()

    return train


def medians(calls, rounds):
    """Seconds of a call of each function, in turns: medians of rounds of `CALLS`."""
    seconds = {name: [] for name in calls}
    for k in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            if k:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / CALLS)
    return {name: statistics.median(found) for name, found in seconds.items()}


def rows(quick=False):
    """The rows of `bench users`: the call's time, and how many times as long PyTorch takes, where it is installed."""
    dqn = example()
    batch = transitions(dqn.BATCH)
    model, target = dqn.q_network(0), dqn.q_network(1)
    calls = {"fastnet": lambda: dqn.train(model, target, *batch)}
    if importlib.util.find_spec("torch"):
        for threads in (1, 2):
            calls[f"torch@{threads}"] = torch_call(dqn.GAMMA, threads, batch)
    found = medians(calls, 3 if quick else 15)
    mine = found.pop("fastnet")
    result = [report.figure("DQN's training call, 4-64-64-2, 64 rows", mine * 1e6, "µs")]
    if found:
        result.append(
            report.figure("PyTorch's best, times as long", min(found.values()) / mine, "×", FLOOR, at_least=True)
        )
    return result


def test_the_training_call(benchmark):
    dqn = example()
    model, target, batch = dqn.q_network(0), dqn.q_network(1), transitions(dqn.BATCH)
    benchmark(dqn.train, model, target, *batch)
    assert np.isfinite(model.get_weights()[0]).all()
