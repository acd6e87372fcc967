"""Whatever Slack sends in the shape of a payload is acknowledged, or one line of the log says why not."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from click_harness import NOTE_REQUIRED, ClickHarness, triage
from effort import effort
from hypothesis import example, given, settings
from hypothesis import strategies as st
from running_slack import ADA
from world import eventually

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL
from bot.sandbox.fake_slack.payloads import (
    Press,
    app_home_opened,
    block_actions,
    event_callback,
    view_closed,
    view_submission,
)
from bot.triage.model import Choice
from bot.triage.policy import Policy

REQUIRED = Policy(alerts=NOTE_REQUIRED, security_channel=SECURITY_CHANNEL)

#: The events of what follows a click that was acknowledged.
FOLLOW_UPS = frozenset({"follow_up.failed", "notice.lost", "reply.failed"})

#: How long after a line of the log an acknowledgement may still come, in seconds.
GRACE = 0.05

#: What replaces in a payload what Slack would have put there.
garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "\ud800", "x" * 5000, "answer-no", "note", "view", "home"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


class Lines(logging.Handler):
    """Keeps what is logged, and returns what is about a payload."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []
        self.written = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if vars(record).get("event") not in FOLLOW_UPS:
            self.written.set()


@dataclass(kw_only=True)
class Bench:
    """A worker's inside that is sent payloads, and real ones to begin with."""

    runner: asyncio.Runner
    bot: ClickHarness
    lines: Lines
    payloads: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def send(self, kind: str, payload: Any) -> tuple[bool, Sequence[logging.LogRecord]]:
        """Send an envelope; return whether it was acknowledged, and what was logged meanwhile."""
        return self.runner.run(self._send(kind, payload))

    def say(self, text: str) -> Sequence[logging.LogRecord]:
        """Send any text; return what was logged."""
        return self.runner.run(self._say(text))

    async def _send(self, kind: str, payload: Any) -> tuple[bool, Sequence[logging.LogRecord]]:
        self._clear()
        sending = asyncio.create_task(self.bot.slack.slack.socket_mode.send(kind, payload))
        writing = asyncio.create_task(self.lines.written.wait())
        await asyncio.wait({sending, writing}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({sending}, timeout=GRACE)
        is_taken = sending.done() and sending.result() is not None
        for task in (sending, writing):
            task.cancel()
        return is_taken, list(self.lines.records)

    async def _say(self, text: str) -> Sequence[logging.LogRecord]:
        self._clear()
        await self.bot.slack.slack.socket_mode.say(text)
        await asyncio.wait_for(self.lines.written.wait(), 5)
        await asyncio.sleep(GRACE)
        return list(self.lines.records)

    def _clear(self) -> None:
        self.lines.records.clear()
        self.lines.written.clear()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        bot = runner.run(stack.enter_async_context(triage(tmp_path_factory.mktemp("malformed"), REQUIRED)))
        bench = Bench(runner=runner, bot=bot, lines=Lines())
        bench.payloads = runner.run(_real_payloads(bot))
        logging.getLogger().addHandler(bench.lines)
        try:
            yield bench
        finally:
            logging.getLogger().removeHandler(bench.lines)
            runner.run(stack.aclose())


async def _real_payloads(bot: ClickHarness) -> dict[str, tuple[str, Any]]:
    """Return one payload of each kind, as Slack sends it, with the kind of its envelope."""
    slack, question = bot.slack.slack.installation, await bot.ask()
    await bot.press(question, Choice.NO)
    modal = await eventually(bot.modal)
    card = await bot.show_card()
    await bot.open_home()
    on_message: Any = {"user": ADA, "channel": question.channel, "ts": question.ts, "value": question.ref}
    values = {"note": {"text": {"type": "plain_text_input", "value": "On a train."}}}
    interactions = {
        "answer": block_actions(slack, Press(action_id="answer-yes", **on_message)),
        "note wanted": block_actions(slack, Press(action_id="note", **on_message)),
        "take": block_actions(
            slack, Press(action_id="take-it", **{**on_message, "channel": card.channel, "ts": card.ts})
        ),
        "answer in the Home": block_actions(
            slack, Press(user=ADA, action_id="answer-no", via="home", value=question.ref)
        ),
        "note": view_submission(slack, ADA, view=modal, values=values),
        "window closed": view_closed(slack, ADA, view=modal),
        "shortcut": _shortcut(slack, "shortcut"),
        "message shortcut": _shortcut(slack, "message_action"),
        "something new": _shortcut(slack, "something_new"),
        "button of others": block_actions(slack, Press(action_id="something-else", **on_message)),
        "choice that there is not": block_actions(slack, Press(action_id="answer-maybe", **on_message)),
        "no choice": block_actions(slack, Press(action_id="answer-", **on_message)),
        "button without a name": block_actions(slack, Press(action_id="", **on_message)),
        "menu": {**_shortcut(slack, "block_actions"), "actions": [MENU]},
        "window of others": view_submission(slack, ADA, view={**modal, "callback_id": "x"}, values=values),
    }
    events = {
        "Home opened": event_callback(slack, app_home_opened(slack, ADA, tab="home")),
        "uninstalled": event_callback(slack, {"type": "app_uninstalled"}),
        "new event": event_callback(slack, {"type": "something_new", "user": ADA}),
    }
    command = {"command": "/triage", "text": "", "team_id": slack.workspace.team_id, "user_id": ADA}
    return {
        **{name: ("interactive", payload) for name, payload in interactions.items()},
        **{name: ("events_api", payload) for name, payload in events.items()},
        "command": ("slash_commands", command),
        "new kind": ("something_new", {"hello": "there"}),
    }


def _shortcut(slack: Any, kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "callback_id": "ours",
        "team": {"id": slack.workspace.team_id, "domain": "sandbox"},
        "user": {"id": ADA, "team_id": slack.workspace.team_id},
        "trigger_id": slack.new_trigger(ADA),
        "message": {"ts": "1764000000.000100", "text": "hello"},
        "channel": {"id": "D0ADALOVE01"},
    }


MENU = {"type": "static_select", "action_id": "answer-yes", "selected_option": {"value": "yes"}}
NAMES = (
    *("answer", "note wanted", "take", "answer in the Home", "note", "window closed", "shortcut"),
    *("message shortcut", "something new", "button of others", "choice that there is not", "no choice"),
    *("button without a name", "menu", "window of others", "Home opened", "uninstalled", "new event"),
    *("command", "new kind"),
)


def places_in(value: Any) -> list[tuple[Any, ...]]:
    """Return the path of each thing in a payload."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in inside for path in ((key,), *((key, *rest) for rest in places_in(inner)))]


@st.composite
def malformations(draw: st.DrawFn) -> list[tuple[float, str, Any]]:
    """Draw what is done to a payload: where (as a share of all its places), what, and with what."""
    change = st.tuples(
        st.floats(0, 1, exclude_max=True), st.sampled_from(["drop", "retype", "nest", "wrap"]), garbage
    )
    return draw(st.lists(change, min_size=1, max_size=3))


def malformed(payload: Any, changes: Sequence[tuple[float, str, Any]]) -> Any:
    """Return a payload with these things done to it."""
    payload = copy.deepcopy(payload)
    for share, what, thing in changes:
        places = places_in(payload)
        if places:
            *way, last = places[int(share * len(places))]
            parent = payload
            for key in way:
                parent = parent[key]
            if what == "drop":
                del parent[last]
            else:
                parent[last] = {
                    "retype": thing,
                    "nest": {"id": parent[last], "more": thing},
                    "wrap": [parent[last]],
                }[what]
    return payload


def assert_told(acknowledged: bool, records: Sequence[logging.LogRecord]) -> None:  # noqa: FBT001 - what is judged
    """Assert it of one payload. What followed the clicks before it may be told meanwhile."""
    told = [(record.getMessage(), str(vars(record).get("event"))) for record in records]
    assert [record.exc_info for record in records if record.exc_info] == [], told
    assert acknowledged or len([event for _, event in told if event not in FOLLOW_UPS]) == 1, told


@pytest.mark.parametrize("name", NAMES)
def test_every_real_payload_is_acknowledged(bench: Bench, name: str) -> None:
    assert set(NAMES) == set(bench.payloads)

    acknowledged, records = bench.send(*bench.payloads[name])

    assert acknowledged
    assert_told(acknowledged, records)


@pytest.mark.parametrize(
    "name", ["answer", *(pytest.param(each, marks=pytest.mark.slow) for each in NAMES if each != "answer")]
)
def test_a_payload_that_lacks_anything_is_acknowledged_or_one_line_says_why_not(
    bench: Bench, name: str
) -> None:
    kind, payload = bench.payloads[name]
    for number, place in enumerate(places_in(payload)):
        if len(place) <= 4:
            assert_told(*bench.send(kind, malformed(payload, [(_share(payload, number), "drop", None)])))


@settings(max_examples=effort(60, 400))
@given(name=st.sampled_from(NAMES), changes=malformations())
@example(name="answer", changes=[(0.0, "retype", [])])
def test_a_malformed_payload_is_acknowledged_or_one_line_says_why_not(
    bench: Bench, name: str, changes: list[tuple[float, str, Any]]
) -> None:
    kind, payload = bench.payloads[name]

    assert_told(*bench.send(kind, malformed(payload, changes)))


@pytest.mark.parametrize("payload", [None, [], "text", 7, {}, [{"type": "block_actions"}]])
@pytest.mark.parametrize("kind", ["interactive", "events_api", "slash_commands", "", None, ["interactive"]])
def test_an_envelope_with_anything_in_it_is_acknowledged_or_one_line_says_why_not(
    bench: Bench, kind: Any, payload: Any
) -> None:
    assert_told(*bench.send(kind, payload))


@pytest.mark.parametrize("missing", ["type", "envelope_id", "payload"])
def test_an_envelope_that_is_none_is_told_in_one_line(bench: Bench, missing: str) -> None:
    envelope = {"type": "interactive", "envelope_id": "1", "payload": {}, "accepts_response_payload": False}
    del envelope[missing]

    assert_told(False, bench.say(json.dumps(envelope)))  # noqa: FBT003 - nothing could be


@pytest.mark.parametrize("text", ["[1]", "hello", "{", '{"a": ' * 5000 + "1" + "}" * 5000, "{}"])
def test_a_text_that_is_no_envelope_is_told_in_one_line(bench: Bench, text: str) -> None:
    assert_told(False, bench.say(text))  # noqa: FBT003 - nothing could be


def test_a_payload_that_is_not_understood_is_told_without_what_is_in_it(bench: Bench) -> None:
    kind, payload = bench.payloads["answer"]
    secret = "the alert's own text"

    records = [
        record
        for place in ("type", "team", "user", "actions", "container", "channel", "message")
        for record in bench.send(kind, {**payload, place: {"id": [secret], "text": secret}})[1]
    ]

    assert records
    assert [record for record in records if secret in str(vars(record))] == []


def _share(payload: Any, number: int) -> float:
    return (number + 0.5) / len(places_in(payload))
