"""Programs of Keras's guides run on fastnet; `parity/test_parity_guides.py` compares their numbers with Keras's."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests.guide_programs import PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_programs_of_guides(program):
    found = program(fastnet, ops)
    for name, values in found.items():
        if name.endswith("loss"):
            assert np.isfinite(values).all() and values[-1] < values[0], name
