"""What the person sees in the conversation: the question, its reminder, a refusal. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bot.slack.render import blocks
from bot.slack.render.blocks import CONFIRM_TEXT_MAX, Block
from bot.slack.render.marks import ACTION_PREFIX, question_metadata, shown_id
from bot.slack.render.rich_text import as_text, date, fill, literal, quote, sentence
from bot.slack.render.rich_text import link as link_to
from bot.slack.render.templates import CONFIRMS, NOTIFICATION_MAX, words_for
from bot.slack.render.text import escape, shorten, to_line
from bot.triage.answer_rules import Refusal
from bot.triage.factor_rules import is_exhausted, is_unproved
from bot.triage.model import FACT_VALUE_MAX, Choice
from bot.triage.outcomes import OUTCOMES, Outcome
from bot.triage.policy import NoteRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.slack.render.rich_text import Element
    from bot.slack.render.templates import Wording
    from bot.triage.answer_rules import Notice
    from bot.triage.model import Fact, Question
    from bot.triage.policy import Policy

#: The button that opens the window for a note.
NOTE_ACTION = "note"

#: Marks a question's reminders, so that they can be recognised.
REMINDER_EVENT = "triage_reminder"

#: Shown of a summary, and of the facts: characters, and lines of the summary.
SUMMARY_MAX = 3000
LINES_MAX = 15

_STYLES = {Choice.YES: "primary", Choice.NO: "danger"}


def question_message(question: Question, wording: Wording, policy: Policy) -> dict[str, Any]:
    """Return `text`, `blocks` and `metadata` of the question's message, as what is stored now wants it."""
    words = words_for(policy.of(question), wording)
    answer = answer_text(question, words)
    content = [
        blocks.header(title_of(question, policy), block_id="title"),
        *evidence(question, words, policy, SUMMARY_MAX),
        sentence(fill(words["question"]["ask"], user=address(question)), block_id="question"),
        blocks.actions(answer_buttons(question, words), block_id="answers"),
        *deadline_block(question, words, policy),
        blocks.context(words["question"]["about"], block_id=shown_id(question)),
        *_answer_blocks(question, answer, words, policy),
    ]
    proof = proof_elements(question, words, policy)
    told = escape(answer) or as_text(proof)
    text = told or _notification(question, words)
    return {"text": text, "blocks": content, "metadata": question_metadata(question)}


def evidence(
    question: Question, words: Wording, policy: Policy, limit: int, *, suffix: str = ""
) -> list[Block]:
    """Return what the alert says: when it happened, then its summary and its facts, each as a quote.

    `limit` is for the characters of each quote. The blocks' ids end in `suffix`.
    """
    request = question.request
    shown = []
    if request.occurred_at is not None:
        when = date(request.occurred_at, policy.zone(question))
        shown.append(sentence(fill(words["question"]["when"], date=[when]), block_id=f"when{suffix}"))
    shown.append(quote([literal(summary_text(question, words, limit))], block_id=f"summary{suffix}"))
    if request.facts:
        lines = "\n".join(f"{to_line(fact.name)}: {_value_text(fact)}" for fact in request.facts)
        facts = shorten(lines, limit, mark=words["text"]["cut"])
        shown.append(quote([literal(facts)], block_id=f"facts{suffix}"))
    return shown


def title_of(question: Question, policy: Policy) -> str:
    """Return what the alert is called: its title, or else its label, in one line."""
    return to_line(policy.of(question).title or question.request.alert)


def deadline_block(question: Question, words: Wording, policy: Policy, *, suffix: str = "") -> list[Block]:
    """Return the line that says by when to answer; nothing if there is no deadline or the question has ended.

    Before the question is asked, the deadline counts from its last claim. The block's id ends in `suffix`.
    """
    asking_at = question.in_doubt_since if question.asked_at is None else None
    deadline = policy.deadline(question, asking_at) if asking_at else question.deadline
    if deadline is None or question.standing is not None:
        return []
    moment = date(deadline, policy.zone(question))
    return [sentence(fill(words["question"]["deadline"], deadline=[moment]), block_id=f"deadline{suffix}")]


def answer_text(question: Question, words: Wording) -> str:
    """Return what the person is told about their answer, or about its absence; "" if there is nothing."""
    texts = words["answer"]
    if question.said is None or is_unproved(question):
        ended = question.standing
        return texts[ended] if ended and OUTCOMES[ended].has_answer_text else ""
    # A report of fraud is a *no* that nobody said in Slack; a milder choice does not replace that either.
    no_stands = question.standing is Outcome.NO and question.said is not Choice.NO
    if question.retracted or no_stands:
        return texts["retracted"]
    answer = texts[question.said]
    return texts["changed"].format(answer=answer) if question.answers > 1 else answer


def advice_elements(question: Question, policy: Policy) -> list[Element]:
    """Return what the security team wants the person to do after a *no* that stands; [] if nothing."""
    advice = policy.of(question).no_advice
    return fill(advice) if advice and question.standing is Outcome.NO else []


def proof_elements(question: Question, words: Wording, policy: Policy) -> list[Element]:
    """Return what the person has to do so that their *yes* counts; [] if there is nothing."""
    texts, choice = words["factor"], words["button"][Choice.YES]
    if question.proof_code:
        return fill(
            texts["confirm"], provider=policy.provider or words["text"]["empty"], code=question.proof_code
        )
    if not is_unproved(question) or question.standing is Outcome.NO:
        return []
    if is_exhausted(question):
        return fill(texts["over"])
    if question.retry_at is None:
        return fill(texts["again"], choice=choice)
    return fill(texts["later"], choice=choice, date=[date(question.retry_at, policy.zone(question))])


def reminder_message(question: Question, wording: Wording, policy: Policy, *, link: str) -> dict[str, Any]:
    """Return `text`, `blocks` and `metadata` of a reminder.

    `link` goes to the question. Without one ("") the reminder points to the Home, which has the question too.
    """
    words = wording["reminder"]
    user = address(question)
    if question.deadline is None:
        elements = fill(words["text_open"], user=user)
    else:
        deadline = date(question.deadline, policy.zone(question))
        elements = fill(words["text"], user=user, deadline=[deadline])
    if not link:
        elements += [literal(" "), *fill(words["home"])]
    shown = [*elements, literal(" "), link_to(link, words["link"])] if link else elements
    payload = {"ref": question.ref, "n": question.reminders}
    return {
        "text": as_text(elements),
        "blocks": [sentence(shown, block_id="reminder")],
        "metadata": {"event_type": REMINDER_EVENT, "event_payload": payload},
    }


def notice_message(notice: Notice, wording: Wording) -> dict[str, Any]:
    """Return what the clicker, and nobody else, is told: nothing was changed, or what follows failed."""
    elements = fill(notice_text(notice, wording))
    return {
        "text": as_text(elements),
        "blocks": [sentence(elements, block_id="notice")],
        "response_type": "ephemeral",
        "replace_original": False,
    }


def notice_text(notice: Notice, wording: Wording) -> str:
    """Return the words for a notice, a template without placeholders."""
    return wording["refusal" if isinstance(notice, Refusal) else "unfinished"][notice]


def answer_buttons(question: Question, words: Wording) -> list[Block]:
    """Return the buttons of the choices that are offered, in order; coloured until the question has ended."""
    user = address(question)
    is_open = question.said is None and question.standing is None
    return [_button(choice, question.ref, user, words, coloured=is_open) for choice in question.offered]


def address(question: Question) -> str:
    """Return the address that the alert names, in one line."""
    return to_line(question.request.user)


def summary_text(question: Question, words: Wording, limit: int) -> str:
    """Return the alert's summary, cleaned, and cut to `limit` characters and `LINES_MAX` lines."""
    marks, request = words["text"], question.request
    text = shorten(request.summary, limit, lines=LINES_MAX, mark=marks["cut"], empty=marks["empty"])
    if request.is_cut and not text.endswith(marks["cut"]):  # what is kept is shown, but not all was kept
        return text[: limit - len(marks["cut"])] + marks["cut"]
    return text


def _value_text(fact: Fact) -> str:
    return shorten(fact.value, FACT_VALUE_MAX, mark="…", lines=1)


def _button(choice: Choice, ref: str, user: str, words: Wording, *, coloured: bool) -> Block:
    button = blocks.button(words["button"][choice], action_id=f"{ACTION_PREFIX}{choice}", value=ref)
    if coloured and choice in _STYLES:
        button["style"] = _STYLES[choice]
    if choice in CONFIRMS:
        button["confirm"] = _confirm(words[CONFIRMS[choice]], user)
    return button


def _confirm(words: Mapping[str, str], user: str) -> Block:
    return {
        "title": blocks.plain(words["title"]),
        "text": blocks.plain(_confirm_text(words["text"], user)),
        "confirm": blocks.plain(words["confirm"]),
        "deny": blocks.plain(words["deny"]),
    }


@lru_cache(maxsize=256)  # it is drawn again with the answer
def _confirm_text(text: str, user: str) -> str:
    room = CONFIRM_TEXT_MAX - len(text.format(user=""))
    return text.format(user=shorten(user, room // max(1, text.count("{user}")), mark="…"))


def _answer_blocks(question: Question, answer: str, words: Wording, policy: Policy) -> list[Block]:
    """Return which answer counts, what follows from it, and that it can be changed."""
    told = [blocks.section(answer, block_id="answer")] if answer else []
    if question.said is None or question.answered_at is None:
        return told
    texts, proof = words["answer"], proof_elements(question, words, policy)
    advice = advice_elements(question, policy)
    moment = date(question.answered_at, policy.zone(question))
    template = words["factor"]["pressed"] if is_unproved(question) else texts["given"]
    given = fill(template, choice=words["button"][question.said], date=[moment])
    return [
        sentence(given, block_id="given"),
        *told,
        *([sentence(advice, block_id="advice")] if advice else []),
        *([sentence(proof, block_id="proof")] if proof else []),
        blocks.context(texts["another"], block_id="another"),
        *_note_blocks(question, words, policy),
    ]


def _note_blocks(question: Question, words: Wording, policy: Policy) -> list[Block]:
    """Return the button for a note, where the answer may have one, and thanks for one that there is.

    A person who took an answer back may explain the one that stands.
    """
    given = [choice for choice in Choice if choice.value in (question.said, question.standing)]
    is_offered = any(policy.note_rule(question, each) is not NoteRule.NEVER for each in given)
    if question.standing is None or not is_offered:
        return []
    button = blocks.button(words["note"]["button"], action_id=NOTE_ACTION, value=question.ref)
    thanks = [blocks.context(words["note"]["thanks"], block_id="noted")] if question.notes else []
    return [blocks.actions([button], block_id="note"), *thanks]


def _notification(question: Question, words: Wording) -> str:
    marks = words["text"]
    summary = shorten(
        question.request.summary, NOTIFICATION_MAX, mark=marks["cut"], empty=marks["empty"], lines=1
    )
    return as_text(fill(words["question"]["notification"], user=address(question), summary=summary))
