"""Reminder and deadline on the sandbox's page, by the alert that gives people thirty seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    question,
    receipt_about,
    receipts,
    send_sample,
)
from wording import WORDING

pytest_plugins = ["page_fixtures"]

SUMMARY = "Your password was changed just now"


@pytest.mark.slow
def test_the_unanswered_are_reminded_and_given_up_and_the_answered_are_left_alone(
    page: Page, artefacts: Path
) -> None:
    send_sample(page, "30 seconds to answer", address="grace@example.com")
    button(question(page, SUMMARY), "yes").click()
    send_sample(page, "30 seconds to answer", address="ada@example.com")
    asked = question(page, SUMMARY).first

    reminder = page.locator("#messages .message").filter(has=page.locator(".replied"))
    reminder.wait_for()
    keep_pictures(page, artefacts, "reminder", reminder.locator(".block-rich").first)
    reminder.get_by_text(WORDING["reminder"]["link"]).click()
    assert page.evaluate("document.activeElement.dataset.ts") == asked.get_attribute("data-ts")
    assert reminder.locator("button[data-action-id]").count() == 0

    late = receipts(page).filter(has_text="ada@example.com").filter(has_text="Nobody answered in time")
    late.wait_for()
    ended = asked.get_by_text("the security team will take it from here")
    ended.wait_for()
    keep_pictures(page, artefacts, "deadline", ended, late)
    assert button(asked, "yes").count() == 1

    button(asked, "yes").click()
    acknowledged = receipt_about(page, "ada@example.com", "acknowledged")
    acknowledged.wait_for()
    keep_pictures(page, artefacts, "late", asked.get_by_text("Understood"), acknowledged)
    acknowledged.locator("summary").click()
    assert '"sequence": 1' in acknowledged.locator("pre").inner_text()

    look_at(page, "Grace Hopper")
    question(page, SUMMARY)
    assert reminder.count() == 0


def test_whoever_sends_such_an_alert_is_told_what_to_wait_for(page: Page) -> None:
    page.get_by_label("30 seconds to answer").check()

    assert "sends a reminder after 10 seconds" in page.locator("#sample-hint").inner_text()
    page.get_by_label("Sensitive host").check()
    assert page.locator("#sample-hint").is_hidden()
