"""One server over the shipped data and one Chromium for all browser tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from advisor.evidence.store import Store
from tests.browser.server import CHROMIUM, CHROMIUM_OPTIONS, serving
from tests.conftest import ROOT

WIDE = {"width": 1440, "height": 900}


@pytest.fixture(scope="session")
def address(shipped: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The running app."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with serving(ROOT / "app.py", home=shipped.home, log=log) as url:
        yield url
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with contextlib.closing(chromium.new_context(viewport=WIDE, accept_downloads=True)) as opened:  # type: ignore[arg-type]
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails the test if the browser's console shows an error."""
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert not errors
