"""The app in Chromium, as a user meets it: open, change the budget, read, share, download."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.server import CHROMIUM, serving
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (Debian: apt install chromium)"),
]
_SLOW_MS = 60_000
_SLOWED_DOWN = 6  # times: what such a browser draws late, any may
_INSIDE = {"More limits": "Parameters at most", "Advanced": "Seconds for the probes"}  # of a box that opens


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("browser")
    with serving(ROOT / "app.py", home=folder / "home", log=folder / "server.log") as address:
        yield address
    assert "Traceback" not in (folder / "server.log").read_text(encoding="utf-8")


def answer(page: Page) -> str:
    """The sentence of the answer, once the chart stands."""
    page.wait_for_selector(".js-plotly-plot .xtick text", timeout=_SLOW_MS)
    return page.locator(".stMain h4").inner_text()


def test_a_page_opened_by_its_own_address_on_a_fresh_server(page: Page, url: str) -> None:
    page.goto(f"{url}/compare?view=recipes")  # the first visit of all, before any session came through app.py
    expect(page.get_by_role("heading", name="Compare")).to_be_visible(timeout=_SLOW_MS)
    expect(page.get_by_role("radio", name="Recipes of one architecture")).to_be_checked(timeout=_SLOW_MS)
    expect(page.get_by_role("link", name="Evidence")).to_be_visible()


def test_first_screen_answers_and_the_link_carries_the_question(page: Page, url: str) -> None:
    page.goto(url)
    assert re.search(r"Use .+ at \d+ px: [\d.]+% ImageNet top-1 in [\d.]+ ms on Core i7-12700H\.", answer(page))
    expect(page).to_have_url(re.compile(r"device=i7-12700h&max_latency_ms=20$"))


def test_change_budget_and_device_read_the_answer_and_share_it(page: Page, chromium: Browser, url: str) -> None:
    page.goto(url)
    first = answer(page)
    limit = page.get_by_label("ms", exact=True)
    limit.fill("8")
    limit.press("Enter")
    expect(page.locator(".stMain h4")).not_to_have_text(first)
    expect(page).to_have_url(re.compile("max_latency_ms=8"))
    second = answer(page)
    device = page.get_by_role("combobox", name=re.compile("Device"))
    device.click()
    device.fill("rtx-4090")
    page.get_by_role("option", name=re.compile("RTX 4090")).first.click()
    expect(page.locator(".stMain h4")).to_contain_text("img/s")
    third = answer(page)
    assert len({first, second, third}) == 3
    other = chromium.new_page()
    other.goto(page.url)
    assert answer(other) == third
    other.close()


def test_stepping_back_brings_the_earlier_question(page: Page, url: str) -> None:
    page.goto(url)
    first = answer(page)
    limit = page.get_by_label("ms", exact=True)
    limit.fill("6")
    limit.press("Enter")
    expect(page).to_have_url(re.compile("max_latency_ms=6"))
    page.goto(f"{url}/?device=i7-12700h&max_latency_ms=20")
    assert answer(page) == first


@pytest.mark.parametrize(
    ("path", "box", "link"),
    [
        ("", "More limits", "device=rtx-4090&families=RegNet&min_throughput=3000"),
        ("this_machine", "Advanced", "max_latency_ms=25&families=RegNet&confirm=2"),
    ],
)
def test_a_click_before_a_slow_browser_has_drawn_the_page_keeps_the_links_question(
    page: Page, url: str, path: str, box: str, link: str
) -> None:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": _SLOWED_DOWN})
    page.goto(f"{url}/{path}?{link}")
    page.get_by_text(box, exact=True).click(timeout=_SLOW_MS)
    expect(page.get_by_role("spinbutton", name=_INSIDE[box])).to_be_visible(timeout=_SLOW_MS)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=_SLOW_MS)
    expect(page.locator(".stMultiSelect")).to_contain_text("RegNet", timeout=_SLOW_MS)
    expect(page.get_by_text("Choose at least one family")).to_have_count(0)
    for part in link.split("&"):
        expect(page).to_have_url(re.compile(re.escape(part)))


def test_slider_moves_the_limit(page: Page, url: str) -> None:
    page.goto(url)
    answer(page)
    page.locator(".stSidebar input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("max_latency_ms=25"))
    expect(page.locator(".js-plotly-plot .annotation-text").first).to_have_text("≤ 25 ms")


def test_a_click_on_a_point_explains_it(page: Page, url: str) -> None:
    page.goto(url)
    answer(page)
    page.locator(".js-plotly-plot .scatterlayer .trace .point").first.click(force=True)
    expect(page.locator(".stAlert")).to_contain_text("is out", timeout=20_000)


def test_the_rows_behind_a_claim_are_one_click_away(page: Page, url: str) -> None:
    page.goto(url)
    answer(page)
    page.get_by_text("The rows behind these claims").click()
    expect(page.get_by_role("combobox", name="Claim")).to_be_visible(timeout=_SLOW_MS)
    expect(page.locator("[data-testid=stDataFrame]").first).to_be_visible(timeout=_SLOW_MS)


def test_the_table_can_be_downloaded(page: Page, url: str, tmp_path: Path) -> None:
    page.goto(url)
    answer(page)
    with page.expect_download(timeout=_SLOW_MS) as download:
        page.get_by_role("button", name=re.compile("rows")).click()
    target = tmp_path / "candidates.csv"
    download.value.save_as(target)
    table = pd.read_csv(target)
    assert len(table) > 1000
    assert {"weights", "accuracy", "latency_ms", "source_id", "evidence", "runtime"} <= set(table.columns)
    assert (table["evidence"] == "published").all()


def test_a_garbled_link_is_answered_with_a_sentence(page: Page, url: str) -> None:
    page.goto(f"{url}/?device=i7-12700h&max_latency_ms=%00abc&licence=%3Cb%3E")
    answer(page)
    expect(page.locator(".stAlert")).to_have_count(2)


@pytest.mark.parametrize("title", ["Explore", "Compare", "Evidence"])
def test_each_page_opens_from_the_navigation(page: Page, url: str, title: str) -> None:
    page.goto(url)
    answer(page)
    page.get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible(timeout=_SLOW_MS)
    page.wait_for_selector(".stDataFrame, .stTable", timeout=_SLOW_MS)
    expect(page.locator(".stException")).to_have_count(0)


@pytest.mark.parametrize("path", ["", "explore", "compare", "evidence"])
def test_nothing_is_wider_than_a_phone(chromium: Browser, url: str, path: str) -> None:
    phone = chromium.new_page(viewport={"width": 390, "height": 844})
    phone.goto(f"{url}/{path}")
    phone.wait_for_selector(".stMain h1", timeout=_SLOW_MS)
    phone.wait_for_selector(".js-plotly-plot, .stDataFrame, .stTable", timeout=_SLOW_MS)
    wide = phone.evaluate("document.querySelector('.stMain').scrollWidth")
    phone.close()
    assert wide <= 390
