"""Keras 3 runs on the JAX backend here: chosen before anything imports it."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "parity" in item.path.parts:
            item.add_marker(pytest.mark.peers)


@pytest.fixture
def floatx(request):
    """Sets the default dtype of both libraries to the test's parameter, and float32 afterwards.

    JAX has float64 only where it is switched on, and Keras's float32 weights become float64 where it is on.
    """
    import fastnet

    def use(dtype):
        fastnet.config.set_floatx(dtype)
        try:
            import jax
            import keras
        except ImportError:
            return  # the tests against PyTorch need neither
        keras.config.set_floatx(dtype)
        jax.config.update("jax_enable_x64", dtype == "float64")

    use(request.param)
    yield request.param
    use("float32")
