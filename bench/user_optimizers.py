"""A comparison of optimizers, as `examples/optimizers.ipynb` makes it, beside PyTorch: 8 optimizers, 3 seeds."""

import importlib.util
import time

import numpy as np

import fastnet
from fastnet import layers

from . import report, user_dqn

EPOCHS, BATCH, SEEDS, ROUNDS = 8, 32, 3, 3
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
FORMS = {"plain": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}
FUSED = {"SGD", "Adagrad", "Adam", "AdamW"}  # PyTorch has no such form of the others


def with_fastnet(x, y, name, rate, arguments, seed):
    """Train once; the loss of the last epoch."""
    fastnet.utils.set_random_seed(seed)
    model = fastnet.Sequential(
        [layers.Input((64,)), layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(getattr(fastnet.optimizers, name)(rate, **arguments), "sparse_categorical_crossentropy")
    return model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0).history["loss"][-1]


def with_torch(x, y, name, rate, arguments, seed, threads, form):
    """Train the same network with PyTorch, its data in tensors; the mean loss of the last epoch."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = getattr(torch.optim, name)(model.parameters(), rate, **FORMS[form], **arguments)
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


def contenders():
    """Name → (the function that trains, its further arguments); PyTorch on one thread and on all, in each form."""
    found = {"fastnet": (with_fastnet, ())}
    if importlib.util.find_spec("torch"):
        import torch

        for threads in sorted({1, torch.get_num_threads()}):
            found |= {f"torch@{threads} {form}": (with_torch, (threads, form)) for form in FORMS}
    return found


def trained(contender, candidate, data, seeds):
    """The seconds of a candidate's trainings, and their losses; None where PyTorch has no such form of it."""
    train, more = contender
    ours, theirs, *arguments = candidate
    if "fused" in more and theirs not in FUSED:
        return None
    start = time.perf_counter()
    losses = [train(*data, ours if train is with_fastnet else theirs, *arguments, seed, *more) for seed in range(seeds)]
    return time.perf_counter() - start, losses


def measured(data, candidates, seeds, rounds):
    """Contender → candidate → (its best seconds, losses), of rounds in turns; the first round warms up."""
    best = {}
    for k in range(rounds + 1):
        for name, contender in contenders().items():
            time.sleep(user_dqn.PAUSE)
            of_contender = best.setdefault(name, {})
            for i, candidate in enumerate(candidates):
                found = trained(contender, candidate, data, seeds if k else 1)
                if found is not None and k:
                    of_contender[i] = min(found, of_contender.get(i, found), key=lambda each: each[0])
    return best


def rows(quick=False):
    """Table rows: the seconds of the comparison, and PyTorch's, on the threads and in the form best for each."""
    (x, y), _ = fastnet.datasets.digits.load_data()
    data = (x.reshape(len(x), 64) / 16).astype("float32"), y.astype("int64")
    candidates, seeds, rounds = (CANDIDATES[:2], 1, 1) if quick else (CANDIDATES, SEEDS, ROUNDS)
    best = measured(data, candidates, seeds, rounds)
    what = f"{len(candidates)} optimizers, {seeds} seeds"
    ours = best.pop("fastnet")
    seconds = sum(each for each, _ in ours.values())
    found = [
        report.figure(f"{what}: fastnet", seconds, "s"),
        report.figure(f"{what}: fastnet, median loss", np.median([losses for _, losses in ours.values()]), ""),
    ]
    if best:
        chosen = [min(of[i] for of in best.values() if i in of) for i in range(len(candidates))]
        other = sum(each for each, _ in chosen)
        found += [
            report.figure(f"{what}: torch, the best form of each", other, "s"),
            report.figure(f"{what}: torch, median loss", np.median([losses for _, losses in chosen]), ""),
            report.figure(f"{what}: torch's best / fastnet", other / seconds, "x"),
        ]
    return found
