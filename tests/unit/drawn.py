"""Questions, and what is drawn of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fakes import NOON, a_request
from slack_sdk.models.blocks import Block
from wording import WORDING

from bot.sandbox.fake_slack.limits import (
    BLOCKS_TEXT_LIMIT,
    UPDATE_TEXT_LIMIT,
    length_of_text,
    problems_of_blocks,
)
from bot.sandbox.fake_slack.objects import text_of_block
from bot.slack.render.question import question_message
from bot.triage.asking_rules import offered_choices
from bot.triage.model import Choice, Confidence, Question, State
from bot.triage.outcomes import Outcome
from bot.triage.policy import Policy

POLICY = Policy()
LONG_ADDRESS = "a" * 61 + "@" + ".".join(["b" * 63] * 3)[:189] + ".io"
THANKS = WORDING["answer"]["yes"]


def a_question(confidence: Confidence = Confidence.LOWEST, **request: Any) -> Question:
    return Question(
        request=replace(a_request(**request), confidence=confidence),
        ref="0" * 32 + "." + "1" * 32,
        state=State.ASKED,
        accepted_at=NOON,
        due_at=None,
        slack_id="U0ADA",
        offered=offered_choices(confidence),
    )


def answered(said: Choice, *, standing: Outcome | None = None, answers: int = 1) -> Question:
    return replace(a_question(), said=said, standing=standing or Outcome(said.value), answers=answers)


def block(message: dict[str, Any], block_id: str) -> dict[str, Any]:
    found = [each for each in message["blocks"] if each.get("block_id") == block_id]
    assert len(found) == 1
    return dict(found[0])


def text_in(message: dict[str, Any], block_id: str) -> str:
    """Return what a person reads in a block."""
    return text_of_block(block(message, block_id))


def buttons(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["action_id"]: each for each in block(message, "answers")["elements"]}


def without_colours(shown: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return buttons as they are once the question has ended."""
    return {name: {key: each[key] for key in each if key != "style"} for name, each in shown.items()}


def answer_of(question: Question) -> str:
    return text_in(question_message(question, WORDING, POLICY), "answer")


def wording_with(table: str, key: str, text: str) -> dict[str, dict[str, str]]:
    return {**WORDING, table: {**WORDING[table], key: text}}


def assert_slack_takes(message: dict[str, Any]) -> None:
    assert problems_of_blocks(message["blocks"]) == []
    assert length_of_text(message["blocks"]) <= BLOCKS_TEXT_LIMIT
    for parsed in Block.parse_all(message["blocks"]):
        parsed.validate_json()
    assert 0 < len(message["text"]) <= UPDATE_TEXT_LIMIT


#: What an alert must not be able to do: shout, mention, link, hide, or speak in our voice.
HOSTILE = (
    "<!channel> <https://evil.example|your bank> <@U1> &lt;!here&gt; a\u202eb\u200bc\x00d {user} {0}"
    " *Was this you?* _yes_ :white_check_mark: `code` > quote"
)

#: What a text of ours may link to: the alert in MozDef, somebody's profile, a message in Slack.
OUR_LINKS = re.compile(
    r"https://(mozdef\.example/alerts|sandbox\.slack\.com/(team|archives))/[\w.~%/-]+", re.ASCII
)

#: Controls, formats, surrogates, private use, unassigned: nobody should get any of them, but for the newline.
DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def objects_in(drawn: Any) -> Iterator[dict[str, Any]]:
    """Yield every object with a type in what is drawn."""
    if isinstance(drawn, list):
        for each in drawn:
            yield from objects_in(each)
    elif isinstance(drawn, dict):
        if "type" in drawn:
            yield drawn
        for each in drawn.values():
            yield from objects_in(each)


def assert_visible(text: str) -> None:
    assert DROPPED.isdisjoint(map(unicodedata.category, set(text) - {"\n"})), text


def assert_harmless(drawn: Any) -> None:
    """Nothing in what is drawn is parsed, hides, mentions, or links to anywhere else."""
    for each in objects_in(drawn):
        assert each["type"] != "mrkdwn", each
        if each["type"] == "plain_text":
            assert each["emoji"] is False, each
        if each["type"] == "link":
            assert OUR_LINKS.fullmatch(each["url"]), each
        if isinstance(each.get("text"), str):
            assert_visible(each["text"])
    if isinstance(drawn, dict) and isinstance(drawn.get("text"), str):
        assert not re.search("[<>]|&(?!(amp|lt|gt);)", drawn["text"]), drawn["text"]
        assert_visible(drawn["text"])
