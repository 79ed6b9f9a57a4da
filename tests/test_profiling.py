"""The profile of a training step, and the measurement of the machine it is a share of."""

import contextlib
import dataclasses
import html
import io
import sys

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import elementwise, folds, step_masks
from fastnet._kernels.templates import rows as rows_
from fastnet._kernels.templates import triads as templates
from fastnet.engine import machine_peak, profiling
from fastnet.engine.cpu import call
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable


def square(y_true, y_pred):
    return (y_true - y_pred) ** 2


@pytest.fixture(params=[1, 2])
def threads(request):
    before = fastnet.get_num_threads()
    fastnet.set_num_threads(request.param)
    yield request.param
    fastnet.set_num_threads(before)


def regression(dtype="float32", inputs=24, units=40):
    model = fastnet.Sequential(
        [layers.Input((inputs,)), layers.Dense(units, dtype=dtype), layers.Dense(1, dtype=dtype)]
    )
    model.compile("sgd", "mse")
    return model


def data(rows=50, inputs=24, dtype="float32"):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, inputs)).astype(dtype), np.zeros((rows, 1), dtype)


# ---- the machine


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multiply_adds_are_counted(dtype, threads):
    loop = machine_peak.multiply_adds(dtype)
    sums = loop.bound.read(loop.bound.plan.launches[0].operands["out"], 1)[0]
    assert sums.shape == (threads, 64 // sums.itemsize)
    lanes = np.count_nonzero(sums[0])
    assert lanes in (2, 4, 8, 16)
    # Every vector of v = v/2 + 1/2 has come to 1, so a lane holds the number of vectors; each part does as many.
    assert (sums[:, :lanes] == sums[0, 0]).all() and sums[0, 0] >= 8
    assert loop.amount == 2 * machine_peak.TURNS * threads * lanes * sums[0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_triad_does_all_its_passes(dtype):
    a, b = np.arange(100.0).astype(dtype), np.linspace(-1, 1, 100).astype(dtype)
    start = a.copy()
    kernel = Kernel(templates.triad, dtype=dtype)
    call(kernel, [abi.reference(0, a.ctypes.data), abi.reference(0, b.ctypes.data), 5], lo=3, hi=97)
    for _ in range(5):
        start[3:97] += 3 * b[3:97]
    np.testing.assert_allclose(a, start, rtol=1e-6)
    assert np.array_equal(a[:3], start[:3]) and np.array_equal(a[97:], start[97:])


@pytest.mark.parametrize("size", [1, 1000, 100_000, 1 << 20])
def test_triads_move_what_they_say(size, threads):
    loop = machine_peak.triad("float64", size)
    a, b, passes = loop.bound.plan.launches[0].arguments()
    assert a.width == b.width == max(64, size // 16)
    assert loop.amount == 24 * a.width * passes
    assert loop.amount >= machine_peak.MOVED * threads * 0.9 or passes == 1
    assert loop.bound.execution.schedule(1)[0][3] == min(threads, -(-a.width // 64))
    assert np.isfinite(loop.run()) and loop.run() > 0


@pytest.fixture
def scripted(monkeypatch):
    """A machine whose loops reach what a list says, one number for each look; nothing was measured before."""
    rates, looks = [], []

    def run(loop):
        if not looks or len(looks[-1]) == 2 * machine_peak.ROUNDS:
            looks.append([])
        looks[-1].append(loop)
        return rates[len(looks) - 1]

    monkeypatch.setattr(machine_peak, "_best", {})
    monkeypatch.setattr(machine_peak.Loop, "run", run)
    return rates, looks


def test_the_best_look_counts(scripted, threads):
    rates, looks = scripted
    rates += [1.0, 7.0, 2.0]
    gauge = machine_peak.Gauge(["float32"], 70_000)
    seen = []
    for _ in rates:
        gauge.look()
        seen.append(gauge.machine())
    assert [one.gflops["float32"] for one in seen] == [1.0, 7.0, 7.0] == [one.gigabytes for one in seen]
    assert all(len(look) == 2 * machine_peak.ROUNDS for look in looks)
    assert seen[0].size == 1 << 17 and seen[0].threads == threads
    text = str(seen[-1])
    assert "128 KiB" in text and ("1 thread" if threads == 1 else "2 threads") in text


def test_what_the_process_measured_before_counts_too(scripted):
    rates, _ = scripted
    rates += [9.0, 3.0, 3.0, 3.0]
    machine_peak.Gauge(["float32"], 1 << 17).look()
    for dtype, size, expected in [
        ("float32", 1 << 17, (9.0, 9.0)),
        ("float32", 1 << 18, (9.0, 3.0)),
        ("float64", 1 << 17, (3.0, 3.0)),
    ]:
        gauge = machine_peak.Gauge([dtype], size)
        gauge.look()
        assert (gauge.machine().gflops[dtype], gauge.machine().gigabytes) == expected


def test_one_thread_says_nothing_of_two(scripted):
    rates, _ = scripted
    rates += [9.0, 3.0]
    before = fastnet.get_num_threads()
    try:
        for count, rate in ((1, 9.0), (2, 3.0)):
            fastnet.set_num_threads(count)
            gauge = machine_peak.Gauge(["float32"], 1)
            gauge.look()
            assert gauge.machine().gflops == {"float32": rate} and gauge.machine().threads == count
    finally:
        fastnet.set_num_threads(before)


def test_measurements_stand_apart(scripted, monkeypatch):
    rates, looks = scripted
    rates += [4.0, 2.0, 8.0, 2.0, 2.0]
    slept = []
    monkeypatch.setattr(machine_peak.time, "sleep", lambda seconds: slept.append((seconds, len(looks))))
    here = machine_peak.measure(["float32"], 1)
    assert here.gflops == {"float32": 8.0}
    assert slept == [(machine_peak.PAUSE, n) for n in range(1, machine_peak.LOOKS)] and len(looks) == machine_peak.LOOKS


def test_a_real_machine_has_a_peak_for_each_dtype(threads):
    here = machine_peak.measure(["float32", "float64", "float32"], 70_000)
    assert list(here.gflops) == ["float32", "float64"] and here.threads == threads
    assert all(peak > 0 for peak in here.gflops.values()) and here.gigabytes > 0


def test_sizes_have_bounds():
    assert machine_peak.measure(["float32"], 0).size == machine_peak.SMALLEST
    smaller = dataclasses.replace(machine_peak.measure(["float32"], 1), size=machine_peak.LARGEST)
    assert "128 MiB" in str(smaller)


# ---- the profile


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shares_of_the_machine_are_the_limit_over_the_time(dtype):
    model, (x, y) = regression(dtype), data(dtype=dtype)
    profile = model.profile(x, y, batch_size=25, seconds=0.02)
    here, size = profile.machine, np.dtype(dtype).itemsize
    assert list(here.gflops) == [dtype] and here.threads == fastnet.get_num_threads()
    (forward,) = [row for row in profile.rows if row.layer == model.layers[0].name and row.phase == "forward"]
    seconds = forward.microseconds / 1e6
    # One product, x (25, 24) @ w (24, 40) + bias, in which every number is read or written once.
    operations, moved = 2 * 25 * 24 * 40, size * (25 * 24 + 24 * 40 + 40 + 25 * 40)
    assert forward.gflops == pytest.approx(operations / seconds / 1e9)
    assert forward.gigabytes == pytest.approx(moved / seconds / 1e9)
    limit = max(operations / here.gflops[dtype], moved / here.gigabytes) / 1e9
    assert forward.of_machine == pytest.approx(limit / seconds)
    for row in profile.rows:
        assert row.of_machine >= row.gigabytes / here.gigabytes * 0.999999
        assert row.of_machine >= row.gflops / here.gflops[dtype] * 0.999999


def test_bytes_and_operations_are_those_of_the_elements():
    """By hand, for 1000.5 rows on the average, of 4 numbers with 4 bytes each; chunks of 256 rows or 4096 elements."""
    rows, weight = 1000.5, Variable(np.zeros((4, 3), "float32"), "w")
    plan = Plan(True, "float32", 1024)
    x, mask, column, y = plan.buffer((4,)), plan.buffer(()), plan.buffer((4,), per_row=False), plan.buffer((4,))
    counted = []

    def count(template, **operands):
        before = len(plan.launches)
        plan.call(template, **operands)
        counted.extend(plan.launches[before:])

    count(elementwise.copy, x=x, y=y)
    count(step_masks.zero_masked, x=x, mask=mask, y=y)
    count(folds.sum_rows, x=x, total=column)
    count(folds.sum_weighted, values=x, total=plan.chunk_sums(-4))
    count(rows_.mean_of_row, f=square, y_true=x, y_pred=y, loss=mask)
    count(elementwise.fill, y=weight, number=0.0)
    elements = 4 * rows
    assert [launch.name for launch in counted] == [
        "copy", "zero_masked", "sum_rows", "add_chunks", "sum_weighted", "mean_of_row", "fill"
    ]  # fmt: skip
    assert [profiling.launch_bytes(launch, rows) for launch in counted] == [
        2 * 4 * elements, 2 * 4 * elements + 4 * rows, 4 * elements + 4 * 4 * 4, 4 * 4 * 4 + 4 * 4, 4 * elements + 8,
        2 * 4 * elements + 4 * rows, 4 * 12,
    ]  # fmt: skip
    assert [profiling.launch_operations(launch, rows) for launch in counted] == [
        elements, elements, elements, 4 * 4, elements, elements, 12
    ]  # fmt: skip


def test_a_profile_leaves_the_model_as_it_was():
    model, other, (x, y) = regression(), regression(), data()
    for m in (model, other):
        m.compile("adam", "mse")
    other.set_weights(model.get_weights())
    other.random_counters = model.random_counters
    for m in (model, other):
        m.fit(x, y, verbose=0)
    before = model.get_weights()
    model.profile(x, y, seconds=0.02)
    assert (
        all(map(np.array_equal, model.get_weights(), before))
        and model.optimizer.iterations == other.optimizer.iterations
    )
    for m in (model, other):
        m.fit(x, y, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_layers_of_two_dtypes_have_two_peaks():
    model = fastnet.Sequential([layers.Input((8,)), layers.Dense(4, dtype="float64"), layers.Dense(1, dtype="float32")])
    model.compile("sgd", "mse")
    profile = model.profile(*data(inputs=8), seconds=0.01)
    assert set(profile.machine.gflops) == {"float32", "float64"}


def test_the_machine_is_measured_before_between_and_after(scripted, monkeypatch):
    """A program that disturbs all measurements but one is not seen in the shares."""
    rates, looks = scripted
    rates += [1.0, 50.0, 1.0, 1.0]
    model, (x, y) = regression(), data()
    pieces = []

    def train(ready, total, batch, seconds, train=model._trainer.profile):
        pieces.append((seconds, len(looks)))
        clock[0] += seconds
        return train(ready, total, batch, 0.0)

    clock = [100.0]
    monkeypatch.setattr(model._trainer, "profile", train)
    monkeypatch.setattr(profiling.time, "perf_counter", lambda: clock[0])
    profile = model.profile(x, y, seconds=0.75)
    assert pieces == [(0.25, 1), (0.25, 2), (0.25, 3)] and len(looks) == 4
    assert profile.machine.gflops == {"float32": 50.0} and profile.machine.gigabytes == 50.0
    assert profile.microseconds == pytest.approx(sum(row.microseconds for row in profile.rows))


def test_a_step_longer_than_the_time_is_one_piece(scripted, monkeypatch):
    rates, looks = scripted
    rates += [1.0, 1.0]
    model = regression()
    assert model.profile(*data(), seconds=0.0).steps == 2
    assert len(looks) == 2


def table(*rows):
    here = machine_peak.Machine({"float32": 100.0}, 10.0, 1 << 21, 2)
    return str(profiling.Profile(tuple(profiling.Row(*row) for row in rows), 5, 10.0, here)).splitlines()


def test_more_than_all_of_the_machine_is_explained():
    slow = ("a", "forward", 5.0, 0.5, 100.0, 1.0, 1.0)
    lines = table(slow, ("b", "forward", 5.0, 0.5, 1.0, 9.9, 1.0004))
    assert lines[-1].startswith("5 steps. The machine: 100 GF/s") and "100.0%" in lines[3]
    lines = table(slow, ("b", "forward", 5.0, 0.5, 1.0, 13.0, 1.3))
    assert "130.0%" in lines[3]
    assert lines[-1].startswith("More than 100 % in b (forward): ") and "nearer cache than the 2 MiB" in lines[-1]
    lines = table(("a", "forward", 5.0, 0.5, 150.0, 1.0, 1.5), ("a", "backward", 5.0, 0.5, 101.0, 1.0, 1.01), slow)
    assert lines[-1].startswith("More than 100 % in a (forward), a (backward): another program")
    lines = table(("a", "forward", 5.0, 0.5, 150.0, 1.0, 1.5), ("b", "forward", 5.0, 0.5, 1.0, 13.0, 1.3))
    assert "in b (forward): what" in lines[-2] and "in a (forward): another program" in lines[-1]


def test_the_table_shows_the_machine():
    model = regression()
    profile = model.profile(*data(), seconds=0.01)
    lines = str(profile).splitlines()
    assert lines[0].split()[-5:] == ["µs/step", "share", "GF/s", "GB/s", "machine"]
    end = lines.index("")
    assert len({len(line) for line in lines[:end]}) == 1, "columns are aligned"
    assert lines[end + 1] == f"{profile.steps:,} steps. The machine: {profile.machine}."
    least = sum(row.of_machine * row.microseconds for row in profile.rows)
    (all_,) = [line for line in lines if line.startswith("all")]
    assert all_.split()[-1] == f"{least / profile.microseconds:.1%}"


def test_a_notebook_shows_the_same_table():
    model = fastnet.Sequential([fastnet.layers.Input((3,)), fastnet.layers.Dense(2, name="a<b&c")])
    model.compile("sgd", "mse")
    profile = model.profile(np.ones((4, 3)), np.ones((4, 2)), seconds=0.0)
    shown = profile._repr_html_()
    assert shown.startswith("<pre>") and shown.endswith("</pre>")
    assert "a&lt;b&amp;c" in shown and "a<b" not in shown
    assert html.unescape(shown[5:-6]) == str(profile)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_profile_trains_with_the_rates_of_the_schedule(fitted, monkeypatch):
    """w shrinks by (1 - 2 * rate) in a step, whose rate is 0 from the third on."""
    schedule = fastnet.optimizers.schedules.PiecewiseConstantDecay([2], [1e-3, 0.0])
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.compile(fastnet.optimizers.SGD(schedule), "mse")
    x, y = np.ones((320, 1), "float32"), np.zeros((320, 1), "float32")
    model.set_weights([np.ones((1, 1), "float32")])
    if fitted:
        model.fit(x[:32], y[:32], verbose=0)
    monkeypatch.setattr(model._trainer, "unchanged", contextlib.nullcontext)
    profile = model.profile(x, y, batch_size=32, seconds=0.0)
    assert profile.steps >= 10
    np.testing.assert_allclose(model.get_weights()[0], 0.998**3, rtol=1e-6)


def test_tables_on_an_ascii_terminal(monkeypatch):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, name="größe")])
    model.compile("sgd", "mse")
    profile = model.profile(np.ones((8, 3)), np.ones((8, 2)), seconds=0)
    plan = Plan(True, "float32", 4)
    plan.product(plan.buffer((3,)), Variable(np.ones((3, 2), "float32"), "w"), plan.buffer((2,)))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    print(profile)
    print(plan)
    model.summary()
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")
    assert "us/step" in text and "gr??e" in text and "->" in text
    monkeypatch.undo()
    assert "µs/step" in str(profile) and "größe" in str(profile)
