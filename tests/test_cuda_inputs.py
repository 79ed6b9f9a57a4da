"""Data that pass through the device in chunks, and memory that is full: the bits are those of the CPU."""

import gc

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers, testing
from fastnet.engine.cuda import current, executable, inputs
from fastnet.engine.cuda.driver import DeviceError
from fastnet.testing.gpu import MachineDriver

from .test_cuda_training import BATCH, ROWS, SPARSE, compiled, data, results, same

STEP = 7 * 4 * BATCH + 8 * BATCH  # bytes of a batch of `data(7, 3)`


def classifier():
    return [layers.Input((7,)), layers.Dense(5, "relu"), layers.Dense(3)]


@pytest.fixture(
    params=[pytest.param(1, marks=pytest.mark.thorough), 2, pytest.param(5, marks=pytest.mark.thorough)],
    ids=lambda steps: f"{steps} a chunk",
)
def streamed(request, monkeypatch):
    """All data pass in chunks of so many steps; a chunk is a few starts of steps."""
    monkeypatch.setattr(inputs, "LARGE", 0)
    monkeypatch.setattr(inputs, "SHARE", 0)
    monkeypatch.setattr(inputs, "CHUNK", request.param * STEP + STEP // 2)
    monkeypatch.setattr(executable, "SMALL", 0 if request.param == 2 else float("inf"))  # both forms of a step
    monkeypatch.setattr(executable, "PATIENCE", 1e9 if request.param == 2 else 1e-9)
    return request.param


class Early(MachineDriver):
    """Kernels run as late as a GPU may run them, and what is copied beside them is there at once."""

    def __init__(self):
        super().__init__()
        self._waiting = []

    def launch(self, node):
        self._waiting.append(lambda: MachineDriver.launch(self, node))

    def upload(self, address, array):
        array = array.copy()
        self._waiting.append(lambda: self.machine.write(address, array))

    def upload_beside(self, address, array):
        self.machine.write(address, array)

    def synchronize(self):
        for work in self._waiting:
            work()
        self._waiting.clear()

    def download(self, array, address):
        self.synchronize()
        super().download(array, address)

    def free(self, address):
        self.synchronize()
        super().free(address)


class Noted:
    """A method that counts its calls."""

    def __init__(self, method):
        self.method, self.calls = method, 0

    def __get__(self, instance, owner):
        def call(*arguments):
            self.calls += 1
            return self.method(instance, *arguments)

        return call


@pytest.mark.parametrize("copies", ["late", pytest.param("early", marks=pytest.mark.thorough)])
def test_shuffled_epochs_evaluation_and_prediction(streamed, copies):
    arguments = classifier, "adam", SPARSE, *data(7, 3), ["accuracy"]
    on_cpu = results("cpu", *arguments)
    with current.used(Early()) if copies == "early" else testing.machine_gpu():
        found = results("cuda", *arguments)
    for name, value in on_cpu.items():
        assert same(value, found[name]), name


def test_chunks_are_gathered_while_steps_run(streamed, monkeypatch):
    """Each row is copied once an epoch, and all chunks but the first between the start of steps and their end."""
    events = []

    class Watched(MachineDriver):
        def launch(self, node):
            events.append("launch")
            super().launch(node)

        def upload_beside(self, address, array):
            events.append(array.nbytes)
            super().upload_beside(address, array)

        def synchronize(self):
            events.append("synchronize")
            super().synchronize()

    x, y = data(7, 3)
    with current.used(Watched()):
        compiled("cuda", classifier, "sgd", SPARSE).fit(x, y, batch_size=BATCH, verbose=0)
    copied = [at for at, event in enumerate(events) if isinstance(event, int)]
    assert sum(events[at] for at in copied) == x.nbytes + y.nbytes
    assert len(copied) == 2 * -(-ROWS // (streamed * BATCH))  # of x and y
    for at in copied[2:]:
        before = [event for event in events[:at] if event in ("launch", "synchronize")]
        assert before[-1] == "launch"


def test_the_buffers_stay_from_epoch_to_epoch(streamed):
    pages = []

    class Counted(MachineDriver):
        def page_locked(self, size):
            pages.append(size)
            return super().page_locked(size)

    x, y = data(7, 3)
    with current.used(Counted()):
        compiled("cuda", classifier, "sgd", SPARSE).fit(x, y, batch_size=BATCH, epochs=3, verbose=0)
    assert len(pages) == 2


def test_memory_that_strided_data_span_counts(monkeypatch):
    """Every second row spans twice as much: data that would not fit pass in chunks."""
    monkeypatch.setattr(inputs, "LARGE", 0)
    x = np.zeros((200, 50), "float32")[::2]
    for share, streams in ((1.5, True), (2.5, False)):
        with testing.machine_gpu(memory=1 << 20) as gpu:
            monkeypatch.setattr(inputs, "SHARE", share * x.nbytes / gpu.memory()[0])
            model = compiled("cuda", lambda: [layers.Input((50,)), layers.Dense(2)], "sgd", "mse")
            with monkeypatch.context() as patch:
                patch.setattr(inputs.Stream, "_load", noted := Noted(inputs.Stream._load))
                model.predict(x, verbose=0)
        assert bool(noted.calls) == streams


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["columns first", "uint8 images", "weights", "steps_per_epoch"])
def test_other_data(kind, monkeypatch):
    monkeypatch.setattr(inputs, "LARGE", 0)
    monkeypatch.setattr(inputs, "SHARE", 0)
    monkeypatch.setattr(inputs, "CHUNK", 1)
    x, y = data(7, 3)
    options, stack = {}, classifier
    if kind == "columns first":
        x = np.asfortranarray(x)
    elif kind == "uint8 images":
        x = np.arange(2 * ROWS * 14, dtype="uint8").reshape(2 * ROWS, 2, 7)[::-2, :, ::2]
        y = y[::-1]

        def stack():
            return [layers.Input((2, 4)), layers.Rescaling(0.01), layers.Flatten(), *classifier()[1:]]
    elif kind == "weights":
        options["sample_weight"] = np.linspace(0, 1, ROWS)[::-1]
    else:
        options["steps_per_epoch"] = 1
    on_cpu = results("cpu", stack, "sgd", SPARSE, x, y, **options)
    with testing.machine_gpu():
        found = results("cuda", stack, "sgd", SPARSE, x, y, **options)
    assert same(on_cpu, found)


INTERRUPTS = [(inputs.Part, "gather", 2), (inputs.Inputs, "enter", 2), (inputs.Part, "gather", 3)]


@pytest.mark.parametrize(
    "owner, name, number",
    [INTERRUPTS[0], *(pytest.param(*each, marks=pytest.mark.thorough) for each in INTERRUPTS[1:])],
)
def test_an_interrupt_between_chunks(streamed, monkeypatch, owner, name, number):
    """When rows were gathered, before they are copied: of the first chunk, and of the second one while steps run; and
    when the second one was entered."""
    x, y = data(7, 3)
    function, calls = getattr(owner, name), []

    def interrupted(*arguments):
        found = function(*arguments)
        calls.append(name)
        if len(calls) == number:
            raise KeyboardInterrupt
        return found

    def trained(device, steps=0):
        model = compiled(device, classifier, "adam", SPARSE)
        if device == "cuda":
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(owner, name, interrupted)
                model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False)
        for step in range(steps):
            first = step % 3 * BATCH
            model.train_on_batch(x[first : first + BATCH], y[first : first + BATCH])
        done, after = int(model.optimizer.iterations), model.get_weights()
        model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
        return done, after, model.get_weights()

    with testing.machine_gpu():
        found = trained("cuda")
    assert same(found, trained("cpu", found[0]))


def test_a_loss_that_is_not_finite(streamed):
    """The step is found again in the chunk that has it."""
    x, y = data(7, 0)
    x[13] = np.inf

    def run(device):
        model = compiled(device, classifier, "sgd", "mse")
        with pytest.raises(fastnet.NonFiniteError) as error:
            model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
        return str(error.value), model.get_weights()

    with testing.machine_gpu():
        found = run("cuda")
    assert "13" in found[0] and same(found[1], run("cpu")[1])


@pytest.mark.thorough
def test_the_data_are_not_kept(streamed):
    x, y = data(7, 3)
    with testing.machine_gpu() as gpu:
        model = compiled("cuda", classifier, "sgd", SPARSE)
        sizes = []
        for _ in range(3):
            model.fit(x, y, batch_size=BATCH, verbose=0)
            sizes.append(gpu.allocations)
        assert sizes == sizes[:1] * 3
        gpu.synchronize()


def test_data_that_do_not_fit_are_streamed(monkeypatch):
    monkeypatch.setattr(inputs, "LARGE", 1000)
    monkeypatch.setattr(inputs, "CHUNK", 1000)
    copies = []
    monkeypatch.setattr(
        MachineDriver,
        "upload_beside",
        lambda self, address, array: copies.append(array.nbytes) or self.upload(address, array),
    )
    x, y = data(7, 3, rows=120)  # 4.3 KB; those of the first fit are 0.7 KB, the model and its buffers need 2

    def trained(device):
        model = compiled(device, classifier, "sgd", SPARSE)
        model.fit(x[:20], y[:20], batch_size=20, verbose=0)
        few = len(copies)
        model.fit(x, y, batch_size=20, verbose=0)
        return few, model.get_weights()

    with testing.machine_gpu(memory=6_500):
        few, found = trained("cuda")
    assert few == 0 and sum(copies) == x.nbytes + y.nbytes
    assert same(found, trained("cpu")[1])


def test_a_batch_that_does_not_fit_names_one_that_does():
    def model():
        return compiled("cuda", lambda: [layers.Input((50,)), layers.Dense(100, "relu"), layers.Dense(3)], "sgd", "mse")

    x, y = np.ones((200, 50), "float32"), np.ones((200, 3), "float32")
    with testing.machine_gpu(memory=120_000):
        with pytest.raises(DeviceError) as error:
            model().fit(x, y, batch_size=200, verbose=0)
        said = str(error.value)
        assert said.startswith("PTX machine: its memory is full. ") and said.endswith("; this one has 200 rows.")
        asked, free, fits = (
            float(said.split(word)[0].split()[-1]) for word in (" MB were", " of 0.1 MB", " would fit")
        )
        assert asked > free and 0 < fits < 200
    rows = int(fits)
    with testing.machine_gpu(
        memory=120_000
    ):  # the buffers of the batch that it names do fit, with one row more they do not
        made = model()
        made._trainer.plans.build((50,))
        made.optimizer.build(made.trainable_weights)
        sources = tuple(map(fastnet.engine.sources.Source, (x, y)))
        made._trainer.plans.make("train", rows, sources)
        with pytest.raises(DeviceError, match=f"A batch of {rows} would fit; this one has {rows + 1} rows"):
            made._trainer.plans.make("train", rows + 1, sources)


def test_a_model_too_large_for_any_batch():
    x = np.ones((20, 50), "float32")
    model = compiled("cuda", lambda: [layers.Input((50,)), layers.Dense(50)], "sgd", "mse")
    model.build((None, 50))
    before = model.get_weights()
    with testing.machine_gpu(memory=10_800):
        with pytest.raises(DeviceError, match="Not even a batch of one row would fit; this one has 20"):
            model.fit(x, x, batch_size=20, verbose=0)
    assert same(before, model.get_weights())
    model.compile("sgd", "mse", device="cpu")
    model.fit(x, x, batch_size=20, verbose=0)
    assert not same(before, model.get_weights())


def test_a_model_on_the_cpu_leaves_the_device():
    """What is newer on the device is kept until the host has it; then nothing is."""
    x, y = data(7, 3)

    class Seen(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.weights = self.model.get_weights()

    with testing.machine_gpu() as gpu:
        model, seen = compiled("cuda", classifier, "adam", SPARSE), Seen()
        model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[seen])
        assert gpu.allocations
        model.compile(model.optimizer, SPARSE, device="cpu")
        assert same(seen.weights, model.get_weights())
        model.fit(x, y, batch_size=BATCH, verbose=0)
        gc.collect()
        assert not gpu.allocations
