"""The sandbox's page for everybody: read aloud, in other colours, on small screens, after a mistake."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from page_tour import tour
from playwright.sync_api import Browser, Page, expect
from sandbox_page import (
    CONTRAST,
    LEAST_CONTRAST,
    button,
    look_at,
    question,
    receipts,
    send_alert,
    send_sample,
)
from sandbox_process import SandboxProcess
from wording import WORDING
from world import PATIENCE_SECONDS

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.slow

Look = tuple[Literal["light", "dark"], int]

#: How each view is looked at, each in a scheme and at a width in px: either scheme, and every layout.
LOOKS: tuple[Look, ...] = (("dark", 390), ("dark", 1080), ("light", 1440))

#: What must look different where the reader's own colours are in force: one element, another, and by what.
DIFFERENT = (
    (".is-up .dot", ".is-down .dot", "background-color"),
    (".is-up .dot", ".pill:has(.dot)", "background-color"),
    (".tabs [aria-selected=true]", ".tabs [aria-selected=false]", "border-bottom-color"),
    ("#samples input:checked + span", "#samples input:not(:checked) + span", "background-color"),
    ("#confidence input:checked + span", "#confidence input:not(:checked) + span", "background-color"),
    (".person:has(input:checked)", ".person:has(input:not(:checked))", "background-color"),
    ("#send", "#alert-form", "border-top-width"),
)

_STYLE = """([selector, property]) =>
  getComputedStyle(document.querySelector(selector)).getPropertyValue(property)"""


def findings(page: Page) -> Iterator[str]:
    """What axe has to say of the page as it is, also after the page was loaded again."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    for finding in page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]:
        yield f"{finding['id']}: {[node['target'] for node in finding['nodes']]}"


def test_axe_finds_nothing_on_any_view_in_either_scheme_and_any_layout(
    browser: Browser, tmp_path: Path, artefacts: Path
) -> None:
    found = []
    with SandboxProcess(tmp_path) as sandbox:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        for view in tour(page, sandbox):
            for scheme, width in LOOKS:
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                page.set_viewport_size({"width": width, "height": 900})
                found += [f"{view}, {scheme}, {width} px: {each}" for each in findings(page)]
                picture = artefacts / f"view-{view}-{scheme}-{width}.png"
                if "TEST_ARTEFACTS" in os.environ:
                    page.screenshot(path=picture, full_page=True)
        page.close()

    assert found == []


def test_the_initials_of_everybody_stand_out(page: Page) -> None:
    page.locator("#people .avatar").first.wait_for()

    least = page.eval_on_selector_all(
        ".person .avatar", f"all => all.map(each => [({CONTRAST})(each), each.innerText])"
    )

    assert min(least)[0] >= LEAST_CONTRAST, min(least)


def test_forced_colours_leave_dots_tabs_choices_and_buttons_recognisable(page: Page, artefacts: Path) -> None:
    page.locator("#messages .message").first.wait_for()
    page.emulate_media(forced_colors="active")
    # Nothing has to be broken to see how it would look.
    page.locator(".pill").last.evaluate("pill => { pill.className = 'pill is-down'; }")

    page.screenshot(path=artefacts / "forced-colours.png")
    alike = [
        (one, other)
        for one, other, style in DIFFERENT
        if page.evaluate(_STYLE, [one, style]) == page.evaluate(_STYLE, [other, style])
    ]

    assert alike == []


def test_the_conversation_is_the_widest_column_on_a_small_laptop(page: Page) -> None:
    for width in (1080, 1160, 1250):
        page.set_viewport_size({"width": width, "height": 800})

        alert, conversation, received = (
            page.locator(part).evaluate("box => box.getBoundingClientRect().width")
            for part in (".part-mozdef", ".conversation", ".part-received")
        )

        assert conversation > max(alert, received), width
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_narrow_screen_the_page_leads_to_what_follows(page: Page, artefacts: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    send_alert(page, summary="A lid was lifted.", address="grace@example.com")
    message = question(page, "A lid was lifted.")

    expect(page.locator("#slack-title")).to_be_in_viewport()
    expect(message).to_be_in_viewport()
    expect(page.locator(".person").filter(has_text="Grace")).to_be_in_viewport()
    button(message, "yes").click()
    expect(message.get_by_text("You answered")).to_be_in_viewport()
    page.screenshot(path=artefacts / "narrow-answered.png")

    page.get_by_role("button", name="Cut SQS").click()
    send_sample(page, "Duo code used", address="ada@example.com")
    expect(page.locator("#sent").filter(has_text="It waits (SQS: cut off)")).to_be_in_viewport()
    page.get_by_role("button", name="Restore SQS").click()
    page.get_by_role("button", name="Cut SQS").wait_for()

    send_sample(page, "Duo code used", address="charles@example.com")
    expect(page.locator("#sent").filter(has_text="Nobody was asked")).to_be_in_viewport()


def test_what_follows_a_request_and_an_answer_is_read_aloud(page: Page) -> None:
    spoken = page.locator("#announcer[aria-live=polite]")
    send_alert(page, summary="A bulb was changed.", address="grace@example.com")
    expect(spoken).to_contain_text("The bot asked Grace Hopper in Slack.")
    message = question(page, "A bulb was changed.")

    button(message, "yes").click()

    expect(spoken).to_contain_text(f"Triage bot: {WORDING['answer']['yes']}")
    expect(spoken).to_contain_text("MozDef received for grace@example.com: It was them")
    button(message, "no").click()
    page.locator("#confirm-yes").click()
    expect(spoken).to_contain_text("It was not them. Before: “It was them”. Now: “It was not them”.")


def test_a_form_names_what_is_missing_at_the_field_and_goes_there(page: Page) -> None:
    page.get_by_label("Write my own").check()
    page.locator("#alert-person").select_option("other")
    page.locator("#send").click()
    for field, error in (("label", "a label"), ("summary", "a summary"), ("address", "an e-mail address")):
        wrong = page.locator(f"#alert-{field}")

        expect(wrong).to_have_attribute("aria-invalid", "true")
        expect(wrong).to_be_focused()
        expect(wrong).to_have_accessible_description(f"Enter {error}.")
        wrong.fill("x")
        expect(wrong).not_to_have_attribute("aria-invalid", "true")
        page.locator("#send").click()


def test_the_keyboard_stays_where_it_has_killed_the_worker(page: Page) -> None:
    worker, kill = page.locator(".pill").filter(has_text="Worker"), page.get_by_role("button", name="Kill")
    kill.focus()
    page.keyboard.press("Enter")

    expect(worker).to_contain_text("back after")

    expect(kill).to_be_focused()


def test_a_person_who_cannot_be_asked_is_not_promised_a_question(page: Page) -> None:
    look_at(page, "Ada Lovelace")
    for name, address in (
        ("Charles Babbage", "charles@example.com"),
        ("Deploy bot", "deploybot@example.com"),
        ("Hedy Lamarr", "hedy@guest.example.net"),
        ("Mallory", "mallory@partner.example.org"),
    ):
        page.locator("#alert-person").select_option(address)
        expect(page.locator("#person-hint")).to_contain_text(f"The bot will not ask {name} (")
        before = receipts(page).count()
        page.locator("#send").click()

        receipts(page).nth(before).wait_for()
        expect(page.locator("#sent")).to_contain_text("Nobody was asked (")
        expect(page.locator("#conversation-head")).to_contain_text("Ada Lovelace")
        look_at(page, name)
        expect(page.locator("#messages .empty")).to_contain_text(f"The bot does not ask {name} (")
        look_at(page, "Ada Lovelace")
    page.locator("#alert-person").select_option("other")
    expect(page.locator("#person-hint")).to_contain_text(
        "If nobody in Slack has this address, nobody is asked"
    )
