"""Questions, and what is drawn of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fakes import NOON, a_request
from slack_sdk.models.blocks import Block

from bot.config_files import load_messages
from bot.sandbox.slack.limits import problems_of_blocks
from bot.slack.messages import question_message
from bot.triage.model import Choice, Confidence, Outcome, Question, State
from bot.triage.rules import offered_choices

WORDING = load_messages()
LONG_ADDRESS = "a" * 61 + "@" + ".".join(["b" * 63] * 3)[:189] + ".io"
THANKS = "Understood, thanks for letting us know."


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
    return str(block(question_message(question, WORDING), "answer")["text"]["text"])


def wording_with(table: str, key: str, text: str) -> dict[str, dict[str, str]]:
    return {**WORDING, table: {**WORDING[table], key: text}}


def assert_slack_takes(message: dict[str, Any]) -> None:
    assert problems_of_blocks(message["blocks"]) == []
    for parsed in Block.parse_all(message["blocks"]):
        parsed.validate_json()
    assert 0 < len(message["text"]) <= 4000
