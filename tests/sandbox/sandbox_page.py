"""The sandbox's page as a test uses it: what one does there, and where one finds what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from playwright.sync_api import Locator, Page

#: As WCAG 2.2 asks for text of ordinary size (1.4.3).
LEAST_CONTRAST: Final = 4.5

#: The contrast of an element's text with whatever colour lies behind it.
CONTRAST: Final = """element => {
  const parse = (words) => words.match(/[\\d.]+/g).map(Number);
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  let behind = element;
  while (behind.parentElement && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 1) {
    behind = behind.parentElement;
  }
  const ink = light(parse(getComputedStyle(element).color));
  const paper = light(parse(getComputedStyle(behind).backgroundColor));
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""


def send_alert(page: Page, *, summary: str, address: str, confidence: str = "moderate") -> None:
    page.get_by_label("Write my own").check()
    page.get_by_label("Alert label").fill("sandbox_test")
    page.get_by_label("Summary").fill(summary)
    if page.locator(f"#alert-person option[value='{address}']").count():
        page.locator("#alert-person").select_option(address)
    else:
        page.locator("#alert-person").select_option("other")
        page.get_by_label("E-mail address").fill(address)
    page.get_by_role("radio", name=confidence, exact=True).check()
    page.locator("#send").click()


def question(page: Page, summary: str) -> Locator:
    """The message that asks about that summary."""
    message = page.locator("#messages .message").filter(has_text=summary).last
    message.wait_for()
    return message


def button(message: Locator, choice: str) -> Locator:
    return message.locator(f"[data-action-id=answer-{choice}]")


def receipts(page: Page) -> Locator:
    return page.locator("#receipts .receipt")


def receipt_about(page: Page, address: str, status: str) -> Locator:
    return receipts(page).filter(has_text=address).filter(has=page.locator(".chip", has_text=status)).first


def send_sample(page: Page, title: str, *, address: str) -> None:
    """Send one of the ready alerts about somebody."""
    page.get_by_label(title).check()
    page.locator("#alert-person").select_option(address)
    page.locator("#send").click()


def look_at(page: Page, name: str) -> None:
    """Look at a person's Slack, or at a channel."""
    page.locator("label.person").filter(has_text=name).locator("input").check()


def open_home(page: Page, name: str) -> Locator:
    """Look at a person's App Home."""
    look_at(page, name)
    page.locator("#tab-home").click()
    return page.locator("#home")


def modal(page: Page) -> Locator:
    """The form that is open."""
    return page.locator("#modal[open]")


def keep_pictures(page: Page, folder: Path, name: str, *read: Locator) -> None:
    """Take a picture in either colour scheme; its text must stand out from its background."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        page.screenshot(path=folder / f"{name}-{scheme}.png", animations="disabled")
        for text in read:
            assert text.evaluate(CONTRAST) >= LEAST_CONTRAST, f"{text} in the {scheme} scheme"
