"""How long a user waits beyond the timing itself: to the first progress, to a first latency, per model of a sweep.

    python -m tests.benchmarks.overhead [--models NAME ...]

Through the queue and a store of its own, as page and command line do. Goals: first progress within 0.5 s of the
click; first latency of a small model within 8 s on 2 cores (with the measuring process warm, as the page makes it
on opening, and cold); overhead of a sweep beyond warming up and timing at most 3 s a model on average; one window of
the meter that watches for other load at most 5 ms.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click

from advisor import workflows_measure
from advisor.evidence.store import Store
from advisor.measure.job_state import JobState
from advisor.measure.load import LoadMeter
from advisor.measure.measuring import ROOF_STAGE
from advisor.measure.request import Request
from advisor.measure.run import Run
from tests.benchmarks.measuring import TWELVE
from tests.conftest import ROOT

_SMALL = "mobilenetv3_small_050"
_TIMED = ("warm up", "time", "timing")  # phases that are the measurement itself


def _once(store: Store, names: tuple[str, ...]) -> tuple[float, float, float, list[Run]]:
    """Seconds to the first progress, to the first latency on the screen and to the end, and the runs."""
    began = time.perf_counter()
    reached: dict[str, float] = {}

    def on_change(state: JobState) -> None:
        if state.now is not None:
            reached.setdefault("progress", time.perf_counter() - began)
        if state.run_ids or (state.now is not None and state.now.stage == ROOF_STAGE):
            reached.setdefault("latency", time.perf_counter() - began)

    found = workflows_measure.measure(
        store, [Request(architecture=name) for name in names], title="benchmark", on_change=on_change
    )
    return reached["progress"], reached["latency"], time.perf_counter() - began, list(found.runs)


def _window_ms(times: int = 50) -> float:
    """Median CPU time of the load meter from start to stop."""
    watch, spent = LoadMeter(), []
    for _ in range(times):
        began = time.process_time()
        watch.start()
        watch.stop()
        spent.append(1000 * (time.process_time() - began))
    return statistics.median(spent)


@click.command()
@click.option("--models", multiple=True, default=TWELVE)
def main(models: tuple[str, ...]) -> None:
    """Print the waits."""
    print(f"one window of the load meter: {_window_ms():.2f} ms of CPU time (goal 5)")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), ROOT / "data")
        store.ensure()
        for what in ("cold", "warm", "warm", "warm"):
            first, latency, whole, _ = _once(store, (_SMALL,))
            print(
                f"{what}: first progress {first:.2f} s (goal 0.5), first latency of {_SMALL} {latency:.1f} s (goal 8), "
                f"complete with its roof {whole:.1f} s"
            )
        *_, whole, runs = _once(store, models)
        timed = [sum(s for phase, s in one.measured.seconds.items() if phase in _TIMED) for one in runs if one.measured]
        phases = {
            phase: statistics.mean(one.measured.seconds.get(phase, 0.0) for one in runs if one.measured)
            for one in runs[:1] if one.measured for phase in one.measured.seconds
        }  # fmt: skip
        print(
            f"sweep of {len(runs)}: {whole:.1f} s, of which {sum(timed):.1f} s warming up and timing; overhead "
            f"{(whole - sum(timed)) / len(runs):.2f} s a model (goal 3)"
        )
        print("mean by phase: " + ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in phases.items()))
        workflows_measure.jobs(store).close()


if __name__ == "__main__":
    main()
