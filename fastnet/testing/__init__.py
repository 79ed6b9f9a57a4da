"""Proofs for extensions of fastnet: `check_activation`, `check_loss`, `check_optimizer`, `check_layer`; a GPU that is a
machine of numpy; the code of a step as text."""

from fastnet.testing.dumping import dump as dump
from fastnet.testing.gpu import machine_gpu as machine_gpu
from fastnet.testing.kernel_checks import check_activation as check_activation
from fastnet.testing.kernel_checks import check_layer as check_layer
from fastnet.testing.kernel_checks import check_loss as check_loss
from fastnet.testing.optimizer_checks import check_optimizer as check_optimizer
from fastnet.testing.running import Report as Report
