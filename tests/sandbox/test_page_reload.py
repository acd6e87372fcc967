"""The sandbox's page after a reload, and after the sandbox itself was stopped and started again."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sandbox_page import button, look_at, modal, open_home, question, receipt_about, receipts, send_alert
from sandbox_process import SandboxProcess
from wording import WORDING, fixed_words
from world import PATIENCE_SECONDS

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.slow


def reload(page: Page) -> None:
    page.reload()
    page.locator("body[data-ready=true]").wait_for()


def test_a_reload_keeps_person_and_place(page: Page) -> None:
    send_alert(page, summary="A hat was worn.", address="alan@example.com")
    message = question(page, "A hat was worn.")
    button(message, "notSure").click()
    receipt_about(page, "alan@example.com", "manual").locator("summary").click()
    message.locator("[data-action-id=note]").click()
    page.locator(".modal-input").fill("Half a sen")

    reload(page)

    expect(page.locator(".modal-input")).to_have_value("Half a sen")
    page.keyboard.press("Escape")
    modal(page).wait_for(state="detached")
    expect(page.locator("#conversation-head")).to_contain_text("Alan Turing")
    expect(receipts(page).first.locator("pre")).to_be_visible()
    expect(page.locator("#alert-summary")).to_have_value("A hat was worn.")
    expect(page.locator("#alert-person")).to_have_value("alan@example.com")
    expect(page.locator("#sent")).to_contain_text("The bot asked Alan Turing")
    expect(page.locator(".person").filter(has_text="Alan Turing").locator(".badge")).to_have_count(0)

    page.locator("#messages").evaluate("box => { box.scrollTop = 7; }")
    reload(page)
    assert page.locator("#messages").evaluate("box => box.scrollTop") == 7

    look_at(page, "security")
    page.locator("#analyst").select_option("Dorothy Denning")
    page.locator("[data-action-id=take-it]").click()
    page.locator("#messages .reply").filter(has_text=fixed_words(WORDING["card"]["taken_line"])).wait_for()
    # In one turn of the page, because a live update in the next one must not open the thread again.
    kept = page.locator("#messages summary").evaluate(
        "summary => { summary.click(); return sessionStorage.getItem('triage-bot-sandbox'); }"
    )
    assert list(json.loads(kept)["unfolded"].values()) == [False]
    reload(page)
    expect(page.locator("#analyst option:checked")).to_have_text("Dorothy Denning")
    expect(page.locator("#messages .reply").first).to_be_hidden()

    open_home(page, "Grace Hopper").locator(".block").first.wait_for()
    reload(page)
    expect(page.locator("#home")).to_be_visible()
    expect(page.locator("#conversation-head")).to_contain_text("Grace Hopper")


def test_a_page_without_its_sandbox_says_how_to_start_it_and_carries_on_with_the_next(
    browser: Browser, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    with SandboxProcess(tmp_path) as first:
        page.goto(first.url)
        look_at(page, "Grace Hopper")
        button(page.locator("#messages"), "yes").click()
        receipts(page).first.wait_for()
        first.end(signal.SIGKILL)  # its parts end with it

        banner = page.locator("#banner")
        expect(banner).to_contain_text("The sandbox does not answer.")
        expect(banner).to_contain_text("To start it again, run")
        expect(page.locator(".pill.is-down").filter(has_text="stopped")).to_have_count(3)
        expect(page.locator("#send")).to_be_disabled()

    with SandboxProcess(tmp_path, shlex.split(banner.locator("code").inner_text())) as second:
        assert second.url == first.url
        expect(banner).to_contain_text("This is a new sandbox")
        expect(page.locator("#conversation-head")).to_contain_text("Grace Hopper")
        expect(receipts(page)).to_have_count(0)
        expect(page.locator("#alerts .alert")).to_have_count(4)
        expect(page.locator("#messages .message")).to_have_count(1)
        banner.get_by_role("button", name="Dismiss").click()
        expect(banner).to_be_hidden()
        expect(page.locator("h1")).to_be_focused()
        page.close()
