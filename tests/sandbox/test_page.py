"""The sandbox's page in a real browser: an alert goes in, somebody answers, MozDef's side shows it."""

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
    question,
    receipt_about,
    receipts,
    send_alert,
    send_sample,
)
from sandbox_process import SandboxProcess
from wording import WORDING

pytest_plugins = ["page_fixtures"]

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


def test_the_wrong_person_button_is_there_only_when_mozdef_is_not_sure(page: Page) -> None:
    send_alert(page, summary="Surely theirs.", address="katherine@example.com", confidence="highest")
    sure = question(page, "Surely theirs.")

    send_alert(page, summary="Perhaps theirs.", address="katherine@example.com", confidence="low")

    assert button(question(page, "Perhaps theirs."), "wrongUser").count() == 1
    assert button(sure, "wrongUser").count() == 0


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
    assert message.locator("strong", has_text="Was this you?").count() == 1


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
        os.kill(sandbox.pid_of("Worker"), signal.SIGKILL)

        banner = page.locator("#banner").filter(has_text=re.compile("worker ended"))

        banner.wait_for()
        page.close()
        assert sandbox.ended()[0] == 1
