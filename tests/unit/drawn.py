"""Questions, and what is drawn of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fakes import NOON, a_request
from slack_sdk.models.blocks import Block
from wording import WORDING

from bot.sandbox.fake_slack.limits import problems_of_blocks
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
    found = [each for each in message["blocks"] if each["block_id"] == block_id]
    assert len(found) == 1
    return dict(found[0])


def buttons(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["action_id"]: each for each in block(message, "answers")["elements"]}


def answer_of(question: Question) -> str:
    return str(block(question_message(question, WORDING, POLICY), "answer")["text"]["text"])


def wording_with(table: str, key: str, text: str) -> dict[str, dict[str, str]]:
    return {**WORDING, table: {**WORDING[table], key: text}}


def assert_slack_takes(message: dict[str, Any]) -> None:
    assert problems_of_blocks(message["blocks"]) == []
    for parsed in Block.parse_all(message["blocks"]):
        parsed.validate_json()
    assert 0 < len(message["text"]) <= 4000


#: What an alert must not be able to do: shout, mention, link, hide.
HOSTILE = "<!channel> <https://evil.example|your bank> <@U1> &lt;!here&gt; a\u202eb\u200bc\x00d {user} {0}"

#: What a text of ours may link to: the alert in MozDef, somebody's profile, a message in Slack.
_OUR_LINK = re.compile(
    r"<(?:https://mozdef\.example|https://sandbox\.slack\.com|slack://user)[^<>|]*\|[^<>]*>"
)


def texts_of(drawn: Any) -> Iterator[dict[str, Any]]:
    """Yield every text object in what is drawn."""
    if isinstance(drawn, list):
        for each in drawn:
            yield from texts_of(each)
    elif isinstance(drawn, dict):
        if drawn.get("type") in ("mrkdwn", "plain_text"):
            yield drawn
        for each in drawn.values():
            yield from texts_of(each)


def assert_harmless(drawn: Any) -> None:
    """Nothing links or mentions but what we link to ourselves, and nothing in it is invisible."""
    markups = [each for each in texts_of(drawn) if each["type"] == "mrkdwn"]
    for text in markups:
        assert text["verbatim"] is True
    plain = [each["text"] for each in markups]
    if isinstance(drawn, dict) and isinstance(drawn.get("text"), str):
        plain.append(drawn["text"])
    for text in plain:
        assert not set("<>") & set(_OUR_LINK.sub("", text)), text
        assert not set("\u202e\u200b\x00") & set(text)
