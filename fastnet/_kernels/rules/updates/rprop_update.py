"""Rprop: a step of its own for each weight."""

from fastnet._kernels.ranges import ABOVE_1, OPEN_UNIT, POSITIVE
from fastnet._kernels.registry import Update, updates
from fastnet._kernels.rules.sign import sign


def rprop_scalars(
    rate,
    t,
    eta_minus: OPEN_UNIT = 0.5,
    eta_plus: ABOVE_1 = 1.2,
    step_min: POSITIVE = 1e-6,
    step_max: POSITIVE = 50.0,
):
    return eta_minus, eta_plus, step_min, step_max


def rprop(w, g, previous_g, step, eta_minus, eta_plus, step_min, step_max):
    """Riedmiller and Braun 1993, in PyTorch's form: after a change of sign the weight waits for a step."""
    agreement = g * previous_g
    factor = 1 if agreement == 0 else agreement  # NaN stays
    step = step * (eta_plus if agreement > 0 else (eta_minus if agreement < 0 else factor))
    step = step_min if step < step_min else (step_max if step > step_max else step)
    g = 0 if agreement < 0 else g
    return w - sign(g) * step, g, step


updates.add(
    Update(
        "rprop", rprop, rprop_scalars, ("previous_gradient", "step_size"), {"step_size": "learning_rate"},
        learning_rate=0.01,
    )
)  # fmt: skip
