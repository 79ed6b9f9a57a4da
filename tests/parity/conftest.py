"""Keras 3 runs on the JAX backend here: chosen before anything imports it."""

import importlib.util
import os

os.environ["KERAS_BACKEND"] = "jax"

import pytest

# What imports another module's cases could not even be collected without Keras.
collect_ignore_glob = [] if importlib.util.find_spec("keras") else ["test_*.py"]


def pytest_collection_modifyitems(items):
    for item in items:
        if "parity" in item.path.parts:
            item.add_marker(pytest.mark.peers)


@pytest.fixture
def floatx(request, monkeypatch):
    """Sets the default dtype of both libraries to the test's parameter, and float32 afterwards.

    JAX has float64 only where it is switched on, and Keras's float32 weights become float64 where it is on. Keras's
    promotion table for JAX then still computes tanh, mean and others of float64 in float32 (3e-7 off): that entry is
    lifted, so that a float64 test compares with float64.
    """
    import fastnet

    def use(dtype):
        fastnet.config.set_floatx(dtype)
        try:
            import jax
            import keras
            from keras.src.backend.common import dtypes
        except ImportError:
            return  # the tests against PyTorch need neither
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)  # else that of the first layer ever made stays
        jax.config.update("jax_enable_x64", dtype == "float64")
        # compiles faster; float32 is compared with the rounding that users get
        jax.config.update("jax_disable_most_optimizations", dtype == "float64")
        monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", dtype)

    use(request.param)
    yield request.param
    use("float32")
