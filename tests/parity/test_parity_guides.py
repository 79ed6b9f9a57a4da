"""Programs of Keras's guides, on both libraries."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests.guide_programs import PROGRAMS

keras = pytest.importorskip("keras")


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_same_as_keras(floatx, program):
    found, expected = program(fastnet, ops), program(keras, keras.ops)
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        if isinstance(value, (int, float, str)):
            assert found[name] == value, name
        else:
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-10, err_msg=name)
