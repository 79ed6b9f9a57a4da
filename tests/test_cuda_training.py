"""Trainings on a GPU, which here is the PTX machine: the bits are those of the CPU."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers, losses, ops, optimizers, testing
from fastnet.engine.cuda import current, executable
from fastnet.engine.cuda.driver import DeviceError
from fastnet.engine.sources import Source

ROWS, BATCH = 23, 9  # a short last batch
FORMS = {"steps": float("inf"), "graph": 0}  # what one block of threads goes through, and what is launched one by one


@pytest.fixture(params=FORMS)
def form(request, monkeypatch):
    """Each form; many steps are started before the host looks in, as on a card, where they are short."""
    monkeypatch.setattr(executable, "SMALL", FORMS[request.param])
    monkeypatch.setattr(executable, "PATIENCE", 1e9)
    return request.param


def data(features, classes, dtype="float32", rows=ROWS):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, features)).astype(dtype)
    return x, rng.integers(0, classes, rows) if classes else rng.normal(size=(rows, 3)).astype(dtype)


def compiled(device, stack, optimizer, loss, metrics=(), dtype="float32"):
    fastnet.utils.set_random_seed(3)
    model = fastnet.Sequential(stack())
    model.compile(optimizer() if callable(optimizer) else optimizer, loss, metrics=list(metrics), device=device)
    return model


def results(device, stack, optimizer, loss, x, y, metrics=(), **options):
    """All that a training gives."""
    model = compiled(device, stack, optimizer, loss, metrics)
    history = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, **options).history
    states = model.optimizer.state()
    return {
        "history": history,
        "weights": model.get_weights(),
        "states": [states[name] for name in sorted(states)],
        "evaluated": model.evaluate(x, y, batch_size=BATCH, verbose=0),
        "predicted": model.predict(x, batch_size=BATCH, verbose=0),
    }


def same(a, b):
    """Whether two results have the same bits; NaN is like NaN."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"))


def assert_same_training(*arguments, **options):
    on_cpu = results("cpu", *arguments, **options)
    with testing.machine_gpu() as gpu:
        on_gpu = results("cuda", *arguments, **options)
    assert gpu.launches
    for name, value in on_cpu.items():
        assert same(value, on_gpu[name]), name
    return gpu


def classifier():
    units = [(19, "relu", "first"), (16, "tanh", "second"), (3, None, "third")]
    return [layers.Input((7,)), *(layers.Dense(size, act, name=name) for size, act, name in units)]


SPARSE = losses.SparseCategoricalCrossentropy(from_logits=True)


def test_a_classifier(form):
    gpu = assert_same_training(classifier, "adam", SPARSE, *data(7, 3), metrics=["accuracy"])
    assert (gpu.launches < 20) == (form == "steps")


@pytest.mark.slow
def test_dropout_and_layer_normalization(form):
    def stack():
        return [layers.Input((7,)), layers.Dense(20, "gelu"), layers.LayerNormalization(), layers.Dropout(0.3),
                layers.Dense(3, "softmax")]  # fmt: skip

    assert_same_training(stack, "rmsprop", "sparse_categorical_crossentropy", *data(7, 3))


@pytest.mark.slow
def test_formulas_of_arrays(form):
    def stack():
        scaled = layers.Lambda(lambda x: x / (1.0 + ops.norm(x, axis=-1, keepdims=True)))
        return [layers.Input((5,)), layers.Dense(12), scaled, layers.Dense(4)]

    def loss(y_true, y_pred):
        mean, variance = y_pred[:, :2], ops.softplus(y_pred[:, 2:])
        return ops.logsumexp(y_pred, axis=-1) + ops.sum(ops.square(y_true[:, :2] - mean) / (variance + 0.1), axis=-1)

    x, y = data(5, 0)
    assert_same_training(stack, "adam", loss, x, np.repeat(y, 4, axis=-1)[:, :4])


@pytest.mark.slow
def test_formulas_of_rows_stay_in_registers(monkeypatch):
    """On the CPU their loops have room for 64 rows and 16 columns on the stack; a thread of a GPU has one element."""
    texts, load = [], testing.gpu.MachineDriver.load
    monkeypatch.setattr(
        testing.gpu.MachineDriver, "load", lambda gpu, text, name: texts.append(text) or load(gpu, text, name)
    )
    x, y = data(5, 0)
    with testing.machine_gpu():
        model = compiled("cuda", lambda: [layers.Input((5,)), layers.Dense(3)], "sgd",
                         lambda t, p: ops.logsumexp(p * t, axis=-1))  # fmt: skip
        model.fit(x, y, batch_size=BATCH, verbose=0)
    assert texts and not any(".local" in text for text in texts)


@pytest.mark.slow
def test_losses_of_the_batch(form):
    def stack():
        return [layers.Input((5,)), layers.Dense(3)]

    def loss(y_true, y_pred):
        largest = ops.max(y_pred, axis=0) - ops.min(y_pred) + ops.mean(ops.prod(1.0 + 0.1 * y_pred, axis=0))
        return largest + ops.sum(ops.softmax(y_pred, axis=0) * y_true) + ops.sqrt(ops.mean(ops.square(y_true - y_pred)))

    x, y = data(5, 0)
    assert_same_training(stack, "sgd", loss, x, np.repeat(y, 3, axis=-1)[:, :3])


class Mixed(layers.Layer):
    """Moved elements, products of results, running sums, random numbers, formulas of weights, a loss of its own."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot_uniform", name="w")
        self.table = self.add_weight(shape=input_shape[1:], initializer="glorot_uniform", name="table")

    def call(self, x, training=False):
        x = ops.matmul(x + ops.tanh(self.table), self.w / ops.norm(self.w, axis=0))
        scores = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))), axis=1)
        if training:
            scores = fastnet.random.dropout(scores, 0.3) + 0.01 * fastnet.random.normal(ops.shape(scores))
        x = ops.einsum("bij,bjk->bik", scores, ops.cumsum(x, axis=1)) + ops.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        self.add_loss(0.1 * ops.mean(ops.square(x)) + 0.01 * ops.sum(ops.abs(x)))
        return ops.take(x, [2, 0, 2], axis=1) - ops.mean(x, axis=1, keepdims=True)


@pytest.mark.slow
def test_layers_in_array_code(form):
    def stack():
        first = [layers.Input((6,)), layers.Dense(20), layers.Reshape((5, 4))]
        return [*first, Mixed(name="mixed"), layers.Flatten(), layers.Dense(3)]

    assert_same_training(stack, "adam", "mse", *data(6, 0))


@pytest.mark.slow
def test_penalties_and_constraints_of_arrays(form):
    def group(w):
        return 0.1 * ops.sum(ops.sqrt(ops.sum(ops.square(w), axis=0))) + 0.1 * ops.sum(ops.max(ops.abs(w), axis=-1))

    def sparse(y):
        return ops.var(ops.mean(y, axis=0)) + 0.1 * ops.sum(ops.square(y))

    def stack():
        def unit(w):
            return w / ops.norm(w)

        first = layers.Dense(6, "tanh", kernel_regularizer=group, activity_regularizer=sparse, kernel_constraint=unit)
        return [layers.Input((5,)), first, layers.Dense(3)]

    assert_same_training(stack, "adam", "mse", *data(5, 0))


@pytest.mark.slow
def test_batch_normalization_in_float64(form):
    def stack():
        return [layers.Input((5,)), layers.Dense(11), layers.BatchNormalization(), layers.Activation("silu"),
                layers.Dense(3)]  # fmt: skip

    fastnet.config.set_floatx("float64")
    try:
        assert_same_training(stack, "nadam", "mse", *data(5, 0, "float64"))
    finally:
        fastnet.config.set_floatx("float32")


def options_of_an_optimizer():
    return optimizers.AdamW(
        learning_rate=optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), weight_decay=0.1, global_clipnorm=0.5,
        gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=3,
    )  # fmt: skip


@pytest.mark.slow
def test_updates_of_every_second_step_with_a_schedule(form):
    assert_same_training(classifier, options_of_an_optimizer, SPARSE, *data(7, 3))


@pytest.mark.slow
def test_long_sums_and_a_single_row(form):
    def stack():  # three K-blocks; the last batch is one row, which a transposed weight meets on the way back
        return [layers.Input((1000,)), layers.Dense(20, "relu"), layers.Dense(3)]

    assert_same_training(stack, "sgd", "mse", *data(1000, 0, rows=2 * BATCH + 1))


@pytest.mark.slow
def test_products_that_the_threads_cut_along_k():
    def stack():
        return [layers.Input((784,)), layers.Dense(40, "relu"), layers.Dense(3)]

    assert_same_training(stack, "adam", SPARSE, *data(784, 3))


@pytest.mark.parametrize(
    "dtype", ["uint8", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("float16", "int64"))]
)
def test_data_of_other_dtypes_and_strides(dtype):
    x = np.arange(2 * ROWS * 14).reshape(2 * ROWS, 14).astype(dtype)[::-2, ::2]
    y = data(7, 3)[1]
    assert_same_training(lambda: [layers.Input((7,)), layers.Rescaling(0.01), *classifier()[1:]], "sgd", SPARSE, x, y)


@pytest.mark.slow
def test_batches_from_a_generator_with_weights_of_samples():
    x, y = data(7, 3)
    weights = np.linspace(0, 1, ROWS, dtype="float32")

    def run(device):
        model = compiled(device, classifier, "sgd", SPARSE)
        parts = ((x[i : i + 5], y[i : i + 5], weights[i : i + 5]) for i in range(0, ROWS, 5))
        history = model.fit(parts, verbose=0).history
        return history, model.get_weights()

    with testing.machine_gpu():
        assert same(run("cuda"), run("cpu"))


@pytest.mark.slow
def test_single_batches():
    x, y = data(7, 3)

    def run(device):
        model = compiled(device, classifier, "adam", SPARSE, ["accuracy"])
        trained = [model.train_on_batch(x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4)]
        tested = model.test_on_batch(x, y)
        return trained, tested, model.predict_on_batch(x[:1]), model.predict_on_batch(x[:0]), model.get_weights()

    with testing.machine_gpu():
        assert same(run("cuda"), run("cpu"))


@pytest.mark.slow
def test_gradients_and_a_step_on_given_ones():
    x, y = data(7, 3)

    def run(device):
        model = compiled(device, classifier, "adam", SPARSE)
        gradients = model.gradients(x, y)
        model.train_on_gradient(x, np.ones((ROWS, 3), "float32"))
        return gradients, model.get_weights()

    with testing.machine_gpu():
        assert same(run("cuda"), run("cpu"))


def test_a_callback_reads_and_changes_weights():
    x, y = data(7, 3)

    class Halves(callbacks.Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            kernel = self.model.layers[0].kernel
            self.seen.append(kernel.numpy())
            kernel.assign(kernel * 0.5)
            self.model.optimizer.learning_rate = 0.01 / (epoch + 1)

    def run(device):
        model, halves = compiled(device, classifier, "adam", SPARSE), Halves()
        model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[halves])
        return halves.seen, model.get_weights()

    with testing.machine_gpu():
        assert same(run("cuda"), run("cpu"))


def test_the_cpu_goes_on_from_the_gpu_and_back():
    x, y = data(7, 3)

    def run(*devices):
        model = compiled(devices[0], classifier, "adam", SPARSE)
        for device in devices:
            model.compile(model.optimizer, SPARSE, device=device)
            model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
        return model.get_weights(), np.asarray(model.layers[0](x)), model.layers[0].kernel[0]

    with testing.machine_gpu():
        assert same(run("cuda", "cpu", "cuda"), run("cpu", "cpu", "cpu"))


def test_a_loss_that_is_not_finite(form):
    x, y = data(7, 0)
    x[13] = np.inf

    def run(device):
        model = compiled(device, classifier, "sgd", "mse")
        before = model.get_weights()
        with pytest.raises(fastnet.NonFiniteError) as error:
            model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
        return str(error.value), int(model.optimizer.iterations), before, model.get_weights()

    with testing.machine_gpu():
        on_gpu = run("cuda")
    assert "13" in on_gpu[0] and same(list(on_gpu[2:]), list(run("cpu")[2:]))
    assert on_gpu[:2] == run("cpu")[:2]


def test_a_rate_at_which_it_diverges():
    x, y = data(7, 0)

    def run(device):
        model = compiled(device, classifier, lambda: optimizers.SGD(1e12), "mse")
        with pytest.raises(fastnet.NonFiniteError) as error:
            model.fit(x, y, batch_size=BATCH, epochs=30, verbose=0)
        return str(error.value), model.get_weights()

    with testing.machine_gpu():
        on_gpu, on_cpu = run("cuda"), run("cpu")
    assert same(list(on_gpu), list(on_cpu))


def test_resumed_trainings(tmp_path):
    x, y = data(7, 3)

    def run(device, split):
        model = compiled(device, classifier, "adam", SPARSE)
        if split:
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
            model.save(tmp_path / "model.fastnet")
            model = fastnet.models.load_model(tmp_path / "model.fastnet")
            model.compile(model.optimizer, model.loss, device=device)
        model.fit(x, y, batch_size=BATCH, epochs=2, initial_epoch=int(split), verbose=0)
        return model.get_weights()

    with testing.machine_gpu():
        assert same(run("cuda", False), run("cpu", False))
        assert same(run("cuda", True), run("cpu", True))


def test_a_profile_by_launch():
    x, y = data(7, 3)
    with testing.machine_gpu():
        profile = compiled("cuda", classifier, "adam", SPARSE).profile(x, y, batch_size=BATCH, seconds=0.01)
    assert {row.layer for row in profile.rows} >= {"first", "second", "third"} and profile.steps
    assert profile.machine is None and all(np.isnan(row.of_machine) and row.gflops >= 0 for row in profile.rows)
    assert "machine" not in str(profile)  # the processor's speed says nothing about it


@pytest.mark.slow
def test_memory_is_given_back():
    import gc

    x, y = data(7, 3)
    with testing.machine_gpu() as gpu:
        sizes = []
        for _ in range(4):
            compiled("cuda", classifier, "adam", SPARSE).fit(x, y, batch_size=BATCH, verbose=0)
            gc.collect()
            sizes.append(gpu.allocations)
    assert sizes == sizes[:1] * 4


def test_a_thread_that_reads_weights_meanwhile(monkeypatch):
    """What the device computes is not overwritten by what the host had when it was read."""
    x, y = data(7, 3)

    def run(device):
        model = compiled(device, classifier, "adam", SPARSE)
        if device == "cuda":
            driver = current.driver()
            synchronize = driver.synchronize
            monkeypatch.setattr(driver, "synchronize", lambda: (model.layers[0].kernel.array, synchronize()))
        model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0)
        return model.get_weights()

    with testing.machine_gpu():
        assert same(run("cuda"), run("cpu"))


def test_an_interrupted_run_keeps_its_steps(monkeypatch):
    x, y = data(7, 3)
    with testing.machine_gpu() as gpu:
        model = compiled("cuda", classifier, "sgd", SPARSE)
        model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
        before, count = model.get_weights(), int(model.optimizer.iterations)

        launch = gpu.launch

        def interrupted(node):
            launch(node)
            raise KeyboardInterrupt

        monkeypatch.setattr(gpu, "launch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=BATCH, verbose=0, shuffle=False)
        monkeypatch.undo()
        done, after = int(model.optimizer.iterations) - count, model.get_weights()
    twin = compiled("cpu", classifier, "sgd", SPARSE)
    twin.set_weights(before)
    twin.fit(x[: done * BATCH], y[: done * BATCH], batch_size=BATCH, verbose=0, shuffle=False)
    assert done and same(after, twin.get_weights())


@pytest.mark.parametrize("error", [DeviceError("no answer"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_weights_that_could_not_be_read_are_read_again(error, monkeypatch):
    """Not taken for what the host had before: in a fork, or after Ctrl-C."""
    x, y = data(7, 3)

    def refuse(array, address):
        raise error

    with testing.machine_gpu() as gpu:
        model = compiled("cuda", classifier, "sgd", SPARSE)
        model.train_on_batch(x, y)
        monkeypatch.setattr(gpu, "download", refuse)
        for _ in range(2):
            with pytest.raises(type(error)):
                model.layers[0].kernel.numpy()
        monkeypatch.undo()
        found = model.get_weights()
    twin = compiled("cpu", classifier, "sgd", SPARSE)
    twin.train_on_batch(x, y)
    assert same(found, twin.get_weights())


def test_models_of_two_threads_that_share_a_layer():
    shared = layers.Dense(5, "relu")
    models = [fastnet.Sequential([layers.Input((7,)), shared, layers.Dense(3)]) for _ in range(2)]
    x, _ = data(7, 3)
    with testing.machine_gpu():
        for model in models:
            model.compile("sgd", "mse", device="cuda")
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda model: model.predict(x, verbose=0), models * 4))
    for model, one in zip(models * 4, found, strict=True):
        model.compile("sgd", "mse", device="cpu")
        assert same(one, model.predict(x, verbose=0))


def test_another_gpu_makes_plans_void():
    x, y = data(7, 3)
    model = compiled("cuda", classifier, "sgd", SPARSE)
    for _ in range(2):
        with testing.machine_gpu() as gpu:
            model.fit(x, y, batch_size=BATCH, verbose=0)
            assert gpu.launches


@pytest.mark.slow
def test_what_does_not_fit_one_block():
    x, y = data(20, 10, rows=64)

    def stack():
        return [layers.Input((20,)), layers.Dense(40, "relu"), layers.Dense(40, "tanh"), layers.Dense(10, "softmax")]

    with testing.machine_gpu():
        model = compiled("cuda", stack, "adam", "sparse_categorical_crossentropy")
        model._trainer.plans.build((20,))
        sources = Source(x), Source(y)
        step = model._trainer.plans.make("train", 64, sources).executable
    for name, texts, _ in step.code():
        sizes = [int(size) for size in re.findall(r"\.shared .* fastnet_shared\[(\d+)\]", texts["ptx"])]
        assert sum(sizes) <= 48 << 10, name


@pytest.mark.parametrize("kind", ["columns first", "few columns"])
def test_rows_that_lie_apart(kind):
    """In memory that is copied as it is, or packed where it spans much more."""
    x = np.random.default_rng(0).normal(size=(ROWS, 70)).astype("f")
    x = np.asfortranarray(x[:, :7]) if kind == "columns first" else x[:, 5:12]
    assert_same_training(classifier, "sgd", SPARSE, x, data(7, 3)[1])


def test_weights_that_are_read_are_not_sent_again(monkeypatch):
    x, y = data(7, 3)
    with testing.machine_gpu() as gpu:
        model = compiled("cuda", classifier, "sgd", SPARSE)
        model.fit(x, y, batch_size=BATCH, verbose=0)
        sizes, upload = [], gpu.upload
        monkeypatch.setattr(gpu, "upload", lambda address, array: (sizes.append(array.nbytes), upload(address, array)))
        model.summary(print_fn=lambda text: None)
        _ = model.layers[0].kernel.numpy(), 2 * model.layers[0].kernel
        model.evaluate(x, y, verbose=0)
        assert model.layers[0].kernel.nbytes not in sizes
        model.layers[0].kernel.assign_add(1.0)
        model.evaluate(x, y, verbose=0)
        assert sizes.count(model.layers[0].kernel.nbytes) == 1
