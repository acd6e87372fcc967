"""The sandbox's page: a burst of alerts for one person, its line, its card, and *Take all*."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sandbox_page import button, keep_pictures, look_at, question, send_sample
from wording import fixed_words

from bot.settings.messages import load_messages

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.slow

WORDS = load_messages()["burst"]


def test_a_burst_asks_three_at_a_time_and_the_team_takes_all_of_it(page: Page, artefacts: Path) -> None:
    send_sample(page, "A burst of eight", address="katherine@example.com")
    look_at(page, "Katherine Johnson")
    question(page, "the password was wrong")
    line = page.locator("#messages .message").filter(has_text="More questions are waiting")
    line.wait_for()
    asked = page.locator("#messages [data-action-id=answer-yes]")
    expect(asked).to_have_count(3)
    keep_pictures(page, artefacts, "burst-of-the-person", line.locator(".block-rich").first)

    button(question(page, "the password was wrong"), "no").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#messages .edited")).to_have_count(1)

    look_at(page, "security")
    card = page.locator("#messages .message").filter(has_text="alerts in a burst").last
    expect(card).to_contain_text(WORDS["denied"])
    card.locator("[data-action-id=take-all]").click()
    expect(card).to_contain_text("Taken by")
    expect(card).to_contain_text("sandbox_burst")
    keep_pictures(page, artefacts, "burst-card", card.locator(".block-rich").first)
    assert fixed_words(WORDS["rest"])
