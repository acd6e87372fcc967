"""What the sandbox's page shows of a changed mind, and of an alert that has words of its own."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    question,
    receipt_about,
    receipts,
    send_alert,
    send_sample,
)

pytest_plugins = ["page_fixtures"]


def test_no_and_then_yes_stays_escalated_and_is_told_kindly(page: Page, artefacts: Path) -> None:
    send_alert(page, summary="A drawer was emptied.", address="katherine@example.com")
    message = question(page, "A drawer was emptied.")
    button(message, "no").click()
    keep_pictures(page, artefacts, "confirm", page.locator("#confirm-text"), page.locator("#confirm-yes"))
    page.locator("#confirm-yes").click()
    message.get_by_text("The security team has been alerted").wait_for()

    button(message, "yes").click()

    told = message.get_by_text("the security team will still get in touch")
    told.wait_for()
    keep_pictures(page, artefacts, "taken-back", told)
    retraction = (
        receipts(page).filter(has_text="katherine@example.com").filter(has_text="They changed their mind")
    )
    retraction.first.wait_for()
    receipt_about(page, "katherine@example.com", "escalated").wait_for()
    assert "What counts: It was not them" in retraction.first.inner_text()
    page.locator("#alerts .alert.status-escalated").filter(has_text="Katherine").first.wait_for()
    assert receipt_about(page, "katherine@example.com", "acknowledged").count() == 0
    assert message.locator("[data-action-id=note]").count() == 1


def test_a_kind_of_alert_has_its_own_title_question_and_buttons(page: Page, artefacts: Path) -> None:
    send_sample(page, "Sensitive host", address="grace@example.com")
    message = question(page, "A terminal session was opened").last

    asked = message.get_by_text("Did you open this session?")
    asked.wait_for()
    assert button(message, "yes").inner_text() == "Yes, I opened it"
    keep_pictures(page, artefacts, "own-words", asked, button(message, "yes"), button(message, "no"))
    button(message, "notSure").click()

    look_at(page, "security")
    card = page.locator("#messages .message").filter(has_text="Session on a sensitive server")
    card.filter(has_text="@grace").first.wait_for()
