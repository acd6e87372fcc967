"""The sandbox's page in a real browser: an alert goes in, somebody answers or is reminded, MozDef is told."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from sandbox_page import (
    button,
    keep_pictures,
    look_at,
    open_home,
    question,
    receipt_about,
    receipts,
    send_alert,
    send_sample,
)
from sandbox_process import SandboxProcess
from wording import WORDING, as_read

from bot.settings.alerts import load_alert_policies

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.slow

SUMMARY = "Your password was changed just now"


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
    ended = asked.get_by_text(WORDING["answer"]["timedOut"])
    ended.wait_for()
    keep_pictures(page, artefacts, "deadline", ended, late)
    assert button(asked, "yes").count() == 1

    button(asked, "yes").click()
    acknowledged = receipt_about(page, "ada@example.com", "acknowledged")
    acknowledged.wait_for()
    keep_pictures(page, artefacts, "late", asked.get_by_text(WORDING["answer"]["yes"]), acknowledged)
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


HOSTILE = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


def test_a_no_that_is_confirmed_is_seen_to_escalate_the_alert(page: Page, artefacts: Path) -> None:
    send_alert(page, summary="A door was opened at night.", address="grace@example.com")
    button(question(page, "A door was opened at night."), "no").click()

    page.locator("#confirm-yes").click()

    escalated = receipt_about(page, "grace@example.com", "escalated")
    escalated.wait_for()
    page.locator("#alerts .alert.status-escalated").filter(has_text="Grace").wait_for()
    escalated.locator("summary").click()
    assert '"response": "no"' in escalated.locator("pre").inner_text()
    page.screenshot(path=artefacts / "page.png", animations="disabled")


def test_a_no_that_is_not_confirmed_sends_nothing(page: Page) -> None:
    send_alert(page, summary="A window was opened.", address="ada@example.com")
    message = question(page, "A window was opened.")
    button(message, "no").click()
    page.locator("#confirm-deny").click()

    button(message, "yes").click()

    message.get_by_text(WORDING["answer"]["yes"]).wait_for()
    receipt_about(page, "ada@example.com", "acknowledged").wait_for()
    assert receipt_about(page, "ada@example.com", "escalated").count() == 0


def test_an_answer_can_be_given_with_the_keyboard_alone(page: Page) -> None:
    send_alert(page, summary="A key was copied.", address="alan@example.com")
    button(question(page, "A key was copied."), "wrongUser").focus()

    page.keyboard.press("Enter")
    page.locator("#confirm[open]").wait_for()
    page.locator("#confirm-yes").focus()
    page.keyboard.press("Enter")

    receipt_about(page, "alan@example.com", "manual").wait_for()
    focused = page.evaluate("document.activeElement.dataset.actionId")
    assert focused == "answer-wrongUser"


def test_markup_in_a_summary_is_text_and_runs_nothing(page: Page) -> None:
    send_alert(page, summary=f"Markup: {HOSTILE}", address="ada@example.com")

    message = question(page, "Markup:")

    assert HOSTILE in message.inner_text()
    assert message.locator("img[src=x], script").count() == 0
    assert page.title() == "Triage bot sandbox"


def test_an_alert_that_imitates_the_bot_is_literal_and_quoted(page: Page, artefacts: Path) -> None:
    send_sample(page, "Hostile text", address="grace@example.com")
    message = question(page, "own test")

    quoted = message.locator("blockquote")

    keep_pictures(page, artefacts, "hostile", quoted.first)
    for imitation in ("*Was this you?* This was", ":white_check_mark:", "<!channel>", "|Open in MozDef>"):
        assert imitation in quoted.first.inner_text()
    assert quoted.locator("strong, em, s, code, a, time, .mention").count() == 0
    assert message.locator("strong").count()


def test_the_facts_of_a_form_go_with_the_alert(page: Page) -> None:
    page.get_by_label("Sensitive host").check()
    page.locator("#alert-facts").fill("Host: db-1.example.com\n\nPort:  22\nno value")

    with page.expect_request("**/api/alerts") as sent:
        page.locator("#send").click()

    body: Any = sent.value.post_data_json
    assert [(each["name"], each["value"]) for each in body["facts"]] == [
        ("Host", "db-1.example.com"),
        ("Port", "22"),
        ("no value", ""),
    ]
    assert body["occurredAt"].endswith("Z")


def test_an_address_that_nobody_has_ends_with_an_analyst(page: Page) -> None:
    send_alert(page, summary="Whose is it?", address="ghost@example.com")

    undeliverable = receipt_about(page, "ghost@example.com", "manual")

    undeliverable.wait_for()
    assert "users_not_found" in undeliverable.inner_text()


def test_a_request_that_the_bot_refuses_is_shown_as_a_dead_letter(page: Page) -> None:
    send_alert(page, summary="No address at all.", address="N/A")

    refused = receipts(page).filter(has=page.locator(".chip", has_text="dead letter")).first

    refused.wait_for()
    refused.locator("summary").click()
    assert "No address at all." in refused.locator("pre").inner_text()


def test_unread_questions_are_counted_beside_whoever_has_not_looked(page: Page) -> None:
    grace = page.locator("#people .person").filter(has_text="Grace Hopper")
    grace.locator(".badge").wait_for()

    grace.locator("input").check()

    grace.locator(".badge").wait_for(state="detached")
    assert "Grace Hopper" in page.locator("#conversation-head").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_screen(page: Page, artefacts: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    page.set_viewport_size({"width": 390, "height": 844})

    page.screenshot(path=artefacts / f"narrow-{scheme}.png", full_page=True, animations="disabled")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_says_why_the_sandbox_ended(browser: Browser, tmp_path: Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        page = browser.new_page()
        page.goto(sandbox.url)
        page.locator("body[data-ready=true]").wait_for()
        os.kill(sandbox.pid_of("SQS"), signal.SIGKILL)

        banner = page.locator("#banner").filter(has_text=re.compile("local SQS ended"))

        banner.filter(has_text="To start it again, run").wait_for()
        page.close()
        assert sandbox.ended()[0] == 1


def test_no_and_then_yes_stays_escalated_and_is_told_kindly(page: Page, artefacts: Path) -> None:
    send_alert(page, summary="A drawer was emptied.", address="katherine@example.com")
    message = question(page, "A drawer was emptied.")
    button(message, "no").click()
    keep_pictures(page, artefacts, "confirm", page.locator("#confirm-text"), page.locator("#confirm-yes"))
    page.locator("#confirm-yes").click()
    message.get_by_text(WORDING["answer"]["no"]).wait_for()

    button(message, "yes").click()

    told = message.get_by_text(WORDING["answer"]["retracted"])
    told.wait_for()
    keep_pictures(page, artefacts, "taken-back", told)
    retraction = (
        receipts(page).filter(has_text="katherine@example.com").filter(has_text="They changed their mind")
    )
    retraction.first.wait_for()
    receipt_about(page, "katherine@example.com", "escalated").wait_for()
    assert "Before: “It was not them”. Now: “It was them”." in retraction.first.inner_text()
    assert "What counts: It was not them" in retraction.first.inner_text()
    page.locator("#alerts .alert.status-escalated").filter(has_text="Katherine").first.wait_for()
    assert receipt_about(page, "katherine@example.com", "acknowledged").count() == 0
    assert message.locator("[data-action-id=note]").count() == 1


def test_a_kind_of_alert_has_its_own_title_question_and_buttons(page: Page, artefacts: Path) -> None:
    own = load_alert_policies().by_label["sensitive_host_session"]
    send_sample(page, "Sensitive host", address="grace@example.com")
    look_at(page, "Grace Hopper")
    message = question(page, "A terminal session was opened")

    asked = message.locator(".block-rich", has_text=as_read(own.wording["ask"], user="grace@example.com"))
    asked.wait_for()
    assert button(message, "yes").inner_text() == own.wording["button_yes"]
    keep_pictures(page, artefacts, "own-words", asked, button(message, "yes"), button(message, "no"))
    button(message, "notSure").click()

    look_at(page, "security")
    card = page.locator("#messages .message").filter(has_text=own.title)
    card.filter(has_text="@grace").first.wait_for()


def test_an_open_question_is_answered_at_home_and_its_message_is_redrawn(page: Page, artefacts: Path) -> None:
    send_alert(page, summary="A gate was opened.", address="grace@example.com")
    question(page, "A gate was opened.")
    home = open_home(page, "Grace Hopper")
    summary = home.locator(".block", has_text="A gate was opened.")
    summary.wait_for()
    keep_pictures(page, artefacts, "home", summary, home.locator(".block-header").first)

    # Below the summary of a question stand its words, and below these its buttons.
    asked = summary.locator("xpath=following-sibling::*[1]")
    assert asked.inner_text() == as_read(WORDING["question"]["ask"], user="grace@example.com")
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
    assert WORDING["home"]["answered"] in home.inner_text()


def test_the_home_answers_whether_the_message_is_real_and_a_closed_account_has_none(page: Page) -> None:
    home = open_home(page, "Ada Lovelace")

    home.get_by_text(WORDING["home"]["real"]).wait_for()
    assert WORDING["home"]["explanation"] in home.inner_text()

    look_at(page, "Charles Babbage")
    assert page.locator("#tabs").is_hidden()


def test_the_tabs_are_walked_with_the_arrow_keys(page: Page) -> None:
    look_at(page, "Ada Lovelace")
    page.locator("#tab-messages").focus()

    page.keyboard.press("ArrowRight")

    page.locator("#panel-home").wait_for()
    assert page.evaluate("document.activeElement.id") == "tab-home"
    assert page.locator("#panel-messages").is_hidden()


def test_a_yes_that_needs_a_proof_is_confirmed_on_the_phone_with_the_code_of_the_message(
    page: Page, artefacts: Path
) -> None:
    send_sample(page, "Second factor", address="grace@example.com")
    message = question(page, "An administrator's role")
    assert page.locator("#phone").is_hidden()

    button(message, "yes").click()

    prompt = page.locator("#prompts .prompt").last
    prompt.wait_for()
    message.get_by_text("until then your answer does not count").wait_for()
    assert prompt.locator("code").inner_text() in message.inner_text()
    keep_pictures(page, artefacts, "phone", prompt)
    prompt.get_by_role("button", name="Approve").click()
    receipt_about(page, "grace@example.com", "acknowledged").wait_for()
    prompt.get_by_text("approved").wait_for()
