"""Measuring a real network in Chromium: click, watch, cancel, complete, find it after a restart, get advice from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.server import CHROMIUM, serving
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timm,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (Debian: apt install chromium)"),
]
_SLOW_MS = 120_000  # other work may share the machine
_NETWORK = "mobilenetv3_small_050"


def _open(page: Page, url: str, *, part: str = "result") -> None:
    page.goto(f"{url}/measure?measure={_NETWORK}&part={part}")
    expect(page.get_by_role("heading", name="Measure", exact=True)).to_be_visible(timeout=_SLOW_MS)
    expect(page.get_by_role("button", name="Measure on this machine")).to_be_enabled(timeout=_SLOW_MS)


def _choose_eager(page: Page) -> None:
    page.get_by_role("combobox", name="Runtime").click()
    page.get_by_role("option", name="pytorch-eager").click()
    expect(page.get_by_text(re.compile(r"about .+ for 1 setup"))).to_be_visible(timeout=_SLOW_MS)


def _measure(page: Page) -> None:
    page.get_by_role("button", name="Measure on this machine").click()
    expect(page.locator(".st-key-jobs .stProgress")).to_contain_text(f"{_NETWORK}, pytorch-eager fp32")


def _nothing_is_wider(chromium: Browser, url: str) -> None:
    phone = chromium.new_page(viewport={"width": 390, "height": 844})
    _open(phone, url)
    phone.wait_for_selector(".js-plotly-plot", timeout=_SLOW_MS)
    wide = phone.evaluate("document.querySelector('.stMain').scrollWidth")
    phone.close()
    assert wide <= 390


def test_measure_cancel_complete_and_be_advised_after_a_restart(page: Page, chromium: Browser, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    jobs = page.locator(".st-key-jobs")
    with serving(ROOT / "app.py", home=tmp_path / "home", log=log) as url:
        _open(page, url)
        expect(page.get_by_text("Nothing has been measured on this machine yet")).to_be_visible()
        _choose_eager(page)
        _measure(page)
        jobs.get_by_role("button", name="Cancel").click()
        expect(jobs).to_contain_text("cancelled", timeout=_SLOW_MS)

        _measure(page)
        expect(jobs.locator(".stProgress")).to_contain_text(re.compile(r"building|warming up|timing"), timeout=_SLOW_MS)
        expect(jobs).to_contain_text("done: 1 of 1 measured", timeout=_SLOW_MS)
        expect(page.locator(".stMain h4")).to_contain_text(f"{_NETWORK} at 224 px, batch 1")
        expect(page.locator(".figures").first).to_contain_text("Latency p50 (95 % interval)")
        page.wait_for_selector(".js-plotly-plot .xtick text", timeout=_SLOW_MS)
        for tab in ("Why this fast", "Against published", "Environment"):
            page.get_by_role("tab", name=tab).click()
            page.wait_for_selector(".js-plotly-plot, .stDataFrame", timeout=_SLOW_MS)
        _nothing_is_wider(chromium, url)
        page.goto("about:blank")  # a page whose server ends complains
    assert "Traceback" not in log.read_text(encoding="utf-8")

    with serving(ROOT / "app.py", home=tmp_path / "home", log=log) as url:
        _open(page, url, part="history")
        expect(page.get_by_text("2 of 2 runs.")).to_be_visible(timeout=_SLOW_MS)
        expect(page.locator(".stDataFrame canvas td", has_text=_NETWORK)).to_have_count(2)
        page.get_by_role("radio", name="Result").click()
        page.get_by_role("button", name="Use in the advisor").click()
        expect(page.locator(".stMain h4")).to_contain_text(f"Use {_NETWORK}", timeout=_SLOW_MS)
        expect(page.locator(".stMain")).to_contain_text("Measured by you with this advisor")
        page.goto("about:blank")
    assert "Traceback" not in log.read_text(encoding="utf-8")
