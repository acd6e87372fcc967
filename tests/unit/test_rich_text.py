"""How a template and its values become elements: markup is ours alone, and every value is literal."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from drawn import HOSTILE
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.render.rich_text import as_text, date, fill, link, literal


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", [literal("plain")]),
        ("*bold*", [literal("bold", "bold")]),
        ("a *b c* d", [literal("a "), literal("b c", "bold"), literal(" d")]),
        ("_a_ and *b _c_*", [
            literal("a", "italic"), literal(" and "), literal("b ", "bold"), literal("c", "bold", "italic"),
        ]),
        ("3 * 4 * 5", [literal("3 * 4 * 5")]),
        ("snake_case_name", [literal("snake_case_name")]),
        ("a {brace} stays", [literal("a {brace} stays")]),
    ],
)  # fmt: skip
def test_a_template_without_values(template: str, expected: list[Any]) -> None:
    assert fill(template) == expected


def test_a_value_is_an_element_of_its_own_in_the_style_around_it() -> None:
    *elements, rest, end = fill("*{title}*: {who} {{x}}", title="*a*", who="_b_")

    assert elements == [literal("*a*", "bold"), literal(": "), literal("_b_")]
    assert rest["text"] + end["text"] == " {x}"


def test_a_value_may_be_a_date_or_a_link() -> None:
    moment, profile = date(NOON, ZoneInfo("Europe/Berlin")), link("https://example.slack.com/team/U1", "@ada")

    elements = fill("{who} on *{date}*", who=[profile], date=[moment])

    assert elements == [profile, literal(" on "), {**moment, "style": {"bold": True}}]
    assert (moment["timestamp"], moment["fallback"]) == (
        1795521600,
        "Tue 24 Nov 2026, 13:00 (Europe/Berlin)",
    )


def test_an_empty_value_leaves_nothing() -> None:
    assert fill("a{x}", x="") == [literal("a")]


def test_the_text_of_elements_is_escaped_and_has_no_markup() -> None:
    elements = fill("*A* {x}", x="<!channel> & co")

    assert as_text(elements) == "A &lt;!channel&gt; &amp; co"


@given(st.text(min_size=1) | st.just(HOSTILE))
def test_whatever_a_value_is_it_stands_alone(value: str) -> None:
    for template in ("{x}", "*{x}*", "_a {x}_ b", "x*{x}*y"):
        elements, others = fill(template, x=value), fill(template, x="")
        assert [
            each["text"]
            for place, each in enumerate(elements)
            if elements[:place] + elements[place + 1 :] == others
        ][:1] == [value]
