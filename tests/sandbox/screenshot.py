"""Takes the README's picture of the page: `python -m tests.sandbox.screenshot PATH`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

#: Who presses what, in this order; the last one is left to be seen in Slack.
ANSWERS = (("Ada Lovelace", "yes"), ("Katherine Johnson", "notSure"), ("Alan Turing", "no"))


def main(arguments: list[str]) -> int:
    """Start a sandbox, give three answers, and write the picture to the path given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tests.sandbox.screenshot PATH\n")
        return 2
    # Run with -m, a script has not on its path what a test run has.
    here = Path(__file__).parent
    sys.path[:0] = [str(here), str(here.with_name("support"))]
    import chromium
    from sandbox_process import SandboxProcess

    with (
        tempfile.TemporaryDirectory() as folder,
        SandboxProcess(Path(folder)) as sandbox,
        chromium.launch() as browser,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 860}, device_scale_factor=1.5)
        page.goto(sandbox.url)
        arrange(page)
        page.screenshot(path=arguments[0], animations="disabled")
    return 0


def arrange(page: Page) -> None:
    """Bring the page into a telling state: one question open, three answered, one body unfolded."""
    for name, choice in ANSWERS:
        page.locator("#people .person").filter(has_text=name).locator("input").check()
        page.locator(f"#messages [data-action-id=answer-{choice}]").click()
        if choice == "no":
            page.locator("#confirm-yes").click()
        page.locator("#messages .edited").wait_for()
    page.locator("#receipts .receipt").nth(len(ANSWERS) - 1).wait_for()
    page.locator("#receipts .status-acknowledged summary").click()
    page.mouse.move(0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
