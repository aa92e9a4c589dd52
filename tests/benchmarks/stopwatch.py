"""Our p50 beside two well-known procedures, interleaved: timm's benchmark script and torch.utils.benchmark.

    python -m tests.benchmarks.stopwatch [--rounds 8] [--models NAME ...]

timm's procedure is 10 warm-up and 40 timed forward passes, and their mean; torch.utils.benchmark's is the median of
`Timer.blocked_autorange(min_run_time=1)`. Each network has a fresh process, in which it is built twice: our way with
quick weights, and by `timm.create_model`; then the three procedures take turns, in random order, on the same number
of threads. A machine that is disturbed is only ever slower, so a ratio is that of the least disturbed rounds: the
fastest of ours over the fastest of theirs. The median of the rounds' own ratios, which a machine that changes pace
within a round spoils, is printed beside it. Goals: median ratio 0.97-1.03, every ratio 0.93-1.07.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import click

from advisor.measure.machine import usable_threads
from tests.benchmarks.measuring import TWELVE

_HOWS = ("ours", "timm", "torch")


def one(name: str, threads: int, rounds: int, seed: int) -> None:
    """In a process of its own: print the figures of all rounds as JSON."""
    import timm
    import torch
    from torch.utils.benchmark import Timer

    from advisor.measure import protocol
    from advisor.measure.request import Request
    from advisor.measure.runtimes import eager
    from advisor.measure.workers import build, timing

    torch.set_num_threads(threads)
    built = build.build(name)
    request = Request(architecture=name)
    prepared = eager.prepare(
        built.model, build.images(built.facts, 1), request, threads=threads, say=lambda _: None
    )  # fmt: skip
    model = timm.create_model(name).eval()
    example = torch.randn(1, *model.default_cfg["input_size"])

    def ours() -> float:
        return timing.latency(prepared, "cpu", limits=protocol.limits_within(request.time_limit_s)).latency.p50

    def timms() -> float:
        with torch.inference_mode():
            for _ in range(10):
                model(example)
            times = []
            for _ in range(40):
                began = time.perf_counter()
                model(example)
                times.append(time.perf_counter() - began)
        return 1000 * statistics.mean(times)

    def torchs() -> float:
        with torch.inference_mode():
            timer = Timer("model(example)", globals={"model": model, "example": example}, num_threads=threads)
            timer.timeit(10)
            return 1000 * float(timer.blocked_autorange(min_run_time=1).median)

    procedures: dict[str, Callable[[], float]] = {"ours": ours, "timm": timms, "torch": torchs}
    found: dict[str, list[float]] = {how: [] for how in _HOWS}
    order = random.Random(seed)
    for _ in range(rounds):
        for how in order.sample(_HOWS, k=len(_HOWS)):
            found[how].append(procedures[how]())
    print(json.dumps(found))


def _middle(times: dict[str, list[float]], how: str) -> float:
    return statistics.median(a / b for a, b in zip(times["ours"], times[how], strict=True))


@click.command()
@click.option("--rounds", default=8, show_default=True)
@click.option("--models", multiple=True, default=TWELVE)
@click.option("--seed", default=0, show_default=True)
@click.option("--one", "name", hidden=True)
def main(rounds: int, models: tuple[str, ...], seed: int, name: str | None) -> None:
    """Print each network's three figures (fastest rounds), the two ratios, and their medians."""
    threads = usable_threads()
    if name is not None:
        one(name, threads, rounds, seed)
        return
    ratios: dict[str, list[float]] = {"timm": [], "torch": []}
    print(f"{threads} threads, {rounds} rounds; ms of the fastest, ours over theirs (median of the rounds' ratios)")
    for i, network in enumerate(models):
        command = [sys.executable, "-m", "tests.benchmarks.stopwatch", "--one", network, "--rounds", str(rounds)]
        done = subprocess.run([*command, "--seed", str(seed + i)], capture_output=True, text=True, check=True)
        times: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
        fastest = {how: min(found) for how, found in times.items()}
        for how in ratios:
            ratios[how].append(fastest["ours"] / fastest[how])
        middle = "  ".join(f"{how} {ms:8.2f}" for how, ms in fastest.items())
        beside = "  ".join(f"/{how} {ratios[how][-1]:.3f} ({_middle(times, how):.3f})" for how in ratios)
        print(f"{network:24s} {middle}   {beside}", flush=True)
    for how, found in ratios.items():
        print(
            f"ours over {how}: median {statistics.median(found):.3f} (goal 0.97-1.03), "
            f"from {min(found):.3f} to {max(found):.3f} (goal 0.93-1.07)"
        )


if __name__ == "__main__":
    main()
