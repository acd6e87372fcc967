"""What comes in from Slack can be stored and sent on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.input_cleaning import make_storable, read_text

#: Texts with lone surrogates, as they come out of JSON's escapes.
texts = st.text(st.characters(codec=None, exclude_categories=[]), max_size=8)
answers = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("a\ud800b", "a\ufffdb"), ("\udfff", "\ufffd"), ("\U0001f600 é\n", "\U0001f600 é\n"), ("ada", "ada")],
)
def test_half_a_character_is_replaced_and_all_else_stays(sent: str, kept: str) -> None:
    assert (make_storable(sent), read_text(sent)) == (kept, kept)


def test_halves_that_were_sent_together_are_one_character() -> None:
    assert make_storable("\ud83d\ude00") == "\U0001f600"


@given(answers)
def test_whatever_comes_in_can_be_written_in_utf_8(answer: Any) -> None:
    json.dumps(make_storable(answer), ensure_ascii=False).encode()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_can_be_stored_stays_as_it_is(answer: Any) -> None:
    assert make_storable(answer) == answer


@pytest.mark.parametrize("value", [None, 7, ["ada"], {"name": "ada"}])
def test_what_is_no_text_is_an_empty_one(value: object) -> None:
    assert read_text(value) == ""
