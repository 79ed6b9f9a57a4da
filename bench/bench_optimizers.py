"""Every optimizer against PyTorch: its update of 10 million weights alone, and a whole step of a Dense layer.

``python -m bench optimizers`` prints both tables; ``pytest bench/bench_optimizers.py`` times the update of fewer
weights under pytest-benchmark. The update is measured in turns with `a += 3*b` in place and with each form of it in
PyTorch (one tensor at a time, foreach, fused); the best round of the best form counts. The resulting weights are
compared first.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from fastnet import Sequential, layers
from fastnet.engine import machine_peak as engine
from fastnet.engine.profiling import launch_bytes
from fastnet.testing.plans import update_run
from fastnet.testing.running import threads

from . import machine, report
from .optimizer_cases import CASES

WEIGHTS = 10_000_000
SIDE = 3162  # of the kernel of the whole step: 10 million weights
AGREE = 1e-4  # of a loss
NEAR = 1e-6  # mean difference of weights after a step of about 1e-3; a few of a million gradients are near epsilon


# Only the speed of these is compared, since PyTorch and Keras define them differently: epsilon beside the root, not
# inside, Nadam's 0.96 to the power of t / 250, AMSGrad's correction, Adafactor's first epsilon.
DIFFER = {"RMSprop, centered", "AMSGrad", "Adamax", "Nadam", "Adafactor"}


def torch_forms(case, weights):
    """Yield (name, optimizer, parameter) for every form of an optimizer in PyTorch."""
    try:
        import torch
    except ImportError:
        return
    for form in ({"foreach": False}, {"foreach": True}, {"fused": True}):
        if case.torch is None:
            return
        parameter = torch.tensor(weights)
        parameter.requires_grad_(True)
        try:
            optimizer = getattr(torch.optim, case.torch)([parameter], lr=1e-3, **case.theirs, **form)
        except (TypeError, RuntimeError):  # this optimizer lacks the form
            continue
        yield " ".join(k for k, v in form.items() if v) or "single", optimizer, parameter


class Update:
    """One optimizer's update of ``count`` weights, in fastnet and in PyTorch."""

    def __init__(self, case, count):
        rng = np.random.default_rng(0)
        start, gradient = (rng.standard_normal(count).astype("float32").reshape(case.shape) for _ in range(2))
        self.case = case
        self.run, self.variable, buffer = update_run(case.make(), "float32", start)
        self.run.set(buffer, gradient)
        self.steps = 0
        self.bytes = sum(launch_bytes(launch, 1) for launch in self.run.plan.launches) / count
        self.forms = list(torch_forms(case, start))
        for _, _, parameter in self.forms:
            parameter.grad = parameter.detach().new_tensor(gradient)
        self.check()

    def ours(self):
        """Run fastnet's update: its seconds."""
        start = time.perf_counter()
        self.run.steps(1, first=self.steps)
        self.steps += 1
        return time.perf_counter() - start

    def theirs(self):
        """Run PyTorch's update in each form: their seconds."""
        times = {}
        for name, optimizer, _ in self.forms:
            start = time.perf_counter()
            optimizer.step()
            times[name] = time.perf_counter() - start
        return times

    def check(self):
        """Compare the weights of both after a step."""
        self.ours(), self.theirs()
        for name, _, parameter in self.forms:
            difference = float(np.abs(parameter.detach().numpy() - self.variable.array).mean())
            if self.case.name not in DIFFER and not difference <= NEAR:
                raise AssertionError(
                    f"{self.case.name}: PyTorch's {name} form gives weights that differ by {difference}."
                )


def alone(quick, count):
    """Make the table of updates alone."""
    rows, n, rounds = [], machine.cores(), 3 if quick else 9
    with threads(n):
        base = engine.triad("float32", 8 * count)
        for case in CASES:
            one = Update(case, count)
            mine, theirs, peak = [], {}, []
            for _ in range(rounds):
                peak.append(base.run())
                mine.append(one.ours())
                for form, seconds in one.theirs().items():
                    theirs.setdefault(form, []).append(seconds)
            seconds, rate = min(mine), one.bytes * count / min(mine) / 1e9
            form = min(theirs, key=lambda f: min(theirs[f])) if theirs else None
            row = {
                "optimizer": case.name,
                "ms": f"{seconds * 1e3:.2f}",
                "bytes a weight": f"{one.bytes:.0f}",
                "GB/s": f"{rate:.1f}",
                "a += 3*b": f"{max(peak):.1f}",
                "share": f"{rate / max(peak):.0%}",
            }
            if case.share:
                row["share's floor"] = f"≥ {case.share:.0%}"
                row["share's verdict"] = report.verdict(rate / max(peak), case.share, True)
            if form:
                ratio = min(theirs[form]) / seconds
                row |= {"torch ms": f"{min(theirs[form]) * 1e3:.2f}", "form": form, "ratio": f"{ratio:.2f}"}
                if case.alone:
                    row |= {"floor": f"≥ {case.alone:g}", "verdict": report.verdict(ratio, case.alone, True)}
            rows.append(row)
    return rows


def whole_step(case, side, quick):
    """The best seconds of a step by contender: Dense(side) of one row, mean squared error."""
    rng, steps, rounds = np.random.default_rng(0), 4 if quick else 16, 2 if quick else 7
    x, y = (rng.standard_normal((steps, side)).astype("float32") for _ in range(2))
    kernel = (rng.standard_normal((side, side)) / np.sqrt(side)).astype("float32")
    model = Sequential([layers.Input((side,)), layers.Dense(side, use_bias=False)])
    model.compile(case.make(), "mse")
    model.set_weights([kernel])

    def ours():
        start = time.perf_counter()
        loss = model.fit(x, y, batch_size=1, shuffle=False, verbose=0).history["loss"][0]
        return (time.perf_counter() - start) / steps, loss

    contenders = {"fastnet": ours}
    for form, optimizer, parameter in torch_forms(case, kernel):
        contenders[form] = torch_epoch(optimizer, parameter, x, y)
    best = {}
    for turn in range(rounds + 1):
        results = {name: epoch() for name, epoch in contenders.items()}
        losses = [loss for _, loss in results.values()]
        if turn == 0 and case.name not in DIFFER and not np.allclose(losses, losses[0], rtol=AGREE):
            raise AssertionError(f"{case.name}: the losses of the first epoch differ: {losses}.")
        if turn:
            best = {name: min(seconds, best.get(name, np.inf)) for name, (seconds, _) in results.items()}
    return best


def torch_epoch(optimizer, parameter, x, y):
    """Make a function that trains an epoch of single rows: (seconds of a step, mean loss)."""
    import torch

    x, y = torch.tensor(x), torch.tensor(y)

    def epoch():
        start, total = time.perf_counter(), 0.0
        for row in range(len(x)):
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.mse_loss(x[row : row + 1] @ parameter, y[row : row + 1])
            loss.backward()
            optimizer.step()
            total += loss.item()
        return (time.perf_counter() - start) / len(x), total / len(x)

    return epoch


def steps(quick, side):
    """Make the table of whole steps."""
    rows = []
    for case in (case for case in CASES if not case.products):
        best = whole_step(case, side, quick)
        mine = best.pop("fastnet")
        row = {"optimizer": case.name, "ms": f"{mine * 1e3:.2f}"}
        if best:
            form = min(best, key=best.get)
            row |= {"torch ms": f"{best[form] * 1e3:.2f}", "form": form, "ratio": f"{best[form] / mine:.2f}"}
            if case.step:
                row |= {"floor": f"≥ {case.step:g}", "verdict": report.verdict(best[form] / mine, case.step, True)}
        rows.append(row)
    return rows


def run(quick=False):
    """Measure and report every optimizer, alone and as a whole step."""
    count, side = (WEIGHTS // 10, SIDE // 4) if quick else (WEIGHTS, SIDE)
    versions = {}
    try:
        import torch

        torch.set_num_threads(machine.cores())
        versions["torch"] = torch.__version__
    except ImportError:
        pass
    about = machine.describe(versions)
    notes = f"{count} float32 weights, {machine.cores()} threads; in turns with a += 3*b over two such arrays"
    updates = alone(quick, count)
    report.show("optimizers", updates, about, notes)
    report.strips("optimizers", updates, ["optimizer"], "ratio", "PyTorch's time / fastnet's")
    notes = f"Dense {side}x{side} without bias, batch 1, through fit, {machine.cores()} threads"
    whole = steps(quick, side)
    report.show("optimizer_steps", whole, about, notes)
    report.strips("optimizer_steps", whole, ["optimizer"], "ratio", "PyTorch's time / fastnet's")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_update(benchmark, case):
    one = Update(case, 100_000)
    with threads(1):
        benchmark(one.ours)


if __name__ == "__main__":
    run()
