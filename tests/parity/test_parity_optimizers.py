"""Optimizers and what they all share give Keras's numbers, Rprop and RAdam PyTorch's; schedules those of both.

One row of `CASES` is one optimizer; the same line builds it from either library. Three epochs of 8, 8 and 5 rows: nine
steps, so that an average that takes over and a sum of gradients that is not complete are part of the comparison.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")
# JAX says so where Keras asks for the float64 of y in a float32 model.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")

ROWS, BATCH, EPOCHS, FEATURES, UNITS = 21, 8, 3, 6, 3
# Relative to the largest entry of a tensor; sums in another order, nine steps.
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}


@dataclass(frozen=True)
class Case:
    """An optimizer: its class, arguments by name, and what `exclude_from_weight_decay` is given."""

    cls: str
    options: dict = field(default_factory=dict)
    exclude: dict | None = None
    schedule: str | None = None
    schedule_options: dict = field(default_factory=dict)

    def __str__(self):
        parts = [self.cls, *(f"{k}={v}" for k, v in (self.options | self.schedule_options).items())]
        return " ".join([*parts, *([self.schedule] if self.schedule else []), *(["exclude"] if self.exclude else [])])

    def make(self, lib):
        options = dict(self.options)
        if self.schedule:
            options["learning_rate"] = getattr(lib.optimizers.schedules, self.schedule)(**self.schedule_options)
        optimizer = getattr(lib.optimizers, self.cls)(**options)
        if self.exclude:
            optimizer.exclude_from_weight_decay(**self.exclude)
        return optimizer


def shared(**options):
    """The same arguments for an optimizer without state, one with, one with numbers of its own for each step, and those
    of more passes than one."""
    return [
        Case("SGD", {"learning_rate": 0.1, **options}),
        Case("RMSprop", {"learning_rate": 0.01, "momentum": 0.9, **options}),
        Case("Adam", {"learning_rate": 0.05, **options}),
        Case("Nadam", {"learning_rate": 0.05, **options}),
        *(Case(name, {"learning_rate": 0.05, **options}) for name in ("Lamb", "Adafactor", "Muon")),
    ]


CASES = [
    *[Case(name) for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta", "Ftrl")],
    Case("Lion"),
    Case("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    Case("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    Case("RMSprop", {"learning_rate": 0.01, "rho": 0.8, "epsilon": 1e-5}),
    Case("RMSprop", {"learning_rate": 0.01, "momentum": 0.9}),
    Case("RMSprop", {"learning_rate": 0.01, "centered": True, "epsilon": 1e-3}),
    Case("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.5, "epsilon": 1e-3}),
    Case("Adam", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    Case("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    Case("AdamW", {"learning_rate": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    Case("Adamax", {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.9}),
    Case("Nadam", {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3}),
    Case("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.5}),
    Case("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-2}),
    Case("Adadelta", {"learning_rate": 1.0, "rho": 0.7, "epsilon": 1e-3}),
    Case("Ftrl", {"learning_rate": 0.1, "beta": 0.5, "l1_regularization_strength": 0.3}),
    Case(
        "Ftrl", {"learning_rate": 0.1, "l2_regularization_strength": 0.3, "l2_shrinkage_regularization_strength": 0.1}
    ),
    Case("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.3, "initial_accumulator_value": 0.2}),
    Case("Lion", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.7}),
    Case("ScheduleFreeAdamW"),
    Case("ScheduleFreeAdamW", {"learning_rate": 0.1, "beta_1": 0.7, "warmup_steps": 4, "weight_decay": 0.1}),
    Case("Lamb"),
    Case("Lamb", {"learning_rate": 0.3, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    Case("Adafactor"),
    Case("Adafactor", {"learning_rate": 0.4, "beta_2_decay": -0.6, "epsilon_1": 1e-3, "epsilon_2": 0.5}),
    Case("Adafactor", {"learning_rate": 0.05, "clip_threshold": 0.3, "relative_step": False}),
    Case("Muon"),
    Case("Muon", {"learning_rate": 0.05, "exclude_layers": ["output|hidden/bias"], "momentum": 0.8, "ns_steps": 3}),
    Case("Muon", {"learning_rate": 0.05, "nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.3, "epsilon": 1e-3}),
    Case("Muon", {"learning_rate": 0.05, "adam_weight_decay": 0.2, "weight_decay": 0.1, "adam_beta_1": 0.7}),
    Case("Muon", {"muon_a": 3.0, "muon_b": -4.0, "muon_c": 1.5, "weight_decay": None, "adam_beta_2": 0.9}),
    *shared(weight_decay=0.1),
    Case("SGD", {"learning_rate": 0.1, "weight_decay": 0.5}, exclude={"var_names": ["bias"]}),
    *shared(clipvalue=0.05),
    *shared(clipnorm=0.05),
    *shared(global_clipnorm=0.05),
    *shared(global_clipnorm=1e6),
    *shared(use_ema=True, ema_momentum=0.8),
    *shared(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2),
    *shared(gradient_accumulation_steps=2),
    *shared(gradient_accumulation_steps=4, clipnorm=0.05, weight_decay=0.1),
    *shared(gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3),
    *shared(clipvalue=0.05, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=4, ema_momentum=0.7),
    Case("Adam", {"learning_rate": 0.05, "loss_scale_factor": 8.0}),
]

RATE = {"initial_learning_rate": 0.3}
SCHEDULES = [
    ("ExponentialDecay", {**RATE, "decay_steps": 4, "decay_rate": 0.5}),
    ("ExponentialDecay", {**RATE, "decay_steps": 4, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {**RATE, "decay_steps": 4, "decay_rate": 0.5}),
    ("InverseTimeDecay", {**RATE, "decay_steps": 4, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [2, 5], "values": [0.3, 0.2, 0.1]}),
    ("PiecewiseConstantDecay", {"boundaries": [3], "values": [0.3, 0.1]}),
    ("PolynomialDecay", {**RATE, "decay_steps": 5}),
    ("PolynomialDecay", {**RATE, "decay_steps": 5, "end_learning_rate": 0.1, "power": 2.0, "cycle": True}),
    ("CosineDecay", {**RATE, "decay_steps": 6}),
    ("CosineDecay", {**RATE, "decay_steps": 6, "alpha": 0.2}),
    ("CosineDecay", {**RATE, "decay_steps": 4, "warmup_target": 0.7, "warmup_steps": 3, "alpha": 0.1}),
    ("CosineDecayRestarts", {**RATE, "first_decay_steps": 3}),
    ("CosineDecayRestarts", {**RATE, "first_decay_steps": 3, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", {**RATE, "first_decay_steps": 2, "t_mul": 1.5, "m_mul": 0.7}),
]
CASES += [Case("SGD", schedule=name, schedule_options=options) for name, options in SCHEDULES]
# The rate of the step, and the number of the update, count differently where gradients are accumulated.
CASES.append(Case("Adam", {"gradient_accumulation_steps": 2, "weight_decay": 0.1}, None, *SCHEDULES[0]))


def build(lib, optimizer):
    # Named, since Muon excludes by name and Keras counts its own names through the whole process.
    hidden = lib.layers.Dense(5, activation="tanh", name="hidden")
    model = lib.Sequential([lib.layers.Input((FEATURES,)), hidden, lib.layers.Dense(UNITS, name="output")])
    model.compile(optimizer=optimizer, loss="mse")
    return model


def problem(dtype):
    rng = np.random.default_rng(11)
    x, y = rng.standard_normal((ROWS, FEATURES)), rng.standard_normal((ROWS, UNITS))
    shapes = [(FEATURES, 5), (5,), (5, UNITS), (UNITS,)]
    weights = [rng.uniform(-1, 1, shape) / np.sqrt(shape[0]) for shape in shapes]
    return [a.astype(dtype) for a in (x, y)], [w.astype(dtype) for w in weights]


def train(lib, optimizer, data, weights):
    """Losses of the epochs, then the weights."""
    model = build(lib, optimizer)
    model.set_weights(weights)
    losses = model.fit(*data, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"]
    return [np.array(losses), *(np.asarray(w) for w in model.get_weights())]


def assert_close(got, expected, tolerance):
    for place, (mine, right) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_allclose(mine, right, rtol=0, atol=tolerance * np.abs(right).max(), err_msg=f"array {place}")


@pytest.mark.parametrize("floatx", ["float64", "float32"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_as_keras(case, floatx):
    data, weights = problem(floatx)
    expected = train(keras, case.make(keras), data, weights)
    got = train(fastnet, case.make(fastnet), data, weights)
    assert not np.array_equal(expected[1], weights[0])
    assert_close(got, expected, TOLERANCE[floatx])


TORCH = [
    ("Rprop", {}, {}),
    ("Rprop", {"learning_rate": 0.1}, {"lr": 0.1}),
    ("Rprop", {"learning_rate": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.04, 0.15)},
     {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.04, 0.15)}),
    ("RAdam", {}, {}),
    ("RAdam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
     {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-3}),
    ("RAdam", {"learning_rate": 0.05, "beta_2": 0.5}, {"lr": 0.05, "betas": (0.9, 0.5)}),
    ("RAdam", {"learning_rate": 0.05, "weight_decay": 0.2},
     {"lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("Adadelta", {"learning_rate": 1.0}, {"lr": 1.0, "rho": 0.95, "eps": 1e-7}),
    ("AdamW", {"learning_rate": 0.05, "weight_decay": 0.2, "epsilon": 1e-300},
     {"lr": 0.05, "weight_decay": 0.2, "eps": 0.0}),
]  # fmt: skip


def train_torch(torch, name, options, data, weights):
    w = [torch.tensor(a, requires_grad=True) for a in weights]
    optimizer = getattr(torch.optim, name)(w, **options)
    x, y = (torch.tensor(a) for a in data)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for first in range(0, ROWS, BATCH):
            rows = slice(first, first + BATCH)
            prediction = torch.tanh(x[rows] @ w[0] + w[1]) @ w[2] + w[3]
            loss = torch.mean((prediction - y[rows]) ** 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(prediction)
        losses.append(total / ROWS)
    return [np.array(losses), *(a.detach().numpy() for a in w)]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize(("name", "options", "theirs"), TORCH, ids=[f"{n} {o}" for n, o, _ in TORCH])
def test_same_as_torch(name, options, theirs, floatx):
    torch = pytest.importorskip("torch")
    data, weights = problem(floatx)
    expected = train_torch(torch, name, theirs, data, weights)
    got = train(fastnet, getattr(fastnet.optimizers, name)(**options), data, weights)
    assert_close(got, expected, TOLERANCE[floatx])


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=[f"{n} {o}" for n, o in SCHEDULES])
def test_schedules_as_keras_has_them(name, options, floatx):
    theirs = getattr(keras.optimizers.schedules, name)(**options)
    ours = getattr(fastnet.optimizers.schedules, name)(**options)
    expected = [float(theirs(step)) for step in range(40)]
    np.testing.assert_allclose(ours.at(np.arange(40)), expected, rtol=1e-9, atol=1e-12)
    assert [ours(step) for step in range(40)] == ours.at(np.arange(40)).tolist()
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()
    # Keras's own description is understood.
    again = fastnet.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert again.at(np.arange(40)).tolist() == ours.at(np.arange(40)).tolist()


TORCH_SCHEDULES = [
    ("OneCycle", {"max_learning_rate": 0.3, "total_steps": 20}, "OneCycleLR", {"max_lr": 0.3, "total_steps": 20}),
    ("OneCycle", {"max_learning_rate": 0.3, "total_steps": 33, "pct_start": 0.4, "anneal_strategy": "linear"},
     "OneCycleLR", {"max_lr": 0.3, "total_steps": 33, "pct_start": 0.4, "anneal_strategy": "linear"}),
    ("OneCycle", {"max_learning_rate": 0.3, "total_steps": 20, "three_phase": True, "div_factor": 10.0},
     "OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "three_phase": True, "div_factor": 10.0}),
    ("Cyclic", {"base_learning_rate": 0.1, "max_learning_rate": 0.5, "step_size_up": 4},
     "CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4}),
    ("Cyclic", {"base_learning_rate": 0.1, "max_learning_rate": 0.5, "step_size_up": 4, "step_size_down": 7,
                "mode": "triangular2"},
     "CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4, "step_size_down": 7, "mode": "triangular2"}),
    ("Cyclic", {"base_learning_rate": 0.1, "max_learning_rate": 0.5, "step_size_up": 4, "mode": "exp_range",
                "gamma": 0.9},
     "CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "torch_name", "theirs"), TORCH_SCHEDULES)
def test_schedules_as_torch_has_them(name, options, torch_name, theirs):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler = getattr(torch.optim.lr_scheduler, torch_name)(optimizer, **theirs, cycle_momentum=False)
    expected = []
    for _ in range(theirs.get("total_steps", 40)):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < theirs.get("total_steps", 40):
            scheduler.step()
    ours = getattr(fastnet.optimizers.schedules, name)(**options)
    # At a corner the place in the cycle is rounded: 1e-16 of it, times the height of the cycle.
    np.testing.assert_allclose(ours.at(np.arange(len(expected))), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "cls",
    ["SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta", "Ftrl", "Lamb", "Adafactor", "Muon"],
)
def test_a_description_by_keras_is_understood(cls):
    theirs = getattr(keras.optimizers, cls)(0.25, clipnorm=0.5)
    ours = fastnet.optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert type(ours) is getattr(fastnet.optimizers, cls)
    expected, got = theirs.get_config(), ours.get_config()
    assert got == expected
