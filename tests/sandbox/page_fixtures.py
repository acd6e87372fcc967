"""A real Chromium, and the sandbox's page in it. Whatever the browser complains of fails the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from playwright.sync_api import Browser, Page, expect
from sandbox_process import SandboxProcess
from world import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium.require()
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with chromium.launch() as browser:
        yield browser


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    chromium.require()
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def page(browser: Browser, sandbox: SandboxProcess) -> Iterator[Page]:
    """The page, ready. Whatever the browser complains of, an error or a refused script, fails the test."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(sandbox.url)
    page.locator("body[data-ready=true]").wait_for()
    yield page
    page.close()
    assert complaints == []


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """The folder for pictures: TEST_ARTEFACTS, if set."""
    folder = Path(os.environ.get("TEST_ARTEFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
