"""A comparison of optimizers, as `examples/optimizers.ipynb` makes it, beside PyTorch: 8 optimizers, 3 seeds."""

import time

import numpy as np

import fastnet
from fastnet import layers

from . import report

EPOCHS, BATCH, SEEDS = 8, 32, 3
MOMENTUM = {"momentum": 0.9}
CANDIDATES = [  # fastnet's name, PyTorch's name, learning rate, arguments of both
    ("SGD", "SGD", 0.3, {}),
    ("SGD", "SGD", 0.1, MOMENTUM),
    ("SGD", "SGD", 0.1, MOMENTUM | {"nesterov": True}),
    ("Adagrad", "Adagrad", 0.1, {}),
    ("RMSprop", "RMSprop", 0.003, {}),
    ("Adam", "Adam", 0.01, {}),
    ("AdamW", "AdamW", 0.01, {"weight_decay": 0.01}),
    ("Adamax", "Adamax", 0.01, {}),
]


def with_fastnet(x, y, name, rate, arguments, seed):
    """Train once; the loss of the last epoch."""
    fastnet.utils.set_random_seed(seed)
    model = fastnet.Sequential(
        [layers.Input((64,)), layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(getattr(fastnet.optimizers, name)(rate, **arguments), "sparse_categorical_crossentropy")
    return model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0).history["loss"][-1]


def with_torch(x, y, name, rate, arguments, seed):
    """Train the same network with PyTorch, its data in tensors; the mean loss of the last epoch."""
    import torch

    torch.manual_seed(seed)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = getattr(torch.optim, name)(model.parameters(), rate, **arguments)
    criterion = torch.nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        losses = []
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = criterion(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def rows(quick=False):
    """Table rows: the seconds of the comparison, and PyTorch's on as many threads as serve it best."""
    (x, y), _ = fastnet.datasets.digits.load_data()
    x, y = (x.reshape(len(x), 64) / 16).astype("float32"), y.astype("int64")
    candidates, seeds = (CANDIDATES[:2], 1) if quick else (CANDIDATES, SEEDS)

    def compare(train, column):
        for candidate in candidates:  # kernels are compiled or read, and memory is touched
            train(x, y, candidate[column], *candidate[2:], 0)
        start = time.perf_counter()
        losses = [train(x, y, c[column], *c[2:], seed) for c in candidates for seed in range(seeds)]
        return time.perf_counter() - start, np.median(losses)

    seconds, loss = compare(with_fastnet, 0)
    what = f"{len(candidates)} optimizers, {seeds} seeds"
    found = [
        report.figure(f"{what}: fastnet", seconds, "s"),
        report.figure(f"{what}: fastnet, median loss", loss, ""),
    ]
    try:
        import torch
    except ImportError:
        return found
    times = []
    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        other, loss = compare(with_torch, 1)
        times.append(other)
        found.append(report.figure(f"{what}: torch, {threads} threads", other, "s"))
    found.append(report.figure(f"{what}: torch, median loss", loss, ""))
    found.append(report.figure(f"{what}: torch's best / fastnet", min(times) / seconds, "x"))
    return found
