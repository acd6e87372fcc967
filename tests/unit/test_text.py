"""Foreign texts become visible and harmless, and templates elements in which every value is literal."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import drawn
import pytest
from fakes import NOON
from hypothesis import example, given
from hypothesis import strategies as st

import bot
from bot.slack.render.rich_text import as_text, date, fill, link, literal
from bot.slack.render.text import LINE_MAX, escape, shorten, to_handle, to_line
from bot.triage.untrusted_text import MARKS_MAX, READ_MAX, clean

MARK = "… (shortened)"
EMPTY = "(no text)"
DROPPED = ("Cc", "Cf", "Cs", "Co", "Cn")

PIECES = (
    *("<!channel>", "<!here|you>", "<@U0ADA>", "<#C1>", "<https://evil.example|your bank>"),
    *("&lt;!channel&gt;", "&amp;", "&", "`", "```", "*_~"),
    *("\u202e", "\u2066"),  # right-to-left override, and isolate
    *("\u200b", "\u200d", "\ufeff", "\ufe0f", "\u3164\u2800"),  # nothing to be seen
    *("\x00", "\x1b[31m", "\x85", "\r\n", "\u2028", "\u2029", "\t", "\u00a0\n\u3000\n"),
    *("\ud800", "\udfff", "\ue000", "\U000e0001", "\U0010ffff", "\U000e0100"),
    *("e\u0301", "\u0301" * 50, "\u0301\u0323" * 40),
    "\u0344" * 40,  # two marks in its normal form
)

#: Of each sort, more than is ever looked at.
POISONS = {
    "marks in no order": "a" + "\u0301\u0323\u0345" * READ_MAX,
    "marks that are two": "\u0344" * READ_MAX * 2,
    "marks between invisible ones": "\u0301\u200b\u0323\ufe0f" * READ_MAX,
    "marks, and one more letter now and then": ("e" + "\u0301\u0323" * 100) * 1000,
    "letters that get longer": "\ufb2c" * READ_MAX * 2,
    "letters that are put together": "\u1100\u1161\u11a8" * READ_MAX,
    "nothing visible": "\u200b\u3164" * READ_MAX,
    "empty lines": "\n \u200b" * READ_MAX,
    "entities": "&<>" * READ_MAX,
    "all that there is": "".join(map(chr, range(0x110000))),
}

texts = st.lists(
    st.text(st.characters(), max_size=20) | st.sampled_from(PIECES) | st.sampled_from(("x" * 200, "\n" * 9)),
    max_size=30,
).map("".join)


def shown(text: str, limit: int = 300) -> str:
    return shorten(text, limit, mark=MARK, empty=EMPTY)


def without_last_character(text: str) -> str:
    """Return a text without its last character and the marks on that."""
    kinds = "".join(unicodedata.category(each)[0] for each in text)
    return text[: len(re.sub(r"[^M]?M*\Z", "", kinds, count=1))]


def longest_run_of_marks(text: str) -> int:
    kinds = "".join(unicodedata.category(each)[0] for each in text)
    return max(map(len, re.findall("M+", kinds)), default=0)


@given(texts, st.integers(min_value=len(MARK), max_value=3000))
def test_any_text_becomes_visible(text: str, limit: int) -> None:
    result = shown(text, limit)

    assert 0 < len(result) <= limit
    assert {unicodedata.category(each) for each in result if each != "\n"}.isdisjoint(DROPPED)
    assert not re.search(r"\n\s*\n\s*\n", result)
    assert longest_run_of_marks(result) <= MARKS_MAX


@given(texts)
def test_cleaning_gives_a_normal_form_and_twice_is_once_and_escaping_loses_nothing(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned.text)
    assert clean(cleaned.text) == cleaned
    assert to_line(to_line(text)) == to_line(text)
    assert escape(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@given(texts, st.integers(min_value=len(MARK), max_value=500))
@example("x" * 203 + "\u0323" * 9 + "\u0301" * 20 + "\u0323" * 5, 227)
def test_what_was_cut_is_the_beginning_and_says_so(text: str, limit: int) -> None:
    whole = clean(text).text

    result = shorten(text, limit, mark=MARK)

    beginning = result.removesuffix(MARK)
    if not whole.startswith(beginning):  # the order of a character's marks depends on those that were cut
        beginning = without_last_character(beginning)
    assert result == whole or (result.endswith(MARK) and whole.startswith(beginning))
    assert shorten(result, limit, mark=MARK) == result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", "plain words"),
        ("a\tb", "a b"),
        ("a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\ne"),
        ("a\n\n\n \n\nb", "a\n\nb"),
        ("a\n\u00a0\n\u3000\nb", "a\n\nb"),
        ("  a  ", "a"),
        ("e\u0301", "é"),
        ("e\u200d\u0301", "é"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("naïve 日本語 🙂", "naïve 日本語 🙂"),
        ("\u200b\u2060\x07", EMPTY),
        ("\u3164\u115f\uffa0\u2800\U0001d159", EMPTY),
        ("✔\ufe0f\U000e0101", "✔"),
        ("e" + "\u0323" * 99, "ẹ" + "\u0323" * 29),
        ("\n" * 3000 + "below", "below"),
        ("e\u0301" * 400, "é" * 150 + MARK),
        ("", EMPTY),
        ("\n \t", EMPTY),
        ("<!channel> &lt; *bold* :tada:", "<!channel> &lt; *bold* :tada:"),
    ],
)
def test_a_text_is_shown_as(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "limit", "lines", "shown"),
    [
        ("x" * 50, 50, 9, "x" * 50),
        ("x" * 51, 50, 9, "x" * 49 + "…"),
        # Lines are counted after cleaning.
        ("a\n\n\n\nb\nc", 50, 4, "a\n\nb\nc"),
        ("a\n\n\n\nb\nc", 50, 3, "a\n\nb…"),
        # What lies beyond the first 50,000 characters is not looked at.
        ("\u200b" * READ_MAX + "out of sight", 50, 9, "…"),
    ],
)
def test_a_text_at_the_limit_is_left_whole(text: str, limit: int, lines: int, shown: str) -> None:
    assert shorten(text, limit, lines=lines, mark="…") == shown


def test_a_line_that_is_too_long_says_so() -> None:
    assert to_line("x" * LINE_MAX) == "x" * LINE_MAX
    assert to_line("x" * READ_MAX) == "x" * (LINE_MAX - 1) + "…"


@pytest.mark.parametrize("name", POISONS)
@pytest.mark.parametrize("limit", [1, 300, 3000])
def test_no_more_is_normalised_and_returned_than_is_shown(name: str, limit: int) -> None:
    handed_over = []

    def normalize(text: str) -> str:
        handed_over.append(text)
        return unicodedata.normalize("NFC", text)

    cleaned = clean(POISONS[name], limit, normalize=normalize)

    assert len(cleaned.text) <= limit
    assert not cleaned.is_whole
    assert sum(map(len, handed_over)) <= limit
    assert all(longest_run_of_marks(each) <= MARKS_MAX for each in handed_over)


def test_nothing_else_normalises() -> None:
    sources = {
        path.name: path.read_text(encoding="utf-8") for path in Path(bot.__file__).parent.rglob("*.py")
    }

    assert [name for name, source in sources.items() if ".normalize(" in source] == ["untrusted_text.py"]


@given(
    text=st.text("ab \n\r\t\u200b\u3164", max_size=200),
    limit=st.integers(min_value=1, max_value=9),
    one_line=st.booleans(),
)
def test_how_far_a_text_is_read_depends_on_what_can_be_seen(text: str, limit: int, *, one_line: bool) -> None:
    whole = clean(text, one_line=one_line).text

    assert clean(text, limit, one_line=one_line) == (whole[:limit], len(whole) <= limit)


@pytest.mark.parametrize("text", ["a\nb", "a \u200b\u3000\n\t b", " a\u2028b\r\n"])
def test_a_line_is_one_line(text: str) -> None:
    assert to_line(text) == "a b"


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
    assert (moment["timestamp"], moment["fallback"]) == (1795521600, "Tue 24 Nov 2026, 13:00 (Europe/Berlin)")


def test_an_empty_value_leaves_nothing_and_the_text_of_elements_is_escaped_without_markup() -> None:
    assert fill("a{x}", x="") == [literal("a")]
    assert as_text(fill("*A* {x}", x="<!channel> & co")) == "A &lt;!channel&gt; &amp; co"


@given(st.text(min_size=1) | st.just(drawn.HOSTILE))
def test_whatever_a_value_is_it_stands_alone(value: str) -> None:
    for template in ("{x}", "*{x}*", "_a {x}_ b", "x*{x}*y"):
        elements, others = fill(template, x=value), fill(template, x="")
        assert [
            each["text"]
            for place, each in enumerate(elements)
            if elements[:place] + elements[place + 1 :] == others
        ][:1] == [value]


@pytest.mark.parametrize(
    ("name", "shown"), [("ada", "@ada"), ("", "U0ADA"), ("\u200b\u3164", "U0ADA"), ("a\nb", "@a b")]
)
def test_somebody_whose_name_shows_nothing_is_called_by_their_id(name: str, shown: str) -> None:
    assert to_handle(name, "U0ADA") == shown
