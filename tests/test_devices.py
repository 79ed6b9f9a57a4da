"""The choice of a device, and what is said where there is no GPU."""

import re

import numpy as np
import pytest

import fastnet
from fastnet import layers, testing
from fastnet.engine import devices
from fastnet.engine.cuda import binder, current, executable
from fastnet.engine.cuda.driver import DeviceError


def model(width=3, **options):
    made = fastnet.Sequential([layers.Input((width,)), layers.Dense(width)])
    made.compile("sgd", "mse", **options)
    return made


@pytest.fixture
def no_default(monkeypatch):
    monkeypatch.delenv("FASTNET_DEVICE", raising=False)
    yield
    fastnet.config.set_device(None)


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without a GPU, whatever this one has."""

    def refuse():
        raise DeviceError("there is none")

    monkeypatch.setattr(current.nvidia, "open_device", refuse)
    monkeypatch.setattr(current, "_driver", None)


def test_the_default_device(no_default, monkeypatch):
    assert fastnet.config.device() == "cpu" and model().device == "cpu"
    monkeypatch.setenv("FASTNET_DEVICE", "auto")
    assert fastnet.config.device() == "auto" and model().device == "auto"
    fastnet.config.set_device("cpu")
    assert model().device == "cpu" and model(device="cuda").device == "cuda"


@pytest.mark.parametrize("wrong", ["gpu", "cuda:0", 1, None])
def test_devices_that_are_none(wrong, no_default, monkeypatch):
    with pytest.raises(ValueError, match="must be 'cpu', 'cuda' or 'auto'"):
        model(device=wrong) if wrong is not None else devices.checked(wrong, "a test")
    monkeypatch.setenv("FASTNET_DEVICE", str(wrong))
    with pytest.raises(ValueError, match="FASTNET_DEVICE: the device must be"):
        fastnet.config.device()


def test_a_model_without_its_gpu_stays_usable(no_gpu):
    made = model(device="cuda")
    x = np.ones((4, 3), "float32")
    before = made.get_weights()
    with pytest.raises(DeviceError, match="there is none"):
        made.fit(x, x, verbose=0)
    assert all(map(np.array_equal, before, made.get_weights())) and made.optimizer.iterations == 0
    made.compile("sgd", "mse", device="cpu")
    made.fit(x, x, verbose=0)


def test_auto_without_a_gpu(no_gpu):
    made = model(1100, device="auto")
    x = np.ones((32, 1100), "float32")
    made.train_on_batch(x, x)


@pytest.mark.slow
def test_auto_takes_the_gpu_for_large_steps():
    def of(width, rows):
        made = model(width, device="auto")
        x = np.zeros((rows, width), "float32")
        made._trainer.plans.build((width,))
        sources = fastnet.engine.sources.Source(x), fastnet.engine.sources.Source(x)
        return made._trainer.plans.make("train", rows, sources).executable.device

    with testing.machine_gpu():
        assert of(3, 4) == "cpu" and of(1100, 32) == "cuda"


def test_precisions():
    for precision in ("high", "medium", "highest"):
        fastnet.config.set_matmul_precision(precision)
        assert fastnet.config.matmul_precision() == precision
    with pytest.raises(ValueError, match="'highest', 'high' or 'medium', received 'low'"):
        fastnet.config.set_matmul_precision("low")


@pytest.mark.parametrize(
    "device, suffixes", [pytest.param("cpu", {".ll", ".s"}, marks=pytest.mark.slow), ("cuda:sm_75", {".ptx"})]
)
def test_the_code_of_a_step(device, suffixes, tmp_path):
    folder = testing.dump(model(), tmp_path / "step", device, batch_size=4)
    assert suffixes | {".txt"} == {path.suffix for path in folder.iterdir()}
    assert "dense" in (folder / "plan.txt").read_text() and (folder / "launches.txt").read_text().count("\n") >= 1


@pytest.mark.parametrize("wrong", ["tpu", "cuda:", "cuda:90", "cuda:sm_20", "cpu:sm_90", None])
def test_code_for_devices_that_are_none(wrong, tmp_path):
    message = f"dump: the device must be 'cpu' or 'cuda:LEVEL' with one of sm_75, .*, received {wrong!r}"
    with pytest.raises(ValueError, match=message):
        testing.dump(model(), tmp_path, wrong)


def test_models_that_have_no_step(tmp_path):
    for rows in (0, -3, 2.5):
        with pytest.raises(ValueError, match="dump: batch_size must be"):
            testing.dump(model(), tmp_path, batch_size=rows)
    made = fastnet.Sequential([layers.Dense(3)])
    with pytest.raises(ValueError, match="does not know the shape of a sample"):
        testing.dump(made, tmp_path)
    made.build((None, 3))
    with pytest.raises(ValueError, match=r"cannot be trained: call compile\(\) with an optimizer and a loss"):
        testing.dump(made, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("small", [-1, float("inf")], ids=["graph", "steps"])
def test_launches_of_a_gpu_name_the_lines_of_the_plan(small, tmp_path, monkeypatch):
    monkeypatch.setattr(executable, "SMALL", small)
    folder = testing.dump(model(), tmp_path, "cuda:sm_75", batch_size=4)
    launched, lines = (folder / "launches.txt").read_text(), (folder / "plan.txt").read_text().splitlines()
    shapes = re.findall(r"^\d+_\w+: fastnet_kernel, (\d+ blocks?) of \d+ threads", launched, re.MULTILINE)
    assert len(shapes) == launched.count("\n")
    found = [int(n) for each in re.findall(" lines (.*) of plan.txt", launched) for n in each.split(", ")]
    assert sorted(found) == list(range(1, len(lines) + 1))


@pytest.mark.slow
def test_every_plan_is_dumped_where_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNET_DUMP", str(tmp_path))
    x = np.ones((4, 3), "float32")
    model().fit(x, x, verbose=0)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("cpu_") and (folder / "plan.txt").is_file()


def test_auto_goes_on_with_the_cpu_where_the_gpu_cannot(monkeypatch):
    monkeypatch.setattr(binder, "MOST_UNITS", 1000)
    x = np.ones((32, 1100), "float32")
    with testing.machine_gpu() as gpu:
        made = model(1100, device="auto")
        with pytest.warns(RuntimeWarning, match="device='auto' takes the CPU: .* is too large for device='cuda'"):
            made.train_on_batch(x, x)
        assert not gpu.launches
        with pytest.raises(DeviceError, match="is too large for device='cuda'"):
            model(1100, device="cuda").train_on_batch(x, x)
