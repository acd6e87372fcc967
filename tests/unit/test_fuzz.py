"""Hostile bodies and texts: nothing escapes, nothing reaches Slack or MozDef unescaped.

Two thousand each time, and a hundred thousand in the slow run.
"""

from __future__ import annotations

import base64
import json
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from drawn import DROPPED, a_question, assert_harmless, assert_slack_takes, assert_visible
from fakes import ADA, NOON
from service_harness import a_click
from wording import WORDING

from bot.slack.render.question import SUMMARY_MAX, question_message
from bot.slack.render.templates import NOTIFICATION_MAX
from bot.slack.render.text import shorten
from bot.sqs.wire import decode_request, write_report
from bot.triage import asking_rules
from bot.triage.answer_rules import answer_question
from bot.triage.model import Choice, Confidence, InvalidBody, Question, Report, Step, TriageRequest
from bot.triage.outcomes import Profile, Reason
from bot.triage.policy import Policy

BODIES = pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
TEXTS = pytest.mark.parametrize("count", [1_500, pytest.param(90_000, marks=pytest.mark.slow)])

#: Every how-many-th message is held against all of Slack's rules; that takes a while.
SAMPLE = 40

#: Whatever SQS refuses or a terminal obeys: a body is printable ASCII.
NOT_PRINTABLE = re.compile("[^ -~]")
BODY_BYTES_MAX = 64 * 1024

POLICIES = [
    Policy(profile=profile, allow_deescalation=allow) for profile in Profile for allow in (True, False)
]


def seeded(name: str) -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"{name}: seed {seed}")  # pytest shows it when the test fails
    return random.Random(seed)


def settle(question: Question, dice: random.Random) -> Iterator[tuple[Question, Report]]:
    """Take a question to one of its ends and change the mind about it; yield all that MozDef is told."""
    policy, later = dice.choice(POLICIES), NOON + timedelta(days=2)
    expired = asking_rules.expire(question, later, policy)
    closed = asking_rules.close(question, Reason.USERS_NOT_FOUND, later, policy)
    step: Any = dice.choice([None, expired, closed])
    if step is not None:
        yield step.question, step.report
    current = asking_rules.claim(step.question if step else question, ADA, NOON).question
    for choice in dice.choices(list(Choice), k=2):
        step = answer_question(current, replace(a_click(current, choice), at=later), policy)
        if isinstance(step, Step) and step.report:
            current = step.question
            yield current, step.report


def assert_mozdef_can_read(report: Report) -> None:
    row = write_report(report, NOON)
    assert not NOT_PRINTABLE.search(row.body)
    assert len(row.body) < BODY_BYTES_MAX
    details = json.loads(row.body)["details"]
    assert details["identifier"] == report.identifier
    assert details["triagebot"]["outcome"] == report.outcome


@BODIES
def test_no_body_does_any_harm_on_its_whole_way(count: int) -> None:
    dice = seeded("bodies")
    bodies, accepted, rejected = HostileBodies(dice), 0, 0

    for number in range(count):
        decoded = decode_request(bodies.draw())
        if isinstance(decoded, InvalidBody):
            rejected += 1
            assert not NOT_PRINTABLE.search(decoded.reason)
            if decoded.salvaged:
                step = asking_rules.reject(decoded.salvaged, "0.1", NOON, dice.choice(POLICIES))
                assert step.report
                assert_mozdef_can_read(step.report)
        else:
            accepted += 1
            take_whole_way(decoded, dice, thoroughly=number % SAMPLE == 0)

    # Neither kind may be so rare that nothing was tried.
    assert accepted > count / 10
    assert rejected > count / 10


def take_whole_way(request: TriageRequest, dice: random.Random, *, thoroughly: bool) -> None:
    accepted = asking_rules.accept(
        request, asking_rules.new_ref(request.identifier, "1" * 32), NOON, POLICIES[0]
    ).question
    claimed = asking_rules.claim(accepted, ADA, NOON).question
    answered = []
    for question, report in settle(accepted, dice):
        assert_mozdef_can_read(report)
        answered += [question] if question.said else []
    for question in [claimed, *answered[-1:]]:
        message = question_message(question, WORDING, POLICIES[0])
        assert_harmless(message)
        if thoroughly:
            assert_slack_takes(message)


@TEXTS
def test_no_text_reaches_slack_as_anything_but_text(count: int) -> None:
    dice = seeded("texts")
    bodies = HostileBodies(dice)
    marks = WORDING["text"]
    question = replace(a_question(), reports=1)

    for number in range(count):
        text, limit = bodies.text(), dice.choice((NOTIFICATION_MAX, SUMMARY_MAX))
        shown = shorten(text, limit, mark=marks["cut"], empty=marks["empty"])
        assert_visible(shown)
        assert 0 < len(shown) <= limit
        if number % SAMPLE == 0:
            request = replace(question.request, summary=text)
            assert_slack_takes(question_message(replace(question, request=request), WORDING, POLICIES[0]))


def test_the_drawn_bodies_are_as_hostile_as_they_should_be() -> None:
    bodies = HostileBodies(random.Random(1))
    drawn = [bodies.draw() for _ in range(3000)]

    assert sum(body.isascii() for body in drawn) > 300
    assert any("\u202e" in body for body in drawn)
    assert any("<!channel>" in body for body in drawn)
    assert any(len(body) > 20_000 for body in drawn)
    assert any(_is_base64_of_json(body) for body in drawn)
    texts = [bodies.text() for _ in range(300)]
    assert sum(not DROPPED.isdisjoint(map(unicodedata.category, text)) for text in texts) > 30
    assert sum("<" in text for text in texts) > 30


def _is_base64_of_json(body: str) -> bool:
    try:
        return isinstance(json.loads(base64.b64decode(body, validate=True)), dict)
    except ValueError:
        return False


#: What a text may do to the program that shows it.
PIECES = (
    "<!channel>", "<!here|you>", "<!subteam^S1>", "<@U0ADA>", "<#C1|general>",
    "<https://evil.example|your bank>",
    "<http://evil.example>", "<mailto:eve@evil.example|you>", "&lt;!channel&gt;", "&amp;lt;", "&", "<",
    ">", "<!", "<@",
    "https://evil.example", "*bold*", "_it_", "~no~", "`code`", "```", ":smile:", "{user}", "{summary}",
    "{0}", "%s",
    "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\ufeff", "\u00ad", "\x00", "\x07", "\x1b[31m",
    "\x7f", "\x85",
    "\r\n", "\r", "\n", "\n\n\n", "\t", "\u2028", "\u2029", "\u00a0", "\u3000", "\ud800", "\udfff",
    "\ud83d\ude00",
    "\ue000", "\U000e0001", "\U000e0041", "\U0010ffff", "\ufffe", "\u0378", "e\u0301",
    "\u0301\u0301\u0301", "ﷺ", "ﬃ",
    "日本語", "עברית", "العربية", "🙂", "👩‍👩‍👧", "'; DROP TABLE question; --",
    '"', "\\", "\\u0000", "../../etc/passwd",
    "${HOME}", "{{7*7}}", "<img src=x onerror=alert(1)>", "-----BEGIN", "x" * 60, "&" * 40, "<" * 40,
    " " * 50,
)  # fmt: skip

#: Values of which no field should be made.
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**40, "", " ", "N/A", [], {}, ["ada@example.com"], {"email": "ada@example.com"},
    "x" * 255, "x" * 256, "é" * 255, "ada@example.com\n", "a@b", "a@b.c", "@", "ada@exämple.com",
    "lowest ", "LOWEST",
    "a" * 240 + "@example.com", "a" * 243 + "@example.com", "ada@example.com,eve@example.com", "\x00",
    "\ud800",
)  # fmt: skip

#: Bodies that are no request at all.
STRANGE = (
    "", " ", "null", "true", "0", '"text"', "[]", "{}", "[[[[", "{" * 5000, "[" * 100_000, "9" * 5000, "-",
    "NaN",
    '{"identifier": NaN}', '{"identifier": Infinity}', "\x00", "\ufeff{}", "e30=", "e30", "====",
    "A" * 999, "é" * 99,
    '{"identifier":"a","identifier":"b"}', '{"identifier":"\\ud800"}', "<xml/>", "\ud800",
    '{"user":"\\u0000"}',
)  # fmt: skip

#: The share of texts that are far too long: they take the most time.
LONG_SHARE = 0.01

TIMES = ("2026-11-24T03:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\ud800", None, 1)

FIELDS = ("identifier", "alert", "summary", "user", "identityConfidence")


class HostileBodies:
    """Draws one body, or one text, after another."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def draw(self) -> str:
        """Return a body: mostly JSON of the five fields with something done to it."""
        lot = self._dice.random()
        if lot < 0.05:
            return self._dice.choice(STRANGE)
        body = json.dumps(self._fields(), ensure_ascii=self._dice.random() < 0.5)
        if lot < 0.25:
            return self._damaged(body)
        if lot < 0.35:
            return base64.b64encode(body.encode(errors="replace")).decode()
        return body

    def text(self) -> str:
        """Return a text of hostile pieces, of any length from none to far too long."""
        pieces = self._dice.choices(PIECES, k=self._dice.choice((0, 1, 1, 2, 2, 3, 3, 5, 5, 8, 20)))
        pieces += [chr(self._dice.randrange(0x110000)) for _ in range(self._dice.choice((0, 0, 1, 5)))]
        self._dice.shuffle(pieces)
        return "".join(pieces) * (150 if self._dice.random() < LONG_SHARE else 1)

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "identifier": self._dice.choice(("9Zo02m4B7gIfixq3c4Xh", self.text()[:255] or "a")),
            "alert": self._dice.choice(("duo_bypass_codes_used", self.text()[:255] or "a")),
            "summary": self.text() or "a",
            "user": self._address(),
            "identityConfidence": self._dice.choice(list(Confidence)),
        }
        if self._dice.random() < 0.2:
            fields |= {"occurredAt": self._dice.choice(TIMES), "facts": self._facts()}
        if self._dice.random() < 0.3:
            fields[self._dice.choice(FIELDS)] = self._dice.choice(VALUES)
        if self._dice.random() < 0.1:
            del fields[self._dice.choice(FIELDS)]
        if self._dice.random() < 0.1:
            fields[self.text()[:50]] = self._dice.choice(VALUES)
        return fields

    def _facts(self) -> list[Any]:
        facts: list[Any] = [
            {"name": self.text()[:40], "value": self.text()} for _ in range(self._dice.choice((0, 1, 8, 9)))
        ]
        return [*facts, self._dice.choice(VALUES)]

    def _address(self) -> str:
        name = "".join(
            self._dice.choices("abcABC019.!#$%'*+/=?^_{|}~-", k=self._dice.choice((1, 5, 60, 235)))
        )
        return f"{name}@{self._dice.choice(('example.com', 'a.b.c.example.org', 'x-y.example'))}"

    def _damaged(self, body: str) -> str:
        """Cut, double or swap some characters, as a bad wire does."""
        start = self._dice.randrange(len(body))
        end = min(len(body), start + self._dice.choice((1, 1, 3, 50)))
        middle = self._dice.choice(
            ("", body[start:end] * 2, self._dice.choice(PIECES), body[start:end][::-1])
        )
        return body[:start] + middle + body[end:]
