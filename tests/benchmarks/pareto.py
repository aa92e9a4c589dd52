"""Time `pareto_front` beside moocore: `python -m tests.benchmarks.pareto`.

Each repetition is a fresh process that makes the cloud from a seed, takes both times in turn (the order
alternates) and refuses to report if the two masks differ. Growth is the exponent b of time ~ n**b between
the two largest sizes; n log n has b = 1.067 between 1,000,000 and 10,000,000.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import click
import moocore
import numpy as np
from rich.console import Console
from rich.table import Table

from advisor.advice.pareto import pareto_front


def uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent columns: a handful of rows on the front."""
    return rng.random((n, 2))


def correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    """Good in one column goes with good in the other."""
    base = rng.random(n)
    return np.column_stack([base, base + rng.normal(scale=0.1, size=n)])


def anti_correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    """Accuracy costs time, with scatter: hundreds of rows on the front."""
    base = rng.random(n)
    return np.column_stack([base, 1 - base + rng.normal(scale=0.01, size=n)])


def all_on_front(rng: np.random.Generator, n: int) -> np.ndarray:
    """No row dominates another: the worst case, a full sort."""
    base = rng.random(n)
    return np.column_stack([base, 1 - base])


CLOUDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    cloud.__name__: cloud for cloud in (uniform, correlated, anti_correlated, all_on_front)
}


def moocore_front(losses: np.ndarray) -> np.ndarray:
    """The same question put to moocore."""
    return np.asarray(moocore.is_nondominated(losses, keep_weakly=True), dtype=bool)


def timed(front: Callable[[np.ndarray], np.ndarray], losses: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds of one call, and its mask."""
    start = time.perf_counter()
    on_front = front(losses)
    return time.perf_counter() - start, on_front


def repetition(cloud: str, n: int, seed: int) -> dict[str, float]:
    """Both times on one cloud, in seconds, and the size of the front."""
    rng = np.random.default_rng(seed)
    losses = CLOUDS[cloud](rng, n)
    fronts = {"ours": pareto_front, "moocore": moocore_front}
    for front in fronts.values():
        front(CLOUDS[cloud](rng, 100_000))  # loads code, not data
    names = list(fronts) if seed % 2 else list(reversed(fronts))
    runs = {name: timed(fronts[name], losses) for name in names}
    if not np.array_equal(runs["ours"][1], runs["moocore"][1]):
        raise SystemExit(f"masks differ: {cloud}, n = {n}, seed = {seed}")
    return {"ours": runs["ours"][0], "moocore": runs["moocore"][0], "on_front": int(runs["ours"][1].sum())}


def in_fresh_process(cloud: str, n: int, seed: int) -> dict[str, float]:
    """One repetition in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.pareto", "--one", cloud, str(n), str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    times: dict[str, float] = json.loads(done.stdout)
    return times


@click.command()
@click.option("--size", "sizes", type=int, multiple=True, default=(100_000, 1_000_000, 10_000_000))
@click.option("--repeat", default=5, show_default=True, help="Fresh processes for each row.")
@click.option("--one", type=(str, int, int), hidden=True, default=None)
def main(sizes: tuple[int, ...], repeat: int, one: tuple[str, int, int] | None) -> None:
    """Print the median times of both, their ratio, the spread and the growth."""
    if one:
        click.echo(json.dumps(repetition(*one)))
        return
    table = Table(title=f"Pareto front of two columns, medians of {repeat} fresh processes")
    for head in ("cloud", "n", "on front", "ours s", "min–max", "moocore s", "min–max", "ratio", "growth"):
        table.add_column(head, justify="left" if head == "cloud" else "right")
    for cloud in CLOUDS:
        before: tuple[int, float] | None = None
        for n in sorted(sizes):
            runs = [in_fresh_process(cloud, n, seed) for seed in range(repeat)]
            ours, theirs = ([run[name] for run in runs] for name in ("ours", "moocore"))
            median = statistics.median(ours)
            growth = f"{math.log(median / before[1]) / math.log(n / before[0]):.2f}" if before else ""
            table.add_row(
                cloud, f"{n:,}", f"{statistics.median(run['on_front'] for run in runs):,.0f}",
                f"{median:.4f}", f"{min(ours):.4f}–{max(ours):.4f}",
                f"{statistics.median(theirs):.4f}", f"{min(theirs):.4f}–{max(theirs):.4f}",
                f"{statistics.median(theirs) / median:.1f}x", growth,
            )  # fmt: skip
            before = n, median
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
