"""Whether the page that watches a measurement disturbs it, and whether the app stays quick while one runs.

    python -m tests.benchmarks.polling [--rounds 5]

The app runs with the benchmark's store; measurements alternate between no page open and the Measure page open in
Chromium, watching. Goals: p50 with the page within 3 % of p50 without; a click on another page answers within 1 s.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click
from playwright.sync_api import Page, sync_playwright

from advisor import workflows_measure
from advisor.evidence.store import Store
from advisor.measure.request import Request
from advisor.measure.run import Run
from tests.browser.server import CHROMIUM, CHROMIUM_OPTIONS, serving
from tests.conftest import ROOT

_NAME = "regnety_016"
_PAGES = ("Evidence", "Explore", "Recommend", "Compare")


def _measured(store: Store) -> Run:
    request = Request(architecture=_NAME)
    return workflows_measure.measure(store, [request], title="benchmark", on_change=lambda _state: None).runs[0]


def _clicks(page: Page, store: Store) -> list[float]:
    """Seconds from a click on another page to its title, while a measurement runs."""
    request = Request(architecture="resnest50d", extras=("throughput",))
    job_id = workflows_measure.submit(store, [request], title="benchmark")
    found = []
    for title in _PAGES:
        began = time.perf_counter()
        page.get_by_role("link", name=title).first.click()
        page.get_by_role("heading", name=title, exact=True).wait_for()
        found.append(time.perf_counter() - began)
    state = workflows_measure.jobs(store).state(job_id)
    assert state.status == "running", f"the measurement was {state.status} before the clicks were over"
    workflows_measure.jobs(store).cancel(job_id)
    workflows_measure.jobs(store).wait(job_id)
    return found


@click.command()
@click.option("--rounds", default=5, show_default=True)
def main(rounds: int) -> None:
    """Print the ratio of p50s and the times of clicks."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        store = Store(home, ROOT / "data")
        store.ensure()
        with serving(ROOT / "app.py", home=home, log=Path(folder) / "log") as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_OPTIONS))
            watched, alone = [], []
            for i in range(rounds + 1):
                page = browser.new_page()
                page.goto(f"{url}/measure")
                page.get_by_role("heading", name="Measure", exact=True).wait_for()
                page.wait_for_timeout(3000)  # drawn, so that only watching is left
                first = _measured(store).measured
                page.close()
                second = _measured(store).measured
                assert first is not None and second is not None
                if i:  # the first round warms everything
                    watched.append(first.latency.p50)
                    alone.append(second.latency.p50)
            page = browser.new_page()
            page.goto(f"{url}/measure")
            page.get_by_role("heading", name="Measure", exact=True).wait_for()
            clicks = _clicks(page, store)
            browser.close()
        workflows_measure.jobs(store).close()
    ratios = [a / b for a, b in zip(watched, alone, strict=True)]
    print(f"{_NAME}: p50 watched {statistics.median(watched):.2f} ms, alone {statistics.median(alone):.2f} ms")
    print(
        f"watched over alone: median {statistics.median(ratios):.3f} of {rounds} (goal within 3 %), "
        f"from {min(ratios):.3f} to {max(ratios):.3f}"
    )
    shown = ", ".join(f"{title} {seconds:.2f} s" for title, seconds in zip(_PAGES, clicks, strict=True))
    print(f"click on another page while measuring: {shown} (goal 1 s)")


if __name__ == "__main__":
    main()
