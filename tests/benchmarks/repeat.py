"""How far repeated measurements are apart, and whether a deliberate load on another core is noticed.

    python -m tests.benchmarks.repeat [--times 5] [--models NAME ...]

Through the queue and a store of its own, so that a verdict is what a user reads in the end: a run that a later one
of the same setup outran by more than 5 % is noisy. Goals: the spread (max/min - 1) of the p50s that are marked steady
is at most 5 %; with one process keeping a core busy, results are marked noisy.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from advisor import workflows_measure
from advisor.evidence.store import Store
from advisor.measure.request import Request
from advisor.measure.run import Run
from tests.conftest import ROOT

_MODELS = ("mobilenetv3_small_050", "mobilenetv3_large_100", "efficientnet_b0", "regnety_016", "resnest26d")
_BUSY = "while True: pass"


def _runs(store: Store, name: str, times: int) -> list[Run]:
    """So many runs, with the verdicts that they have once all of them are known."""
    made = [
        workflows_measure.measure(
            store, [Request(architecture=name)], title="benchmark", on_change=lambda _state: None
        ).runs[0]
        for _ in range(times)
    ]  # fmt: skip
    return [workflows_measure.run(store, one.run_id) for one in made]


def _p50(one: Run) -> float:
    assert one.measured is not None, one.reason
    return one.measured.latency.p50


@click.command()
@click.option("--times", default=5, show_default=True)
@click.option("--models", multiple=True, default=_MODELS)
def main(times: int, models: tuple[str, ...]) -> None:
    """Print the spread of each network and what a load does to its verdict."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), ROOT / "data")
        store.ensure()
        for name in models:
            found = _runs(store, name, times)
            everything = [_p50(one) for one in found]
            steady = [_p50(one) for one in found if one.verdict == "steady"]
            spread = f"{max(steady) / min(steady) - 1:.1%}" if steady else "-"
            print(
                f"{name:24s} {len(steady)} of {times} steady, spread of those {spread} (goal 5 %), of all "
                f"{max(everything) / min(everything) - 1:.1%}; p50 {min(everything):.2f}-{max(everything):.2f} ms",
                flush=True,
            )
            for one in found:
                if one.verdict == "noisy":
                    print(f"    noisy: {' '.join(one.verdict_reasons)}")
        print("with one busy process beside it:")
        with subprocess.Popen([sys.executable, "-c", _BUSY]) as load:
            try:
                for name in models:
                    (one,) = _runs(store, name, 1)
                    print(f"{name:24s} {one.verdict}: p50 {_p50(one):.2f} ms. {' '.join(one.verdict_reasons)}")
            finally:
                load.kill()
        workflows_measure.jobs(store).close()


if __name__ == "__main__":
    main()
