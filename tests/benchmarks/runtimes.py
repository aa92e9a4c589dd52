"""Latency by our runtimes beside the same networks run by hand: `python -m tests.benchmarks.runtimes`.

By hand means what the makers advise for latency, written here with nothing of ours: for ONNX Runtime a session with
all optimisations, so many threads within operators and one operator at a time, `run` on a NumPy array, as
`onnxruntime_perf_test` does; for OpenVINO the latency hint, one stream, one request and `infer`, as
`benchmark_app -hint latency -nstreams 1 -api sync` does. Both export the network themselves.

Each row is a fresh process that holds both and takes their times in turn (the order alternates). A figure is the
median over the rounds of the p50 of a round; the ratio is the median of the ratios of the rounds, whose two figures
lie within seconds of each other, so that a machine that changes its speed meanwhile changes both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from advisor.measure import protocol
from advisor.measure.cpu import usable_threads

MODELS = (
    "mobilenetv3_large_100", "efficientnet_b0", "regnety_032", "resnet50", "resnest26d", "vit_small_patch16_224",
    "swin_tiny_patch4_window7_224", "convnext_tiny",
)  # fmt: skip
SETUPS = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "auto"))
WITHIN = 0.05
LIMITS = protocol.Limits(
    precision=0.05, min_samples=15, min_s=0.5, max_s=3.0, warmup_max_s=2.0, window_readings=3, window_s=0.05,
    long_window_s=0.5,
)  # fmt: skip
HAND_WARMUP = 5


def by_hand(model: Any, example: Any, runtime: str, precision: str, threads: int) -> Callable[[], Any]:
    """One pass by the runtime's own Python interface."""
    import torch

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "network.onnx")
        torch.onnx.export(model, (example,), path, dynamo=False, input_names=["x"])
        return (onnxruntime_by_hand if runtime == "onnxruntime" else openvino_by_hand)(
            path, example.numpy(), precision, threads
        )


def onnxruntime_by_hand(path: str, image: Any, precision: str, threads: int) -> Callable[[], Any]:
    """A session with all optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {"x": image}
    return lambda: session.run(None, feed)


def openvino_by_hand(path: str, image: Any, precision: str, threads: int) -> Callable[[], Any]:
    """A request of a network compiled for latency; "auto" gives no precision, as benchmark_app does."""
    import openvino

    config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
    if precision == "fp32":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    request = openvino.Core().compile_model(path, "CPU", config).create_infer_request()
    request.set_input_tensor(openvino.Tensor(image))
    return request.infer


def hand_p50_ms(run: Callable[[], Any]) -> float:
    """Median of passes timed one by one, as many as the limits of ours ask for at least."""
    for _ in range(HAND_WARMUP):
        run()
    times: list[float] = []
    while len(times) < LIMITS.min_samples or sum(times) < LIMITS.min_s:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def rounds(model: str, runtime: str, precision: str, threads: int, repeat: int) -> dict[str, Any]:
    """Both p50 of every round, in ms, and the precision that was read back."""
    import torch

    from advisor.measure.request import Request
    from advisor.measure.runtimes.interface import load
    from advisor.measure.workers import timing
    from advisor.measure.workers.build import build, images

    torch.set_num_threads(threads)
    built = build(model)
    example = images(built.facts, 1)
    request = Request(architecture=model, runtime=runtime, precision=precision)
    prepared = load(runtime).prepare(built.model, example, request, threads=threads, say=lambda _: None)
    hand = by_hand(built.model, example, runtime, precision, threads)
    takes: dict[str, Callable[[], float]] = {
        "ours": lambda: timing.latency(prepared, "cpu", limits=LIMITS).latency.p50,
        "by_hand": lambda: hand_p50_ms(hand),
    }
    found: dict[str, Any] = {"ours": [], "by_hand": [], "precision": prepared.precision_used}
    for number in range(repeat):
        for name in list(takes) if number % 2 else list(reversed(takes)):
            found[name].append(takes[name]())
    return found


def in_fresh_process(model: str, runtime: str, precision: str, threads: int, repeat: int) -> dict[str, Any]:
    """One row in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.runtimes", "--one", model, runtime, precision]
    command += ["--threads", str(threads), "--repeat", str(repeat)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # exporters may print before it
    return found


@click.command()
@click.option("--models", default=",".join(MODELS), show_default=True, help="Architectures, separated by commas.")
@click.option("--repeat", default=7, show_default=True, help="Rounds of each row.")
@click.option("--threads", default=None, type=int, help="Threads of both; all usable cores if not given.")
@click.option("--one", type=(str, str, str), hidden=True, default=None)
def main(models: str, repeat: int, threads: int | None, one: tuple[str, str, str] | None) -> None:
    """Print both figures, their ratio, its spread over the rounds, and how many are within 5 %."""
    threads = threads or usable_threads()
    if one:
        click.echo(json.dumps(rounds(*one, threads, repeat)))
        return
    table = Table(title=f"Latency of one image, ms, medians of {repeat} rounds in turn, {threads} threads")
    for head in ("network", "runtime", "precision", "ours", "min–max", "by hand", "min–max", "ratio", "of rounds"):
        table.add_column(head, justify="left" if head in ("network", "runtime", "precision") else "right")
    ratios: list[float] = []
    for model in models.split(","):
        for runtime, precision in SETUPS:
            found = in_fresh_process(model, runtime, precision, threads, repeat)
            ours, hand = found["ours"], found["by_hand"]
            each = sorted(a / b for a, b in zip(ours, hand, strict=True))
            ratios.append(statistics.median(each))
            asked = precision if found["precision"] == precision else f"{precision} ({found['precision']})"
            table.add_row(
                model, runtime, asked,
                f"{statistics.median(ours):.2f}", f"{min(ours):.2f}–{max(ours):.2f}",
                f"{statistics.median(hand):.2f}", f"{min(hand):.2f}–{max(hand):.2f}",
                f"{ratios[-1]:.3f}", f"{each[0]:.2f}–{each[-1]:.2f}",
            )  # fmt: skip
    console = Console(width=140)
    console.print(table)
    within = sum(abs(ratio - 1) <= WITHIN for ratio in ratios)
    console.print(
        f"Median ratio {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}; "
        f"{within} of {len(ratios)} within {WITHIN:.0%}."
    )


if __name__ == "__main__":
    main()
