"""The App Home on the sandbox's page: open questions are answered there, and the message follows."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    open_home,
    question,
    receipt_about,
    send_alert,
)
from wording import WORDING

pytest_plugins = ["page_fixtures"]


def test_an_open_question_is_answered_at_home_and_its_message_is_redrawn(page: Page, artefacts: Path) -> None:
    send_alert(page, summary="A gate was opened.", address="grace@example.com")
    question(page, "A gate was opened.")
    home = open_home(page, "Grace Hopper")
    summary = home.locator(".block", has_text="A gate was opened.")
    summary.wait_for()
    keep_pictures(page, artefacts, "home", summary, home.locator(".block-header").first)

    # Below the summary of a question stand its words, and below these its buttons.
    asked = summary.locator("xpath=following-sibling::*[1]")
    assert "Was this you?" in asked.inner_text()
    asked.locator("xpath=following-sibling::*[1]").locator("[data-action-id=answer-yes]").click()

    receipt_about(page, "grace@example.com", "acknowledged").wait_for()
    summary.wait_for(state="detached")
    page.locator("#tab-messages").click()
    message = question(page, "A gate was opened.")
    message.get_by_text(WORDING["answer"]["yes"]).wait_for()


def test_an_answer_in_a_message_changes_a_home_that_was_looked_at_before(page: Page) -> None:
    send_alert(page, summary="A roof was climbed.", address="katherine@example.com")
    question(page, "A roof was climbed.")
    home = open_home(page, "Katherine Johnson")
    home.locator(".block", has_text="A roof was climbed.").wait_for()
    page.locator("#tab-messages").click()

    button(question(page, "A roof was climbed."), "yes").click()
    receipt_about(page, "katherine@example.com", "acknowledged").wait_for()
    page.locator("#tab-home").click()

    home.locator(".block", has_text="A roof was climbed.").wait_for(state="detached")
    assert "you answered" in home.inner_text()


def test_the_home_answers_whether_the_message_is_real(page: Page) -> None:
    home = open_home(page, "Ada Lovelace")

    home.get_by_text(WORDING["home"]["real"]).wait_for()

    assert "never asks for a password" in home.inner_text()


def test_the_tabs_are_walked_with_the_arrow_keys(page: Page) -> None:
    look_at(page, "Ada Lovelace")
    page.locator("#tab-messages").focus()

    page.keyboard.press("ArrowRight")

    page.locator("#panel-home").wait_for()
    assert page.evaluate("document.activeElement.id") == "tab-home"
    assert page.locator("#panel-messages").is_hidden()


def test_nobody_looks_at_slack_with_an_account_that_is_closed(page: Page) -> None:
    look_at(page, "Charles Babbage")

    assert page.locator("#tabs").is_hidden()
