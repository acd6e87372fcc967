"""A walk through every view of the sandbox's page, for tests and people that judge each of them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator

from playwright.sync_api import Locator, Page, expect
from sandbox_page import (
    button,
    look_at,
    modal,
    open_home,
    question,
    receipt_about,
    receipts,
    send_alert,
    send_sample,
)
from sandbox_process import SandboxProcess
from wording import WORDING, fixed_words

#: The page of a sandbox whose parts never start.
STARTING = """
import asyncio
from bot.sandbox.page import Page
from bot.sandbox.trial import Trial

async def serve():
    print(await Page(Trial(), {}).start(0), flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


def tour(page: Page, sandbox: SandboxProcess) -> Iterator[str]:
    """Bring the page into one view after the other, and yield the name of each. Ends the sandbox."""
    yield from _start(page)
    page.goto(sandbox.url)
    page.locator("#messages .message").wait_for()
    yield "question"
    open_home(page, "Ada Lovelace").locator(".block").first.wait_for()
    yield "home"
    look_at(page, "security")
    page.locator("#messages .empty").wait_for()
    yield "channel-empty"
    look_at(page, "Charles Babbage")
    page.locator("#messages .empty").wait_for()
    yield "nobody-asked"
    send_sample(page, "30 seconds to answer", address="katherine@example.com")
    page.locator("#conversation-head").filter(has_text="Katherine").wait_for()
    yield from _form(page)
    yield from _answers(page)
    yield from _faults(page, sandbox)
    yield from _endings(page, sandbox)


def _start(page: Page) -> Iterator[str]:
    command = [sys.executable, "-c", STARTING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starting:  # noqa: S603 -- our own
        assert starting.stdout is not None
        page.goto(starting.stdout.readline())
        page.locator(".pill.is-starting").first.wait_for()
        yield "starting"
        starting.terminate()


def _form(page: Page) -> Iterator[str]:
    page.get_by_label("Write my own").check()
    page.locator("#alert-person").select_option("other")
    page.locator("#send").click()
    page.locator("#alert-label-error").wait_for()
    yield "form-errors"
    page.locator("#alert-person").select_option("charles@example.com")
    send_sample(page, "Hostile text", address="charles@example.com")
    page.locator("#sent").filter(has_text="Nobody was asked").wait_for()
    yield "sent-to-nobody"
    send_alert(page, summary="No address at all.", address="N/A")
    page.locator("#sent").filter(has_text="refused").wait_for()
    body = receipts(page).filter(has=page.locator(".chip", has_text="dead letter")).locator("summary")
    body.click()
    yield "refused"
    body.click()
    send_sample(page, "Hostile text", address="grace@example.com")
    question(page, "own test")
    yield "hostile"


def _answers(page: Page) -> Iterator[str]:
    send_sample(page, "Note required", address="alan@example.com")
    message = question(page, "payroll")
    button(message, "no").click()
    page.locator("#confirm[open]").wait_for()
    yield "confirm"
    page.locator("#confirm-yes").click()
    yield from _leave_out_and_write(page, "note-missing", "I was on a train.")
    message.get_by_text(WORDING["note"]["thanks"]).wait_for()
    button(message, "yes").click()
    message.get_by_text(WORDING["answer"]["retracted"]).wait_for()
    yield "changed-mind"
    look_at(page, "security")
    # The question with 30 seconds to answer gets a card, too, at whatever moment of the tour.
    card = page.locator("#messages .message").filter(has_text="payroll")
    card.locator("[data-action-id=take-it]").click()
    card.locator(".reply").filter(has_text=fixed_words(WORDING["card"]["taken_line"])).wait_for()
    yield "card"
    card.locator("[data-action-id=hand-over]").click()
    modal(page).wait_for()
    page.locator("#modal-submit").click()
    page.locator("#modal .field-error:visible").wait_for()
    yield "hand-over-missing"
    page.locator("#modal-close").click()
    modal(page).wait_for(state="detached")
    yield from _asking_back(page, card)
    look_at(page, "Ada Lovelace")
    button(page.locator("#messages"), "yes").click()
    receipt_about(page, "ada@example.com", "acknowledged").wait_for()
    yield "answered"
    look_at(page, "Katherine Johnson")
    page.locator("#messages .replied").wait_for()
    page.get_by_text(WORDING["answer"]["timedOut"]).wait_for()
    yield "reminded-and-timed-out"
    yield from _burst(page)


def _asking_back(page: Page, card: Locator) -> Iterator[str]:
    card.locator("[data-action-id=ask]").click()
    yield from _leave_out_and_write(page, "ask-back-missing", "Which train? *Where* did <!channel> see it?")
    look_at(page, "Alan Turing")
    reply = page.locator("[data-action-id=reply]")
    reply.wait_for()
    yield "asked-back"
    reply.click()
    modal(page).wait_for()
    yield "reply"
    page.locator(".modal-input").fill("The one to Bletchley.")
    page.locator("#modal-submit").click()
    modal(page).get_by_text(WORDING["reply"]["thanks"]).wait_for()
    yield "replied"
    page.locator("#modal-close").click()
    modal(page).wait_for(state="detached")
    look_at(page, "security")
    page.locator("#messages .reply").filter(has_text="Bletchley").wait_for()
    yield "exchange"


def _burst(page: Page) -> Iterator[str]:
    send_sample(page, "A burst of eight", address="katherine@example.com")
    look_at(page, "Katherine Johnson")
    page.locator("#messages .message").filter(has_text="More questions are waiting").wait_for()
    yield "burst-line"
    look_at(page, "security")
    card = page.locator("#messages .message").filter(has_text="alerts in a burst").last
    card.locator("[data-action-id=take-all]").wait_for()
    yield "burst-card"
    card.locator("[data-action-id=take-all]").click()
    expect(card).to_contain_text("Taken by")
    yield "burst-taken"
    look_at(page, "Katherine Johnson")


def _faults(page: Page, sandbox: SandboxProcess) -> Iterator[str]:
    for part in ("Slack", "SQS"):
        page.get_by_role("button", name=f"Cut {part}").click()
        page.locator(".pill.is-down").filter(has_text=part).wait_for()
    button(page.locator("#messages"), "notSure").last.click()
    expect(page.locator("#messages .trouble")).to_be_in_viewport()
    yield "not-acknowledged"
    send_sample(page, "Duo code used", address="grace@example.com")
    page.locator("#sent").filter(has_text="It waits").wait_for()
    os.kill(sandbox.pid_of("Worker"), signal.SIGSTOP)
    page.locator(".pill").filter(has_text="not responding").wait_for()
    yield "cut-off-and-frozen"
    page.get_by_role("button", name="Kill the worker").click()
    page.locator(".pill.is-starting").filter(has_text="restarting").wait_for()
    yield "killed"


def _endings(page: Page, sandbox: SandboxProcess) -> Iterator[str]:
    banner = page.locator("#banner")
    sandbox.end(signal.SIGTERM)
    banner.filter(has_text="The sandbox was stopped.").wait_for()
    yield "stopped"
    with SandboxProcess(sandbox.folder, shlex.split(banner.locator("code").inner_text())) as another:
        banner.filter(has_text="This is a new sandbox.").wait_for()
        yield "new-sandbox"
        os.kill(another.pid_of("SQS"), signal.SIGKILL)
        banner.filter(has_text="The sandbox has failed.").wait_for()
        yield "failed"
        another.ended()


def _leave_out_and_write(page: Page, view: str, text: str) -> Iterator[str]:
    """Submit a window without its text, yield the name of what is seen then, and submit it with the text."""
    modal(page).wait_for()
    page.locator("#modal-submit").click()
    page.locator("#modal .field-error:visible").wait_for()
    yield view
    page.locator(".modal-input").fill(text)
    page.locator("#modal-submit").click()
    modal(page).wait_for(state="detached")
