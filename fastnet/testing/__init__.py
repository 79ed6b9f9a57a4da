"""Proofs for extensions of fastnet: `check_activation`, `check_loss`, `check_optimizer`, `check_layer`."""

from fastnet.testing.kernel_checks import check_activation as check_activation
from fastnet.testing.kernel_checks import check_layer as check_layer
from fastnet.testing.kernel_checks import check_loss as check_loss
from fastnet.testing.kernel_checks import check_optimizer as check_optimizer
from fastnet.testing.running import Report as Report
