"""Threads, processes and signals: the same bits everywhere, and nothing happens to the host."""

import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .oracles import same


def make(seed):
    """A network large enough that its products, sums and updates are shared out."""
    fastnet.utils.set_random_seed(seed)
    model = fastnet.Sequential(
        [
            layers.Input((201,)),
            layers.Dense(300, activation="gelu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(301, activation="relu"),
            layers.Dense(17, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(n=500):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 201)).astype(np.float32), rng.integers(0, 17, n)


def train(model, x, y, epochs=2):
    """All that comes out of a training."""
    history = model.fit(x, y, epochs=epochs, batch_size=128, verbose=0).history
    return [*model.get_weights(), model.predict(x), np.array([*history.values()])]


# What other processes begin with.
IMPORTS = "import numpy as np, fastnet\nfrom fastnet import layers\n"
CODE = IMPORTS + "".join(map(inspect.getsource, (make, data, train)))


@pytest.fixture
def threads():
    before = fastnet.get_num_threads()
    yield
    fastnet.set_num_threads(before)


def python(program, **environment):
    """Start a program that may use what stands in CODE."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE + textwrap.dedent(program)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return out


def test_the_same_bits_on_any_number_of_threads(threads):
    results = []
    for number in (1, 2, 3, 5):
        fastnet.set_num_threads(number)
        results.append(train(make(1), *data()))
    assert np.isfinite(results[0][-2]).all()
    for result in results[1:]:
        assert same(result, results[0])


def together(*calls):
    """Run the calls at the same time, each in a thread of its own."""
    results, start = [None] * len(calls), threading.Barrier(len(calls))

    def work(place):
        start.wait()
        try:
            results[place] = calls[place]()
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def test_two_threads_train_two_models(threads):
    fastnet.set_num_threads(2)
    x, y = data()
    alone = [train(make(seed), x, y, 4) for seed in (1, 2)]
    models = [make(seed) for seed in (1, 2)]
    for result, expected in zip(together(*(lambda m=m: train(m, x, y, 4) for m in models)), alone):
        assert same(result, expected)


def test_threads_predict_with_one_model(threads):
    fastnet.set_num_threads(2)
    x, y = data()
    model = make(3)
    model.fit(x, y, verbose=0)
    parts = [x[:500], x[100:400], x[::3], x[:1]]
    alone = [model.predict(part, verbose=0) for part in parts]
    for _ in range(5):
        results = together(*(lambda p=p: model.predict(p, verbose=0) for p in parts))
        assert same(results, alone)


def test_a_model_is_trained_by_one_thread_at_a_time():
    class Hold(fastnet.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            inside.set()
            assert done.wait(600)

    inside, done = threading.Event(), threading.Event()
    x, y = data(64)
    model = make(4)
    thread = threading.Thread(target=lambda: model.fit(x, y, verbose=0, callbacks=[Hold()]))
    thread.start()
    try:
        assert inside.wait(600)
        with pytest.raises(RuntimeError, match="another thread"):
            model.train_on_batch(x, y)
        assert model.predict(x, verbose=0).shape == (64, 17)
    finally:
        done.set()
        thread.join()
    model.train_on_batch(x, y)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_forked_child_trains(number):
    program = """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads
        x, y = data()
        expected = train(make(5), x, y)  # the parent's team has worked
        child = os.fork()
        mine = train(make(5), x, y)
        same = all(a.tobytes() == b.tobytes() for a, b in zip(mine, expected))
        if child == 0:
            os._exit(0 if same else 3)
        assert same and os.waitpid(child, 0)[1] == 0
        print("both")
    """
    assert output(python(program, FASTNET_NUM_THREADS=str(number))) == "both\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals work otherwise there")
@pytest.mark.parametrize("what", ["fit", "predict", "evaluate"])
def test_ctrl_c_leaves_a_usable_model(what):
    program = f"""
        x, y = data(20_000)
        model = make(6)
        model.fit(x[:256], y[:256], batch_size=128, verbose=0)
        before = model.get_weights()
        print("ready", flush=True)
        try:
            while True:
                {{"fit": lambda: model.fit(x, y, epochs=10**6, batch_size=128, verbose=0),
                  "predict": lambda: model.predict(x, verbose=0),
                  "evaluate": lambda: model.evaluate(x, y, verbose=0)}}[{what!r}]()
        except KeyboardInterrupt:
            print("stopped", flush=True)
        assert all(np.isfinite(w).all() for w in model.get_weights())
        moved = not np.array_equal(before[0], model.get_weights()[0])
        assert moved == ({what!r} == "fit")
        history = model.fit(x[:256], y[:256], batch_size=128, epochs=2, verbose=0)
        assert len(history.epoch) == 2
        assert model.predict(x[:10], verbose=0).shape == (10, 17)
    """
    process = python(program)
    assert process.stdout.readline() == "ready\n"
    threading.Event().wait(1.0)  # well inside
    process.send_signal(signal.SIGINT)
    # No wall-clock limit but the one that says it never ends: a million epochs take days.
    assert output(process) == "stopped\n"


@pytest.mark.slow
def test_two_processes_fill_one_empty_cache(tmp_path):
    program = """
        import hashlib
        fastnet.utils.set_random_seed(7)
        model = fastnet.Sequential([layers.Input((201,)), layers.Dense(9, activation="relu"), layers.Dense(1)])
        model.compile("sgd", "mse")
        print(hashlib.sha256(b"".join(a.tobytes() for a in train(model, *data()))).hexdigest())
    """
    cache = str(tmp_path / "cache")
    pair = [python(program, FASTNET_CACHE_DIR=cache) for _ in range(2)]
    first, second = (output(process) for process in pair)
    assert first == second
    stored = sorted(path.name for path in (tmp_path / "cache" / "kernels").iterdir())
    assert stored and all(name.endswith((".o", ".py", ".json", "lock")) for name in stored)  # nothing half-written
    # And what they left is good: a third process compiles nothing.
    warm = textwrap.dedent(program) + "import sys\nassert 'numba' not in sys.modules\n"
    assert output(python(warm, FASTNET_CACHE_DIR=cache)) == first
    assert sorted(path.name for path in (tmp_path / "cache" / "kernels").iterdir()) == stored


def test_training_changes_nothing_of_the_host():
    program = """
        import os, random, signal, sys, threading
        def look():
            state = random.getstate(), np.random.get_state()[1].tobytes(), np.geterr(), signal.getsignal(signal.SIGINT)
            return *state, dict(os.environ), sys.stdout, sys.excepthook
        before = look()
        train(make(8), *data())
        assert look() == before
        assert all(t.daemon for t in threading.enumerate() if t is not threading.main_thread())
        print("same")
    """
    assert output(python(program)) == "same\n"


@pytest.mark.parametrize("threads", [1, 2])
def test_subnormal_numbers_are_zero_inside_and_stay_what_they_are_outside(threads):
    fastnet.set_num_threads(threads)
    model = fastnet.Sequential([layers.Input((8,)), layers.Dense(3, use_bias=False)])
    model.set_weights([np.full((8, 3), 1e-10, np.float32)])
    x = np.full((20_000, 8), 1e-30, np.float32)
    assert np.all(model.predict(x, verbose=0, batch_size=20_000) == 0)  # 8e-40 by IEEE 754
    assert np.float32(1e-30) * np.float32(1e-10) > 0
    small = np.full((2, 8), 2e-38, np.float32)
    model.set_weights([np.ones((8, 3), np.float32)])
    np.testing.assert_allclose(model.predict(small, verbose=0), np.full((2, 3), 16e-38), rtol=1e-6)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's account of memory")
def test_memory_is_flat_over_many_models():
    # In a process of its own: among other tests the heap has holes that are filled at any time.
    program = """
        import gc, os
        x, y = data(64)

        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def train(count):
            for _ in range(count):
                hidden, output = layers.Dense(200, "tanh"), layers.Dense(17, "softmax")
                model = fastnet.Sequential([layers.Input((201,)), hidden, output])
                model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
                model.fit(x, y, verbose=0)

        train(300)  # until the heap has found its size
        before = resident()
        train(300)
        print(resident() - before)
    """
    # A model's weights and states take 0.5 MB; 300 of them would be 150 MB. Holes in the heap: up to 10 MB, measured.
    assert int(output(python(program))) < 30e6
