"""A real Chromium for the tests of the page; where there is none, the tests say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser

#: Offline and quiet; without the sandbox, which needs rights that a container has not.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """Where Chromium is on this machine, if it is."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def require() -> None:
    """Skip the test where the page cannot be opened; in CI, where it must be, fail."""
    missing = _missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing}, and CI must run the tests of the page")
    if missing:
        pytest.skip(f"{missing}, so the page cannot be opened (apt-get install chromium)")


@contextmanager
def launch() -> Iterator[Browser]:
    """Run a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        yield browser
        browser.close()


def _missing() -> str | None:
    try:
        import playwright  # noqa: F401 -- whether it is there is the question
    except ImportError:
        return "playwright is not installed"
    return None if executable() else "there is no Chromium here"
