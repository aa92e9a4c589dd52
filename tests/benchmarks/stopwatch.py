"""Our p50 beside two well-known procedures, pass by pass in turn: timm's benchmark script and torch.utils.benchmark.

    python -m tests.benchmarks.stopwatch [--rounds 5] [--models NAME ...]

timm's procedure is 10 warm-up and 40 timed forward passes, and their mean; torch.utils.benchmark's is the median of
what its `Timer` measures. Each network has a fresh process, in which it is built three times: our way with quick
weights, and twice by `timm.create_model`, so that none finds its weights in a cache that the pass before has warmed.
With each pass that our procedure times, from warming up to its end, one of timm's and one of torch's are made, the
three in random order, so that a machine that changes its pace disturbs all alike, and each comes after each other one
as often; theirs count from where ours do. A ratio is the median of the rounds'. Goals: median ratio 0.97-1.03, every
ratio 0.93-1.07.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time

import click

from advisor.measure.machine import usable_threads
from tests.benchmarks.measuring import TWELVE

_TIMING_S = 6.0  # of all three together


def one(name: str, threads: int, rounds: int) -> None:
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
    model, again = (timm.create_model(name).eval() for _ in range(2))
    example = torch.randn(1, *model.default_cfg["input_size"])
    timer = Timer("model(example)", globals={"model": again, "example": example}, num_threads=threads)

    order = random.Random(0)

    def round_() -> dict[str, float]:
        watch, timms, torchs = timing.stopwatch(prepared, "cpu"), list[float](), list[float]()

        def timm_pass() -> None:
            began = time.perf_counter()
            model(example)
            timms.append(1000 * (time.perf_counter() - began))

        def passes(n: int) -> float:
            ours_ms: list[float] = []
            turns = [
                lambda: ours_ms.append(watch(n)), timm_pass, lambda: torchs.append(1000 * timer.timeit(1).median),
            ]  # fmt: skip
            for turn in order.sample(turns, k=len(turns)):
                turn()
            return ours_ms[0]

        with torch.inference_mode(), timing.no_garbage_collection():
            ours = protocol.measure(
                passes, clock=time.perf_counter, clock_resolution_s=protocol.clock_step_s(time.perf_counter),
                limits=protocol.limits_within(60.0, _TIMING_S),
            )  # fmt: skip
        first = -ours.n_samples  # where the passes that count begin
        around = max(0, (ours.n_samples - 40) // 2)  # the 40 in the middle of them
        forty = timms[first:][around : around + 40]
        return {"ours": ours.p50, "timm": statistics.mean(forty), "torch": statistics.median(torchs[first:])}

    found = [round_() for _ in range(rounds)]
    print(json.dumps(found))


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--models", multiple=True, default=TWELVE)
@click.option("--one", "name", hidden=True)
def main(rounds: int, models: tuple[str, ...], name: str | None) -> None:
    """Print each network's three figures (medians over rounds), the two ratios, and their medians."""
    threads = usable_threads()
    if name is not None:
        one(name, threads, rounds)
        return
    ratios: dict[str, list[float]] = {"timm": [], "torch": []}
    print(f"{threads} threads, {rounds} rounds; ms and ours over theirs, medians of the rounds")
    for network in models:
        command = [sys.executable, "-m", "tests.benchmarks.stopwatch", "--one", network, "--rounds", str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
        for how in ratios:
            ratios[how].append(statistics.median(one["ours"] / one[how] for one in times))
        middle = "  ".join(f"{how} {statistics.median(one[how] for one in times):8.2f}" for how in times[0])
        print(f"{network:24s} {middle}   " + "  ".join(f"/{how} {ratios[how][-1]:.3f}" for how in ratios), flush=True)
    for how, found in ratios.items():
        print(
            f"ours over {how}: median {statistics.median(found):.3f} (goal 0.97-1.03), "
            f"from {min(found):.3f} to {max(found):.3f} (goal 0.93-1.07)"
        )


if __name__ == "__main__":
    main()
