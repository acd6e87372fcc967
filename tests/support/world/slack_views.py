"""What people do in Slack besides pressing answer buttons: notes, Homes, reminders, the security channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.server import Click
from bot.sandbox.fake_slack.workspace import Message
from world.slack import SlackSide, paragraphs, ref_of
from world.waiting import until

#: What the variable MOZDEF_ALERT_URL is in these tests: a card is known by its link.
ALERT_URL = "https://mozdef.example/alerts/{identifier}"

#: Somebody of the security team.
RADIA = "U0RADIAP009"


def reminders_of(slack: SlackSide, question: Message) -> Sequence[Message]:
    ref = ref_of(question)
    sent = [one for one in slack.messages() if (one.metadata or {}).get("event_type") == "triage_reminder"]
    return sorted(
        (one for one in sent if (one.metadata or {})["event_payload"]["ref"] == ref), key=lambda one: one.ts
    )


def open_note(slack: SlackSide, question: Message) -> dict[str, Any]:
    """Press "Add a note", and wait for the window."""
    until(lambda: "note" in [block["block_id"] for block in _now(slack, question).blocks], what="the button")
    assert slack.press(question, "", action_id="note").acknowledged
    return until(lambda: modal_of(slack, "U" + question.channel[1:]), what="the window for a note")


def send_note(slack: SlackSide, question: Message, text: str) -> Click:
    """Write a note about an answer, and send it."""
    view, user = open_note(slack, question), "U" + question.channel[1:]
    values = {"note": {"text": {"type": "plain_text_input", "value": text}}}
    return slack.run(slack.stand_in.submit_view(user=user, view_id=view["id"], values=values))


def modal_of(slack: SlackSide, user: str) -> dict[str, Any] | None:
    return slack.do(lambda: slack.stand_in.workspace.modals.seen_by(user))


def open_home(slack: SlackSide, user: str) -> dict[str, Any]:
    """Look at the app's Home as this person, and wait until it shows something."""
    slack.run(slack.stand_in.open_home(user))
    return until(lambda: home_of(slack, user), what="the Home")


def home_of(slack: SlackSide, user: str) -> dict[str, Any] | None:
    return slack.do(lambda: slack.stand_in.workspace.homes.get(user))


def card_of(slack: SlackSide, identifier: str) -> Message | None:
    """Return the card about an alert as it stands. There is never more than one."""
    link = ALERT_URL.replace("{identifier}", identifier)
    cards = [
        one
        for one in slack.messages()
        if one.channel == SECURITY_CHANNEL and one.thread_ts is None and f"'{link}'" in str(one.blocks)
    ]
    assert len(cards) <= 1
    return cards[0] if cards else None


def thread_of(slack: SlackSide, card: Message) -> Sequence[str]:
    """Return what a person reads in each line of a card's thread, the oldest first."""
    lines = [
        one for one in slack.messages() if one.channel == card.channel and one.thread_ts == card.ts != one.ts
    ]
    return ["\n".join(paragraphs(one)) for one in sorted(lines, key=lambda one: one.ts)]


def _now(slack: SlackSide, question: Message) -> Message:
    message = slack.do(lambda: slack.stand_in.workspace.message(question.channel, question.ts))
    assert message is not None
    return message
