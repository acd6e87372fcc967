"""The sandbox's page, beyond a click: notes and their form, and the security team's channel and cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    modal,
    open_home,
    question,
    receipt_about,
    receipts,
    send_alert,
    send_sample,
)
from wording import WORDING, fixed_words

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.slow

CARD = WORDING["card"]

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
    expect(page.locator(".modal-input[aria-invalid=true]")).to_be_focused()
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
    for _ in range(20):  # more than can have the focus
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "modal-submit":
            break
    page.locator("#modal-submit:focus").wait_for()
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
    assert card.locator("strong", has_text=CARD["retracted"]).count() == 0
    assert page.locator("img[src=x], .mention").count() == 0
    assert page.title() == "Triage bot sandbox"


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

    found.get_by_text(fixed_words(CARD["taken"])).wait_for()
    reply = found.locator(".reply").filter(has_text=fixed_words(CARD["taken_line"]))
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
    found.get_by_text(fixed_words(CARD["taken"])).wait_for()
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
    taken, no = (fixed_words(CARD[each]) for each in ("taken_line", "no"))
    assert [taken in told[0], "movers" in told[1], no in told[2]] == [True] * 3
    assert replies.count() == 3
    keep_pictures(page, artefacts, "thread", replies.nth(1), found.get_by_text(fixed_words(CARD["taken"])))


def test_what_is_asked_back_reaches_the_person_and_the_reply_the_thread_and_mozdef(
    page: Page, artefacts: Path
) -> None:
    answer(page, summary="A lantern was found.", choice="no")
    found = card(page, "A lantern was found.")
    found.wait_for()
    page.locator("#analyst").select_option("Dorothy Denning")

    found.locator("[data-action-id=ask]").click()
    modal(page).wait_for()
    page.locator(".modal-input").fill("Which lamp? *Where* did <!channel> see it?")
    keep_pictures(page, artefacts, "ask-back", page.locator("#modal label"), page.locator("#modal-submit"))
    page.locator("#modal-submit").click()
    modal(page).wait_for(state="detached")
    look_at(page, "Alan Turing")
    message = page.locator("#messages .message").filter(has_text="The security team asks about").last
    message.wait_for()
    quoted = message.locator("blockquote", has_text="Which lamp? *Where* did <!channel> see it?")
    assert WORDING["inquiry"]["warning"] in message.inner_text()
    keep_pictures(page, artefacts, "asked-back", quoted, message.locator("[data-action-id=reply]"))
    message.locator("[data-action-id=reply]").click()
    page.locator(".modal-input").fill("The one in the hall.")
    keep_pictures(page, artefacts, "reply", page.locator("#modal label"), page.locator("#modal-submit"))
    page.locator("#modal-submit").click()
    modal(page).get_by_text(WORDING["reply"]["thanks"]).wait_for()
    keep_pictures(page, artefacts, "replied", modal(page).get_by_text(WORDING["reply"]["thanks"]))
    page.keyboard.press("Escape")

    note_of(page, "The one in the hall.").wait_for()
    look_at(page, "security")
    replies = found.locator(".reply")
    replies.nth(1).wait_for()
    told = replies.all_inner_texts()
    assert ["Which lamp?" in told[0], "in the hall" in told[1], len(told)] == [True, True, 2]
    assert "@dorothy" in told[0]
    assert "@alan" in told[1]
    keep_pictures(page, artefacts, "exchange", replies.nth(0), replies.nth(1))


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


def test_an_alert_is_handed_over_in_a_window_and_released(page: Page, artefacts: Path) -> None:
    answer(page, summary="A kettle was boiled.", choice="no")
    found = card(page, "A kettle was boiled.")
    found.wait_for()
    page.locator("#analyst").select_option("Radia Perlman")

    found.locator("[data-action-id=hand-over]").click()
    modal(page).wait_for()
    page.locator("#modal-submit").click()  # without anybody chosen
    page.locator("#modal .field-error:visible").wait_for()
    page.locator("select.modal-input").select_option(label="Alan Turing")
    page.locator("#modal-submit").click()
    page.get_by_text(WORDING["refusal"]["receiver_asked"]).wait_for()
    keep_pictures(page, artefacts, "hand-over", page.locator("#modal .field-error:visible"))
    page.locator("select.modal-input").select_option(label="Dorothy Denning")
    page.locator("#modal-submit").click()

    modal(page).wait_for(state="detached")
    handed = found.locator(".reply").filter(has_text=fixed_words(CARD["handed_over_line"]))
    handed.wait_for()
    assert "@dorothy" in found.get_by_text(fixed_words(CARD["taken"])).inner_text()
    keep_pictures(page, artefacts, "handed-over", handed)
    found.locator("[data-action-id=release]").click()
    found.locator(".reply").filter(has_text=fixed_words(CARD["released_line"])).wait_for()
    found.locator("[data-action-id=take-it]").wait_for()


def test_whoever_has_an_alert_finds_it_on_their_home(page: Page, artefacts: Path) -> None:
    answer(page, summary="A flag was raised.", choice="no")
    found = card(page, "A flag was raised.")
    page.locator("#analyst").select_option("Radia Perlman")
    found.locator("[data-action-id=take-it]").click()
    found.get_by_text(fixed_words(CARD["taken"])).wait_for()

    home = open_home(page, "Radia Perlman")

    home.get_by_text(WORDING["home"]["taken"]).wait_for()
    keep_pictures(page, artefacts, "taken", home.get_by_text(WORDING["home"]["taken"]))
