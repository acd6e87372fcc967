"""What people see: a question as Block Kit. Pure; the words are those of `messages.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bot.errors import ConfigError
from bot.slack.text import clean, cut, escape, harmless
from bot.triage.model import Choice

if TYPE_CHECKING:
    from bot.triage.model import Question

Block = dict[str, Any]

#: Table → key → text, as `messages.toml` has it.
Wording = Mapping[str, Mapping[str, str]]

#: Slack's limits, in characters: https://docs.slack.dev/reference/block-kit (2026-11).
SECTION_MAX = 3000
CONFIRM_TEXT_MAX = 300
#: A fallback text is recommended to stay within 4,000; a notification shows far less.
NOTIFICATION_MAX = 300

#: What each button's action_id starts with; no other action_id of ours does.
ACTION_PREFIX = "answer-"

#: Marks a question's message, so that it can be found again.
QUESTION_EVENT = "triage_question"

_STYLES = {Choice.YES: "primary", Choice.NO: "danger"}
_CONFIRMS = {Choice.NO: "confirm_no", Choice.WRONG_USER: "confirm_wrong_user"}

#: The longest address of the contract, and what stands for a placeholder when a text is measured.
_ADDRESS_MAX = 254
_LONGEST = {"user": "x" * _ADDRESS_MAX, "summary": "x" * NOTIFICATION_MAX}

#: Placeholders that are cut to the room that their text leaves, so that they count as nothing.
_CUT = {"user": ""}

#: What a text may hold at the most, its placeholders filled in, where that is not `_LIMIT`.
_LIMITS = {
    **{("button", choice.value): 75 for choice in Choice},
    **{(table, "title"): 100 for table in _CONFIRMS.values()},
    **{(table, key): 30 for table in _CONFIRMS.values() for key in ("confirm", "deny")},
    ("confirm_no", "text"): CONFIRM_TEXT_MAX,
    ("confirm_wrong_user", "text"): 250,
    ("text", "cut"): 100,
    ("text", "empty"): 100,
    ("question", "ask"): SECTION_MAX,
    ("question", "notification"): 1000,
    ("answer", "changed"): SECTION_MAX,
}
_LIMIT = 2000


def check_wording(wording: Wording) -> None:
    """Refuse texts that Slack would refuse. `ConfigError` names table, key and limit of each."""
    problems = [
        f"messages.toml: [{table}] {key} has up to {length} characters; expected at most {limit}"
        for table, texts in wording.items()
        for key, text in texts.items()
        if (length := _length(table, text, wording)) > (limit := _LIMITS.get((table, key), _LIMIT))
    ]
    if problems:
        raise ConfigError(problems)


def question_message(question: Question, wording: Wording) -> dict[str, Any]:
    """Return `text` and `blocks` of the question's message, as it must look for what is stored now."""
    user = escape(clean(question.request.user))
    marks = wording["text"]
    summary = harmless(question.request.summary, SECTION_MAX, mark=marks["cut"], empty=marks["empty"])
    blocks = [
        _section("summary", summary),
        _section("question", wording["question"]["ask"].format(user=user)),
        {"type": "actions", "block_id": "answers", "elements": _buttons(question, wording)},
        {"type": "context", "block_id": "about", "elements": [_mrkdwn(wording["question"]["about"])]},
    ]
    answer = _answer_text(question, wording)
    if answer:
        blocks.append(_section("answer", answer))
    return {"text": answer or _notification(question, user, wording), "blocks": blocks}


def question_metadata(question: Question) -> dict[str, Any]:
    """Return the metadata by which the message is known again."""
    return {"event_type": QUESTION_EVENT, "event_payload": {"ref": question.ref}}


def refusal_message(refusal: str, wording: Wording) -> dict[str, Any]:
    """Return what the clicker, and nobody else, is told when a click changes nothing."""
    return {"text": wording["refusal"][refusal], "response_type": "ephemeral", "replace_original": False}


def _length(table: str, text: str, wording: Wording) -> int:
    """Return how long a text can get."""
    answer = max((words for key, words in wording["answer"].items() if key != "changed"), key=len)
    values = _CUT if table in _CONFIRMS.values() else {**_LONGEST, "answer": answer}
    return len(text.format(**values))


def _buttons(question: Question, wording: Wording) -> list[Block]:
    return [_button(choice, question, wording) for choice in question.offered]


def _button(choice: Choice, question: Question, wording: Wording) -> Block:
    button: Block = {
        "type": "button",
        "action_id": f"{ACTION_PREFIX}{choice}",
        "value": question.ref,
        "text": _plain(wording["button"][choice]),
    }
    if choice in _STYLES:
        button["style"] = _STYLES[choice]
    if choice in _CONFIRMS:
        button["confirm"] = _confirm(wording[_CONFIRMS[choice]], question.request.user)
    return button


def _confirm(words: Mapping[str, str], user: str) -> Block:
    room = CONFIRM_TEXT_MAX - len(words["text"].format(user=""))
    room //= max(1, words["text"].count("{user}"))
    text = words["text"].format(user=cut(clean(user), room, mark="…"))
    return {
        "title": _plain(words["title"]),
        "text": _plain(text),
        "confirm": _plain(words["confirm"]),
        "deny": _plain(words["deny"]),
    }


def _answer_text(question: Question, wording: Wording) -> str:
    words = wording["answer"]
    if question.said is None:
        return ""
    if question.retracted:
        return words["retracted"]
    answer = words[question.said]
    return words["changed"].format(answer=answer) if question.answers > 1 else answer


def _notification(question: Question, user: str, wording: Wording) -> str:
    marks = wording["text"]
    template = wording["question"]["notification"]
    one_line = " ".join(clean(question.request.summary).split())
    summary = harmless(one_line, NOTIFICATION_MAX, mark=marks["cut"], empty=marks["empty"])
    return template.format(user=user, summary=summary)


def _section(block_id: str, text: str) -> Block:
    # Verbatim: Slack must not make links or mentions of anything in it.
    return {"type": "section", "block_id": block_id, "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": True}
