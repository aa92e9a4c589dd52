"""A browser and a page in it, the same for every test file of this folder."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from tests.browser.server import CHROMIUM, CHROMIUM_OPTIONS


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its page showed: a machine that others test on cannot be looked at afterwards."""
    report = yield
    tab = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and tab is not None:
        try:
            shown = tab.locator("body").inner_text()
        except Error as exc:  # closed or crashed: the test's own failure is to be told all the same
            shown = str(exc)
        report.sections.append((f"The page {tab.url}", shown))
    return report


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page that must stay without errors; Streamlit's own probing for its base path is none of ours."""
    tab = chromium.new_page(viewport={"width": 1440, "height": 900})
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "/_stcore/" not in str(message.location.get("url")):
            errors.append(f"{message.text} ({message.location.get('url')})")

    tab.on("console", note)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert errors == []
