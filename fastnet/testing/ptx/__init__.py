"""A machine that runs PTX on numpy: CUDA kernels are proved where no GPU is (docs/cuda.md)."""

from fastnet.testing.ptx.faults import Fault as Fault
from fastnet.testing.ptx.machine import Machine as Machine
from fastnet.testing.ptx.module import Module as Module
