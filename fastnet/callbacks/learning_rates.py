"""The optimizers whose learning rates callbacks read and set."""

from __future__ import annotations

from typing import Any

from fastnet.optimizers.multi_optimizer import LossScaleOptimizer, MultiOptimizer


def optimizers_by_log(optimizer: Any) -> dict[str, Any]:
    """Each optimizer with a learning rate, by the name of its log: several in a `MultiOptimizer`, as in Keras."""
    if isinstance(optimizer, LossScaleOptimizer):
        return {"learning_rate": optimizer.inner_optimizer}
    if isinstance(optimizer, MultiOptimizer):
        return {f"learning_rate_{each.name}": each for each in optimizer.optimizers}
    return {"learning_rate": optimizer}
