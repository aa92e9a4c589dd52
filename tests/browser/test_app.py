"""The app as a user drives it, in Debian's Chromium; expected answers come from the workflows, not from the page."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from advisor import workflows
from advisor.evidence.store import Store
from advisor.records import Question

pytestmark = pytest.mark.browser

ANSWER = ".stMain h4"
CHART = ".js-plotly-plot .xtick text"
PATIENCE_MS = 30_000


@pytest.fixture(autouse=True)
def patience(context: BrowserContext) -> None:
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)


def pick(store: Store, question: Question) -> str:
    answer = workflows.recommend(store, question)
    assert answer.pick is not None
    return answer.pick.weights


def test_first_screen_answers(page: Page, address: str, shipped: Store) -> None:
    page.goto(address)
    expect(page.locator(ANSWER)).to_contain_text(pick(shipped, Question("i7-12700h", max_latency_ms=20)))
    expect(page.locator(CHART).first).to_be_visible()
    assert "published" in page.locator(".stMain").inner_text()


def test_changed_budget_and_device_change_the_answer_and_the_link(page: Page, address: str, shipped: Store) -> None:
    page.goto(address)
    expect(page.locator(CHART).first).to_be_visible()
    limit = page.get_by_role("spinbutton").first
    limit.fill("9")
    limit.press("Enter")
    expect(page.locator(ANSWER)).to_contain_text(pick(shipped, Question("i7-12700h", max_latency_ms=9)))
    device = page.get_by_role("combobox").first
    device.click()
    device.fill("i9-10940x")
    page.get_by_role("option").first.click()
    expect(page.locator(ANSWER)).to_contain_text("Core i9-10940X")
    expect(page.locator(ANSWER)).to_contain_text(pick(shipped, Question("i9-10940x", max_latency_ms=9)))
    assert "device=i9-10940x" in page.url
    assert "max_latency_ms=9" in page.url


def test_shared_link_gives_the_same_answer(page: Page, context: BrowserContext, address: str, shipped: Store) -> None:
    link = f"{address}/?device=i7-12700h&max_latency_ms=50&families=all&licence=commercial&max_params_m=30"
    page.goto(link)
    asked = Question("i7-12700h", max_latency_ms=50, families=("all",), licence="commercial", max_params_m=30)
    expect(page.locator(ANSWER)).to_contain_text(pick(shipped, asked))
    expect(page.locator(CHART).first).to_be_visible()
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(ANSWER)).to_have_text(page.locator(ANSWER).inner_text())


def test_table_downloads_as_csv_with_every_candidate(page: Page, address: str, shipped: Store, tmp_path: Path) -> None:
    page.goto(address)
    expect(page.locator(CHART).first).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name=re.compile("Download .* rows")).click()
    target = tmp_path / "table.csv"
    started.value.save_as(target)
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == workflows.recommend(shipped, Question("i7-12700h", max_latency_ms=20)).considered


@pytest.mark.parametrize("title", ["Explore", "Compare", "Evidence"])
def test_other_pages_open_from_the_navigation_without_console_errors(page: Page, address: str, title: str) -> None:
    page.goto(address)
    expect(page.locator(CHART).first).to_be_visible()
    page.get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.locator("[data-testid=stException], [data-testid=stAlert]").count() == 0
