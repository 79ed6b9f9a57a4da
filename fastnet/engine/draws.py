"""What random numbers follow from: a seed, the step, the layer and the element."""

from __future__ import annotations

from typing import Any

from fastnet._kernels import abi
from fastnet.engine.plan import Plan
from fastnet.engine.view import Slot


def draws(plan: Plan, seed: int | None) -> dict[str, Any]:
    """The operands of a template that draws for one more layer of the plan.

    Args:
        plan: counts the layers that draw.
        seed: of the layer, from 0 to 2**31 - 1; None for the model's seed and the layer's number.
    """
    plan.random_streams += 1
    drawn: dict[str, Any] = {"iteration": Slot(abi.ITERATION)}
    if seed is None:
        return drawn | {"stream": plan.random_streams, "seed": Slot(abi.SEED)}
    # instead of the layer's number, below 2**31, and of the model's seed: a slot of its own is 0
    return drawn | {"stream": seed + 2**31, "seed": plan.slot()}
