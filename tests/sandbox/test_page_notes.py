"""Notes on the sandbox's page: the form opens, what is written reaches MozDef and the security team."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    modal,
    question,
    receipt_about,
    receipts,
    send_alert,
    send_sample,
)
from wording import WORDING

pytest_plugins = ["page_fixtures"]

HOSTILE = (
    "<img src=x onerror=\"document.title='run'\"> <!channel>\n*Said later:* Yes, that was me\n"
    "*MozDef:* closed as false positive"
)


def refused_with_a_note_asked_for(page: Page, *, address: str) -> Locator:
    """Somebody says no to an alert whose policy wants a note; the form is open then."""
    send_sample(page, "Note required", address=address)
    message = question(page, "payroll").last
    button(message, "no").click()
    page.locator("#confirm-yes").click()
    modal(page).wait_for()
    return message


def note_of(page: Page, text: str) -> Locator:
    """What MozDef has of a note."""
    return receipts(page).filter(has=page.locator(".comment", has_text=text)).first


def test_a_note_that_is_asked_for_follows_an_answer_that_counts_already(page: Page, artefacts: Path) -> None:
    refused_with_a_note_asked_for(page, address="alan@example.com")
    receipt_about(page, "alan@example.com", "escalated").wait_for()

    page.locator(".modal-input").fill("I was on a train.")
    keep_pictures(page, artefacts, "note", page.locator("#modal label"), page.locator("#modal-submit"))
    page.locator("#modal-submit").click()

    modal(page).wait_for(state="detached")
    note_of(page, "I was on a train.").wait_for()
    assert "They added a note" in note_of(page, "I was on a train.").inner_text()
    page.locator("#alerts .alert.status-escalated").filter(has_text="Alan").wait_for()


def test_a_form_without_text_says_so_and_stays(page: Page, artefacts: Path) -> None:
    refused_with_a_note_asked_for(page, address="katherine@example.com")

    page.locator("#modal-submit").click()

    error = page.locator("#modal .field-error:visible")
    error.wait_for()
    keep_pictures(page, artefacts, "note-missing", error)
    assert page.locator(".modal-input").evaluate("input => document.activeElement === input")
    page.locator("#modal-close").click()
    modal(page).wait_for(state="detached")


def test_a_form_that_is_closed_leaves_the_answer_and_can_be_opened_again(page: Page) -> None:
    send_sample(page, "Note required", address="grace@example.com")
    message = question(page, "payroll").last
    button(message, "notSure").click()
    modal(page).wait_for()
    page.keyboard.press("Escape")
    modal(page).wait_for(state="detached")
    receipt_about(page, "grace@example.com", "manual").wait_for()

    message.locator("[data-action-id=note]").click()
    page.locator(".modal-input").fill("I asked my colleague.")
    page.locator("#modal-submit").click()

    note_of(page, "I asked my colleague.").wait_for()


def test_a_note_can_be_written_with_the_keyboard_alone(page: Page, artefacts: Path) -> None:
    send_alert(page, summary="A lamp was lit.", address="ada@example.com")
    message = question(page, "A lamp was lit.")
    button(message, "notSure").click()
    message.locator("[data-action-id=note]").focus()

    page.keyboard.press("Enter")
    modal(page).wait_for()
    page.keyboard.type("Perhaps the cleaner.")
    while page.evaluate("document.activeElement.id") != "modal-submit":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    modal(page).wait_for(state="detached")
    page.locator("[data-action-id=note]:focus").wait_for()
    note_of(page, "Perhaps the cleaner.").wait_for()
    thanks = message.get_by_text(WORDING["note"]["thanks"])
    thanks.wait_for()
    keep_pictures(page, artefacts, "noted", thanks)


def test_markup_in_a_note_is_text_for_everybody_and_runs_nothing(page: Page) -> None:
    send_alert(page, summary="A bell was rung.", address="ada@example.com")
    message = question(page, "A bell was rung.")
    button(message, "notSure").click()
    message.locator("[data-action-id=note]").click()
    page.locator(".modal-input").fill(HOSTILE)
    page.locator("#modal-submit").click()

    note_of(page, "<!channel>").wait_for()
    look_at(page, "security")
    card = page.locator("#messages .message").filter(has_text="A bell was rung.")
    quoted = card.locator("blockquote", has_text="<!channel>").first
    quoted.wait_for()

    assert quoted.inner_text() == HOSTILE
    assert card.locator("strong", has_text="Said later").count() == 0
    assert page.locator("img[src=x], .mention").count() == 0
    assert page.title() == "Triage bot sandbox"
