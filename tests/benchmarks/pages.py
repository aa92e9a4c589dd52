"""How long Recommend takes to its drawn answer, beside a bare page with one chart of as many points (SVG and WebGL).

    python -m tests.benchmarks.pages [loads]

One run, one Chromium, both servers up and warm; loads alternate between the two pages, each in a fresh browser
context (cold cache), so that a busy machine slows both alike. Goals: opening at most 1.5 times the bare page;
a changed slider redrawn in at most 400 ms (median).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from advisor import views
from advisor.evidence.store import Store
from advisor.links import FIRST_QUESTION
from tests.browser.server import CHROMIUM, CHROMIUM_OPTIONS, serving

ROOT = Path(__file__).parent.parent.parent
_SLIDER_MOVES = 20
_BARE = """
import numpy as np, plotly.graph_objects as go, streamlit as st
st.set_page_config(layout="wide")
rng = np.random.default_rng(0)
figure = go.Figure(go.{trace}(x=10 ** rng.uniform(0, 4, {n}), y=rng.uniform(60, 90, {n}), mode="markers"))
figure.update_xaxes(type="log")
st.plotly_chart(figure)
"""
_DRAWN = "() => document.querySelector('.js-plotly-plot .xtick text')"
_ANSWERED = "() => document.querySelector('.stMain h4') && document.querySelector('.js-plotly-plot .annotation')"
_LIMIT = "(old) => { const note = document.querySelector('.annotation-text'); return note && note.textContent !== old }"


def main(loads: int) -> None:
    """Print the table of medians and spreads."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        store = Store(home, ROOT / "data")
        store.ensure()
        n_points = len(views.landscape(store, FIRST_QUESTION))
        svg, webgl = Path(folder) / "svg.py", Path(folder) / "webgl.py"
        svg.write_text(_BARE.format(n=n_points, trace="Scatter"), encoding="utf-8")
        webgl.write_text(_BARE.format(n=n_points, trace="Scattergl"), encoding="utf-8")
        with (
            serving(ROOT / "app.py", home=home, log=Path(folder) / "app.log") as app_url,
            serving(svg, home=home, log=Path(folder) / "svg.log") as svg_url,
            serving(webgl, home=home, log=Path(folder) / "webgl.log") as webgl_url,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_OPTIONS))
            pages = {
                "Recommend": (app_url, (_DRAWN, _ANSWERED)),
                "bare page, SVG": (svg_url, (_DRAWN,)),
                "bare page, WebGL": (webgl_url, (_DRAWN,)),
            }
            opened: dict[str, list[float]] = {name: [] for name in pages}
            for i in range(loads + 1):
                for name, (url, conditions) in pages.items():
                    seconds = _open(browser, url, conditions)
                    if i:  # the first load warms the server
                        opened[name].append(seconds * 1000)
            moved = _move_slider(browser, app_url)
            browser.close()
    print(f"{n_points:,} points, {loads} loads each, ms")
    for name, times in [*opened.items(), ("slider to redrawn", moved)]:
        low, middle, high = statistics.quantiles(times, n=4)
        print(f"{name:18s} median {middle:7.0f}   quartiles {low:7.0f} to {high:7.0f}   worst {max(times):7.0f}")
    ratio = statistics.median(opened["Recommend"]) / min(
        statistics.median(opened[name]) for name in pages if "bare" in name
    )
    print(f"Recommend / faster bare page  {ratio:.2f}  (goal: at most 1.5)")
    print(f"slider median      {statistics.median(moved):.0f} ms  (goal: at most 400)")


def _open(browser: Browser, url: str, conditions: tuple[str, ...]) -> float:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    for condition in conditions:
        page.wait_for_function(condition, timeout=60_000)
    seconds = time.perf_counter() - start
    context.close()
    return seconds


def _move_slider(browser: Browser, url: str) -> list[float]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    for condition in (_DRAWN, _ANSWERED):
        page.wait_for_function(condition, timeout=60_000)
    page.wait_for_load_state("networkidle")
    page.locator(".stSidebar input[type=range]").focus()
    return [_one_move(page, key) for key in ["ArrowRight"] * _SLIDER_MOVES]


def _one_move(page: Page, key: str) -> float:
    """From the key to the chart with the new limit, in ms; each goes to a limit not asked for before."""
    old = page.locator(".annotation-text").first.text_content()
    start = time.perf_counter()
    page.keyboard.press(key)
    page.wait_for_function(_LIMIT, arg=old, timeout=20_000)
    spent = (time.perf_counter() - start) * 1000
    page.wait_for_timeout(400)
    return spent


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
