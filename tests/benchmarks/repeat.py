"""How far repeated measurements are apart, and whether a deliberate load on another core is noticed.

    python -m tests.benchmarks.repeat [--times 5] [--models NAME ...]

Goals: the spread (max/min - 1) of the p50s that are marked steady is at most 5 %; with one process keeping a core
busy, results are marked noisy.
"""

from __future__ import annotations

import subprocess
import sys

import click

from advisor.measure.host import Host
from advisor.measure.machine import usable_threads
from advisor.measure.run import Measured
from advisor.measure.verdict import verdict
from tests.benchmarks.measuring import measured

_MODELS = ("mobilenetv3_small_050", "mobilenetv3_large_100", "efficientnet_b0", "regnety_016", "resnest26d")
_BUSY = "while True: pass"


def _judged(found: Measured) -> tuple[str, str]:
    steadiness, reasons = verdict(found, usable_cores=usable_threads())
    return steadiness, " ".join(reasons)


@click.command()
@click.option("--times", default=5, show_default=True)
@click.option("--models", multiple=True, default=_MODELS)
def main(times: int, models: tuple[str, ...]) -> None:
    """Print the spread of each network and what a load does to its verdict."""
    host = Host()
    try:
        for name in models:
            found = [measured(host, name) for _ in range(times)]
            steady = [one.latency.p50 for one in found if _judged(one)[0] == "steady"]
            everything = [one.latency.p50 for one in found]
            spread = f"{max(steady) / min(steady) - 1:.1%}" if steady else "-"
            print(
                f"{name:24s} {len(steady)} of {times} steady, spread of those {spread} (goal 5 %), of all "
                f"{max(everything) / min(everything) - 1:.1%}; p50 {min(everything):.2f}-{max(everything):.2f} ms",
                flush=True,
            )
            for one in found:
                if _judged(one)[0] == "noisy":
                    print(f"    noisy: {_judged(one)[1]}")
        print("with one busy process beside it:")
        with subprocess.Popen([sys.executable, "-c", _BUSY]) as load:
            try:
                for name in models:
                    one = measured(host, name)
                    print(f"{name:24s} {_judged(one)[0]}: p50 {one.latency.p50:.2f} ms. {_judged(one)[1]}", flush=True)
            finally:
                load.kill()
    finally:
        host.close()


if __name__ == "__main__":
    main()
