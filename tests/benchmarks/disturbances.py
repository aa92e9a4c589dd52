"""What disturbs a timing on this machine: page faults of the heap, and the machine's pace.

    python -m tests.benchmarks.disturbances [--rounds 5] [--models ...]

Each network is timed in fresh processes in turn, once as glibc is and once with freed memory kept
(`workers/allocator.py`), with the pulse (`workers/pulse.py`) around it. Printed are medians and ranges over the rounds,
the page faults of a pass, the ratio of the medians, and how far two processes of one network are apart before and
after each latency is divided by its pulse.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import time
from collections import defaultdict

import click
import numpy as np

NETWORKS = (
    "mobilenetv3_large_100",
    "efficientnet_b0",
    "resnet50",
    "vit_small_patch16_224",
    "swin_tiny_patch4_window7_224",
)
_TIMED_S = 1.2
_WARM_UP = 10


def one(name: str, keep: bool) -> None:
    """Time a network in this process and print p50 in ms, page faults of a pass, and the pulse in ms, as JSON."""
    import torch

    from advisor.measure.machine import usable_threads
    from advisor.measure.request import Request
    from advisor.measure.runtimes import interface
    from advisor.measure.workers import build
    from advisor.measure.workers.allocator import keep_freed_memory
    from advisor.measure.workers.pulse import pulse

    torch.set_num_threads(usable_threads())
    if keep and not keep_freed_memory():
        raise click.ClickException("This C library cannot be told to keep freed memory.")
    built = build.build(name, None)
    request, image = Request(architecture=name), build.images(built.facts, 1)
    run = (
        interface.load("pytorch-eager")
        .prepare(built.model, image, request, threads=usable_threads(), say=lambda _stage: None)
        .run
    )
    for _ in range(_WARM_UP):
        run()
    take = pulse("cpu", synchronise=lambda: None)
    pulses, times = [take()], list[float]()
    faults, end = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter() + _TIMED_S
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) // len(times)
    pulses.append(take())
    print(json.dumps([float(np.median(times)), faults, float(np.sqrt(np.prod(pulses)))]))


def _apart(of_networks: list[np.ndarray]) -> float:
    """Median of |log ratio| over all pairs of processes of one network."""
    return float(np.median([abs(np.log(a / b)) for found in of_networks for a, b in itertools.combinations(found, 2)]))


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=2))
@click.option("--models", multiple=True, default=NETWORKS)
@click.option("--one", "name", hidden=True)
@click.option("--keep", is_flag=True, hidden=True)
def main(rounds: int, models: tuple[str, ...], name: str | None, keep: bool) -> None:
    """Print the table."""
    if name is not None:
        one(name, keep)
        return
    found: dict[tuple[str, bool], list[list[float]]] = defaultdict(list)
    for _ in range(rounds):
        for network, kept in itertools.product(models, (False, True)):
            command = [sys.executable, "-m", "tests.benchmarks.disturbances", "--one", network, *["--keep"] * kept]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[network, kept].append(json.loads(done.stdout))
    print(f"{'':32s} {'glibc ms':>18s} {'faults':>7s} {'kept ms':>18s} {'faults':>7s} {'ratio':>6s}")
    for network in models:
        plain, keeping = (np.array(found[network, kept]) for kept in (False, True))
        shown = [f"{np.median(t[:, 0]):6.1f} ({t[:, 0].min():.1f}-{t[:, 0].max():.1f})" for t in (plain, keeping)]
        ratio = np.median(plain[:, 0]) / np.median(keeping[:, 0])
        print(
            f"{network:32s} {shown[0]:>18s} {np.median(plain[:, 1]):7.0f} {shown[1]:>18s} "
            f"{np.median(keeping[:, 1]):7.0f} {ratio:6.2f}"
        )
    every = [np.array(found[network, True]) for network in models]
    pulses = np.concatenate([each[:, 2] for each in every])
    print(
        f"pulse: {np.quantile(pulses, 0.05):.2f} to {np.quantile(pulses, 0.95):.2f} ms (5 % and 95 % of {len(pulses)})"
    )
    print(
        f"two processes of one network, memory kept: {_apart([each[:, 0] for each in every]):.1%} apart (median), "
        f"{_apart([each[:, 0] / each[:, 2] for each in every]):.1%} once divided by the pulse"
    )


if __name__ == "__main__":
    main()
