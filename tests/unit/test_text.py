from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.render.text import clean, escape, sanitize, truncate

MARK = "… (shortened)"
EMPTY = "(no text)"
DROPPED = ("Cc", "Cf", "Cs", "Co", "Cn")

HOSTILE = (
    "<!channel>",
    "<!here|you>",
    "<@U0ADA>",
    "<#C1>",
    "<https://evil.example|your bank>",
    "&lt;!channel&gt;",
    "&amp;",
    "&",
    "\u202e",  # right-to-left override
    "\u2066",
    "\u200b",  # zero-width space
    "\u200d",
    "\ufeff",
    "\x00",
    "\x1b[31m",
    "\x85",
    "\r\n",
    "\u2028",
    "\u2029",
    "\t",
    "\ud800",
    "\udfff",
    "\ue000",
    "\U000e0001",
    "\U0010ffff",
    "e\u0301",
    "\u0301" * 50,
    "\u00a0\n\u3000\n",
    "`",
    "```",
    "*_~",
)

texts = st.lists(
    st.text(st.characters(), max_size=20) | st.sampled_from(HOSTILE) | st.sampled_from(("x" * 200, "\n" * 9)),
    max_size=30,
).map("".join)


def shown(text: str, limit: int = 300) -> str:
    return sanitize(text, limit, mark=MARK, empty=EMPTY)


@given(texts, st.integers(min_value=len(MARK), max_value=3000))
def test_any_text_becomes_harmless(text: str, limit: int) -> None:
    result = shown(text, limit)

    assert 0 < len(result) <= limit
    assert {unicodedata.category(each) for each in result if each != "\n"}.isdisjoint(DROPPED)
    assert not set("<>") & set(result)
    assert not re.search("&(?!amp;|lt;|gt;)", result)
    assert not re.search(r"\n\s*\n\s*\n", result)


@given(texts)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(texts)
def test_cleaned_text_is_in_normal_form(text: str) -> None:
    assert unicodedata.is_normalized("NFC", clean(text))


@given(texts)
def test_escaping_loses_nothing(text: str) -> None:
    escaped = escape(text)

    assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@given(texts, st.integers(min_value=len(MARK), max_value=500))
def test_what_was_cut_is_the_beginning_and_says_so(text: str, limit: int) -> None:
    escaped = escape(clean(text))

    result = truncate(escaped, limit, mark=MARK)

    assert result == escaped or (result.endswith(MARK) and escaped.startswith(result.removesuffix(MARK)))
    assert truncate(result, limit, mark=MARK) == result


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
        ("", EMPTY),
        ("\n \t", EMPTY),
        ("<!channel>", "&lt;!channel&gt;"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_a_text_is_shown_as(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize("shift", range(6))
def test_a_cut_splits_no_entity(shift: int) -> None:
    result = truncate("x" * shift + "&lt;" * 100, 50, mark="…")

    assert re.fullmatch(r"x*(&lt;)*…", result)
    assert 45 < len(result) <= 50


def test_a_text_at_the_limit_is_left_whole() -> None:
    assert truncate("x" * 50, 50, mark="…") == "x" * 50
    assert truncate("x" * 51, 50, mark="…") == "x" * 49 + "…"
