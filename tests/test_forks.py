"""Forks at moments when another thread holds something, and forks of forks."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

PRELUDE = """
import os, signal, threading, time, warnings
import numpy as np
import fastnet
from fastnet import layers
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads
x = np.ones((5, 8), "f")

def network(activation):
    model = fastnet.Sequential([layers.Input((8,)), layers.Dense(4, activation=activation)])
    model.compile("sgd", "mse")
    return model

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # whoever waits for ever is ended
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def output(program, folder):
    environment = {**os.environ, "FASTNET_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
def test_kernels_of_a_parent_serve_its_grandchildren(tmp_path):
    program = """
        first = network("tanh")
        expected = first.predict(x)
        def grandchild():
            network("softplus").predict(x)
            assert (first.predict(x) == expected).all()
        def child():
            network("gelu").predict(x)
            in_child(grandchild)
        in_child(child)
        print("all")
    """
    assert output(program, tmp_path) == "all\n"


@pytest.mark.slow
def test_a_child_compiles_though_a_thread_did_when_it_was_forked(tmp_path):
    program = """
        network("tanh").predict(x)
        def compile_many():
            for name in ("sigmoid", "gelu", "softplus", "selu", "mish", "softsign"):
                network(name).predict(x)
        thread = threading.Thread(target=compile_many)
        thread.start()
        for _ in range(2):
            time.sleep(0.1)
            in_child(lambda: network("elu").predict(x))
        thread.join()
        print("both")
    """
    assert output(program, tmp_path) == "both\n"


def test_a_child_trains_a_model_though_a_thread_did_when_it_was_forked(tmp_path):
    program = """
        model = network("tanh")
        y = np.zeros((5, 4), "f")
        model.fit(x, y, verbose=0)
        class Stop(fastnet.callbacks.Callback):
            asked = False
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = Stop.asked
        thread = threading.Thread(target=lambda: model.fit(x, y, epochs=10**7, verbose=0, callbacks=[Stop()]))
        thread.start()
        time.sleep(0.2)
        in_child(lambda: model.fit(x, y, verbose=0))
        Stop.asked = True
        thread.join()
        print("trained")
    """
    assert output(program, tmp_path) == "trained\n"


@pytest.mark.slow
def test_a_fork_waits_for_a_thread_that_compiles_though_logging_was_not_imported(tmp_path):
    program = """
        import sys
        assert "logging" not in sys.modules
        thread = threading.Thread(target=lambda: network("gelu").fit(x, np.zeros((5, 4)), verbose=0))
        thread.start()
        while "logging" not in sys.modules:  # imported with numba
            time.sleep(0.01)
        time.sleep(0.5)
        in_child(lambda: network("tanh").fit(x, np.zeros((5, 4)), verbose=0))
        thread.join()
        print("all")
    """
    assert output(program, tmp_path) == "all\n"
