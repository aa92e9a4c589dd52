"""Our p50 beside two well-known procedures, interleaved: timm's benchmark script and torch.utils.benchmark.

    python -m tests.benchmarks.stopwatch [--rounds 3] [--models NAME ...]

timm's procedure is 10 warm-up and 40 timed forward passes, and their mean; torch.utils.benchmark's is the median of
`Timer.blocked_autorange(min_run_time=1)`. Each figure comes from a fresh process that builds the network anew (ours
through the measuring process, with our quick weights; the other two with timm's own initialisation) on the same
number of threads. The order within a round is random. Goals: median ratio 0.97-1.03, every ratio 0.93-1.07.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys

import click

from advisor.measure.host import Host
from advisor.measure.machine import usable_threads
from tests.benchmarks.measuring import TWELVE, measured

_REFERENCE = """
import sys, time, statistics, torch, timm
from torch.utils.benchmark import Timer
how, name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
model = timm.create_model(name).eval()
example = torch.randn(1, *model.default_cfg["input_size"])
with torch.inference_mode():
    if how == "timm":
        for _ in range(10):
            model(example)
        times = []
        for _ in range(40):
            began = time.perf_counter()
            model(example)
            times.append(time.perf_counter() - began)
        print(1000 * statistics.mean(times))
    else:
        timer = Timer("model(example)", globals={"model": model, "example": example}, num_threads=threads)
        timer.timeit(10)
        print(1000 * timer.blocked_autorange(min_run_time=1).median)
"""


def _reference(how: str, name: str, threads: int) -> float:
    command = [sys.executable, "-c", _REFERENCE, how, name, str(threads)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--models", multiple=True, default=TWELVE)
@click.option("--seed", default=0, show_default=True)
def main(rounds: int, models: tuple[str, ...], seed: int) -> None:
    """Print each network's three figures (medians over rounds), the two ratios, and their medians."""
    host, threads, order = Host(), usable_threads(), random.Random(seed)
    ratios: dict[str, list[float]] = {"timm": [], "torch": []}
    print(f"{threads} threads, {rounds} rounds; ms, and ours over theirs (median of the rounds' ratios)")
    try:
        for name in models:
            times: dict[str, list[float]] = {"ours": [], "timm": [], "torch": []}
            for _ in range(rounds):
                for how in order.sample(list(times), k=3):
                    ours = how == "ours"
                    times[how].append(
                        measured(host, name).latency.p50 if ours else _reference(how, name, threads)
                    )  # fmt: skip
            for how in ratios:
                ratios[how].append(statistics.median(a / b for a, b in zip(times["ours"], times[how], strict=True)))
            middle = "  ".join(f"{how} {statistics.median(found):8.2f}" for how, found in times.items())
            print(f"{name:24s} {middle}   /timm {ratios['timm'][-1]:.3f}  /torch {ratios['torch'][-1]:.3f}", flush=True)
    finally:
        host.close()
    for how, found in ratios.items():
        print(
            f"ours over {how}: median {statistics.median(found):.3f} (goal 0.97-1.03), "
            f"from {min(found):.3f} to {max(found):.3f} (goal 0.93-1.07)"
        )


if __name__ == "__main__":
    main()
