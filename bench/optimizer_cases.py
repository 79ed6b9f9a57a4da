"""The optimizers that are measured, with their floors."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastnet import optimizers

BANDWIDTH_FLOOR = 0.85  # of a += 3*b


@dataclass(frozen=True)
class Case:
    """An optimizer in fastnet and in PyTorch, with the least ratios of their times: alone, and in a whole step.

    ``share`` is the least share of the memory's bandwidth, ``shape`` that of the weights. ``products`` marks an update
    that consists of matrix products, which would be nearly all of a whole step.
    """

    name: str
    cls: str
    options: dict = field(default_factory=dict)
    torch: str | None = None
    theirs: dict = field(default_factory=dict)
    alone: float | None = 0.95
    step: float | None = None
    share: float | None = BANDWIDTH_FLOOR
    shape: tuple[int, ...] = (-1,)
    products: bool = False

    def make(self):
        return getattr(optimizers, self.cls)(1e-3, **self.options)


CASES = [
    Case("SGD", "SGD", {}, "SGD", {}, step=6),
    Case("momentum", "SGD", {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    Case("Nesterov", "SGD", {"momentum": 0.9, "nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    Case("Adagrad", "Adagrad", {"epsilon": 1e-10}, "Adagrad", {"initial_accumulator_value": 0.1}),
    Case("RMSprop", "RMSprop", {"epsilon": 1e-16}, "RMSprop", {"alpha": 0.9}, alone=5, step=7),
    Case(
        "RMSprop, centered", "RMSprop", {"epsilon": 1e-3, "centered": True, "momentum": 0.9},
        "RMSprop", {"alpha": 0.9, "centered": True, "momentum": 0.9},
    ),
    Case("Adam", "Adam", {"epsilon": 1e-12}, "Adam", {"eps": 1e-12}, step=3),
    Case("AMSGrad", "Adam", {"amsgrad": True}, "Adam", {"amsgrad": True}),
    Case("AdamW", "AdamW", {"epsilon": 1e-12}, "AdamW", {"weight_decay": 0.004, "eps": 1e-12}),
    Case("Adamax", "Adamax", {}, "Adamax", {}),
    Case("Adadelta", "Adadelta", {"rho": 0.9, "epsilon": 1e-6}, "Adadelta", {"eps": 1e-6}, alone=7, step=9),
    Case("Nadam", "Nadam", {"epsilon": 1e-8}, "NAdam", {}, alone=6, step=8),
    Case("RAdam", "RAdam", {}, "RAdam", {}),
    Case("Rprop", "Rprop", {}, "Rprop", {}, alone=12, step=20),
    Case("Lion", "Lion"),
    Case("Ftrl", "Ftrl"),
    Case("Adam, weight decay, clip, average", "Adam", {"weight_decay": 0.1, "clipvalue": 1.0, "use_ema": True}),
    Case("Adam, global norm", "Adam", {"global_clipnorm": 1.0}),
    Case("ScheduleFreeAdamW", "ScheduleFreeAdamW", share=None),
    Case("Lamb", "Lamb", share=None),
    Case("Adafactor", "Adafactor", {}, "Adafactor", {}, alone=None, share=None, shape=(-1, 1000)),
    Case("Muon", "Muon", share=None, shape=(-1, 1000), products=True),
]  # fmt: skip
