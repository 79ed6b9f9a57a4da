"""Writes measurements as tables, CSV files and pictures. Rows are dicts."""

import csv
from pathlib import Path

from . import IN_CHECKOUT

RESULTS = Path(__file__).parent / "results" if IN_CHECKOUT else Path("fastnet-bench").absolute()


def verdict(value, floor, at_least):
    """'met' or 'missed' if there is a floor, else ''. With `at_least` larger values are better."""
    if floor is None:
        return ""
    return "met" if (value >= floor if at_least else value <= floor) else "missed"


def figure(what, value, unit, floor=None, at_least=False):
    """Make a row for a table of single figures."""
    value = float(f"{value:.4g}")
    sign = "≥" if at_least else "≤"
    return {
        "what": what,
        "value": value,
        "unit": unit,
        "floor": "" if floor is None else f"{sign} {floor:g}",
        "verdict": verdict(value, floor, at_least),
    }


def table(rows):
    """Format rows as aligned text; the columns are the union of their keys, in order of appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns] + [["" if row.get(c) is None else str(row.get(c, "")) for c in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def show(name, rows, machine, notes=""):
    """Print a table with the machine's description, and write it to results/NAME.csv and NAME.txt."""
    (RESULTS / name).parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(RESULTS / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    text = "\n".join(part for part in (f"== {name} ==", machine, notes, table(rows)) if part)
    (RESULTS / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    print(text, end="\n\n", flush=True)


def pyplot():
    """Import matplotlib for drawing into files; None if it is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def number(cell):
    """Parse a cell: ``≥ 0.95`` gives 0.95, an empty cell None."""
    text = str("" if cell is None else cell).strip("≥≤% ")
    return float(text) if text else None


def strips(name, rows, labels, value, axis):
    """Draw results/NAME.png: a bar for each row with a value, and its floor as a line; ``labels`` are columns."""
    rows = [row for row in rows if number(row.get(value)) is not None]
    plt = pyplot() if rows else None
    if plt is None:
        return
    fig, ax = plt.subplots(figsize=(9, 1.2 + 0.22 * len(rows)))
    places = range(len(rows), 0, -1)
    values = [number(row[value]) for row in rows]
    ax.bar_label(ax.barh(places, values, 0.7), fmt=" %.3g", fontsize=6)
    for place, floor in zip(places, [number(row.get("floor")) for row in rows]):
        if floor is not None:
            ax.vlines(floor, place - 0.45, place + 0.45, color="black", linewidth=1.5)
    ax.set_yticks(places, [" ".join(str(row[c]) for c in labels) for row in rows], fontsize=6)
    ax.set_ylim(0, len(rows) + 1)
    if max(values) > 20 * min(values) > 0:
        ax.set_xscale("log")
    ax.set_xlabel(f"{axis}; black lines are floors", fontsize=8)
    fig.tight_layout()
    fig.savefig(RESULTS / f"{name}.png", dpi=120 if len(rows) < 80 else 70)
    plt.close(fig)


def margins(name, rows):
    """Draw results/NAME.png for figures with floors: how many times better than its floor each is."""
    better = []
    for row in rows:
        value, floor = number(row["value"]), number(row["floor"])
        if floor is not None and value > 0:
            ratio = value / floor if row["floor"].startswith("≥") else floor / value
            better.append({"what": row["what"], "margin": ratio, "floor": 1})
    strips(name, better, ["what"], "margin", "times better than the floor")


def bars(name, rows):
    """Draw results/NAME.png: for each workload and peer, its time / fastnet's time, and its floor as a line."""
    rows = [row for row in rows if row.get("ratio best")]
    plt = pyplot() if rows else None
    if plt is None:
        return
    works = list(dict.fromkeys(row["work"] for row in rows))
    peers = list(dict.fromkeys(row["contender"] for row in rows))
    width = 0.8 / len(peers)
    fig, ax = plt.subplots(figsize=(2 + 2 * len(works), 4))
    for k, peer in enumerate(peers):
        chosen = [row for row in rows if row["contender"] == peer]
        at = [works.index(row["work"]) + (k - (len(peers) - 1) / 2) * width for row in chosen]
        drawn = ax.bar(at, [row["ratio best"] for row in chosen], width * 0.95, label=peer)
        ax.bar_label(drawn, fmt="%.3g", fontsize=7)
        floors = [(x, row["floor"]) for x, row in zip(at, chosen) if row["floor"]]
        for x, floor in floors:
            ax.hlines(floor, x - width / 2, x + width / 2, color="black", linewidth=1)
    ax.axhline(1, color="grey", linewidth=0.8)
    ax.set_yscale("log")
    ax.set_xticks(range(len(works)), works)
    ax.set_ylabel("time of the peer / time of fastnet")
    ax.set_title("one training step; black lines are floors", fontsize=10)
    ax.legend(fontsize=8, ncols=3)
    fig.tight_layout()
    fig.savefig(RESULTS / f"{name}.png", dpi=150)
    plt.close(fig)
