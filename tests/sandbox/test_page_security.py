"""The security team's channel on the sandbox's page: cards, their threads, and who takes them."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    question,
    receipt_about,
    send_alert,
)
from wording import WORDING

pytest_plugins = ["page_fixtures"]


def answer(page: Page, *, summary: str, choice: str, address: str = "alan@example.com") -> None:
    send_alert(page, summary=summary, address=address)
    button(question(page, summary), choice).click()
    if page.locator("#confirm[open]").count():
        page.locator("#confirm-yes").click()


def card(page: Page, summary: str) -> Locator:
    """The card about that alert, in the security team's channel."""
    look_at(page, "security")
    return page.locator("#messages .message").filter(has_text=summary)


def test_a_no_is_a_card_that_an_analyst_takes(page: Page, artefacts: Path) -> None:
    answer(page, summary="A safe was opened.", choice="no")
    found = card(page, "A safe was opened.")
    found.wait_for()
    page.locator("#analyst").select_option("Dorothy Denning")

    found.locator("[data-action-id=take-it]").click()

    found.get_by_text("Taken by").wait_for()
    reply = found.locator(".reply").filter(has_text="takes it")
    reply.wait_for()
    assert "@dorothy" in reply.inner_text()
    assert found.locator("[data-action-id=take-it]").count() == 0
    keep_pictures(page, artefacts, "security", found.locator(".block-rich").first, reply)


def test_each_event_is_a_line_in_the_cards_thread_in_the_order_of_the_events(
    page: Page, artefacts: Path
) -> None:
    answer(page, summary="A shelf was moved.", choice="notSure")
    found = card(page, "A shelf was moved.")
    found.locator("[data-action-id=take-it]").click()
    found.get_by_text("Taken by").wait_for()
    look_at(page, "Alan Turing")
    message = question(page, "A shelf was moved.")
    message.locator("[data-action-id=note]").click()
    page.locator(".modal-input").fill("Perhaps the movers.")
    page.locator("#modal-submit").click()
    button(message, "no").click()
    page.locator("#confirm-yes").click()

    look_at(page, "security")
    replies = found.locator(".reply")
    replies.nth(2).wait_for()

    told = replies.all_inner_texts()
    assert ["takes it" in told[0], "movers" in told[1], "says it was not them" in told[2]] == [True] * 3
    assert replies.count() == 3
    keep_pictures(page, artefacts, "thread", replies.nth(1), found.get_by_text("Taken by"))


def test_a_card_leads_to_the_alert_and_to_the_person(page: Page) -> None:
    answer(page, summary="A ladder was borrowed.", choice="no")
    found = card(page, "A ladder was borrowed.")

    found.get_by_text(WORDING["card"]["link"]).click()
    focused = page.evaluate("document.activeElement.innerText")
    found.locator("a", has_text="@alan").first.click()

    assert "sandbox_test" in focused
    question(page, "A ladder was borrowed.")
    assert "Alan Turing" in page.locator("#conversation-head").inner_text()


def test_a_yes_concerns_nobody_in_the_channel(page: Page) -> None:
    answer(page, summary="A book was read.", choice="yes", address="ada@example.com")
    receipt_about(page, "ada@example.com", "acknowledged").wait_for()
    answer(page, summary="A page was torn out.", choice="no", address="ada@example.com")

    card(page, "A page was torn out.").wait_for()

    assert card(page, "A book was read.").count() == 0


def test_cards_that_nobody_has_looked_at_are_counted(page: Page) -> None:
    answer(page, summary="A coin was found.", choice="notSure", address="grace@example.com")

    badge = page.locator("#security .person").filter(has_text="security").locator(".badge")

    badge.wait_for()
    card(page, "A coin was found.").wait_for()
    badge.wait_for(state="detached")
