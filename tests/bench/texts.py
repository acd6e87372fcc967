"""`python -m tests.bench texts`: what a text that an attacker wrote costs, wherever it is shown."""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import quantiles
from typing import Final

from bot.cli.output.questions import render_list, render_question
from bot.clock import utc_now
from bot.settings.messages import load_messages
from bot.slack.render.card import CardLinks, card_message
from bot.slack.render.home import OPEN_MAX, home_view
from bot.slack.render.question import question_message
from bot.sqs.wire import decode_request
from bot.triage.asking_rules import accept, new_ref
from bot.triage.listing import Listed
from bot.triage.model import Trail, TriageRequest
from bot.triage.policy import Policy
from bot.worker.log import LineFormatter
from bot.worker.views import question_view, trail_view

from .measures import PromiseResult
from .report import Others, conclude, describe

#: Every text is measured this often, and the least counts: only the text itself should matter.
_ROUNDS: Final = 3

#: Of a text that is meant to be slow: more than is ever looked at.
_LONG: Final = 60_000

#: How rare those are: what the others cost shows in the 99th percentile, what these cost in the worst.
_SLOW_EVERY: Final = 111

#: Alphabets whose texts are slow to normalise, to clean, to escape, to wrap or to cut.
_ALPHABETS: Final[Mapping[str, Sequence[str]]] = {
    "marks": "\u0301\u0323\u0345\u05b0\u0f39\U0001d165",
    "marks on letters": "e\u0301\u0323o\u0344",
    "letters that get longer": "\ufb2c\U0001d160\u0958",
    "Hangul": "\u1100\u1161\u11a8",
    "invisible": "\u200b\u3164\ufe0f\u202e\x07",
    "space": "\n\t \u3000\u200b",
    "entities": "&<>",
    "dashes": "a-\u2014",
    "everything": [chr(number) for number in range(0x110000)],
}

#: Measure → most milliseconds of the 99th percentile, and of the worst text.
_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "question": (2, 20),
    "card": (2, 20),
    f"Home of {OPEN_MAX}": (2 * OPEN_MAX, 20 * OPEN_MAX),
    "decoding": (2, 20),
    "a line of the log": (2, 20),
    "list": (2, 20),
    "show": (50, 500),
}


def measure_texts(options: argparse.Namespace) -> int:
    """Measure it, print the table and the verdicts; 1: a promise is broken."""
    others = Others()
    costs = [_costs(text) for text in _texts(random.Random(options.seed), options.texts)]
    rows = {name: sorted(each[name] for each in costs) for name in _BOUNDS}
    verdicts = [] if options.quick else list(_judged(rows))
    return conclude(_table(rows, options.texts), (describe(), others.sentence()), verdicts)


def _texts(dice: random.Random, count: int) -> Iterator[str]:
    """Yield texts of a usual length with something of everything in them, and a slow one now and then."""
    pieces = [each for alphabet in _ALPHABETS.values() for each in dice.choices(alphabet, k=9)]
    pieces += ["An SSH session was opened on ", "日本語", "🙂", "\U0001f469\u200d\U0001f467", "naïve "] * 20
    slow = list(_ALPHABETS.values())
    for number in range(count):
        if number % _SLOW_EVERY == 0:
            yield "".join(dice.choices(slow[number // _SLOW_EVERY % len(slow)], k=_LONG))
        else:
            yield "".join(dice.choices(pieces, k=dice.randrange(1, 1000)))


def _costs(text: str) -> Mapping[str, float]:
    """Return the CPU milliseconds of everything that is done with a text."""
    policy, wording, now = Policy(), load_messages(None), utc_now()
    body = json.dumps({**_FIELDS, "summary": text})
    request = decode_request(body)
    assert isinstance(request, TriageRequest)
    step = accept(request, new_ref(request.identifier, "1" * 32), now, policy)
    question = replace(step.question, slack_id="U0ADA", slack_name="ada")
    trail = Trail(question=question, events=(), reports=())
    view = {**question_view(question, []), **trail_view(trail)}
    words = {"msg": "refused: %s", "args": (text,), "levelno": logging.ERROR, "levelname": "ERROR"}
    record = logging.makeLogRecord({**words, "event": "question.failed", "fields": {"error": text}})
    links = CardLinks(workspace="https://example.slack.com")
    works: Mapping[str, Callable[[], object]] = {
        "question": lambda: question_message(question, wording, policy),
        "card": lambda: card_message(question, wording, policy, links),
        f"Home of {OPEN_MAX}": lambda: home_view(
            Listed(unanswered=[question] * OPEN_MAX), wording, policy, links=CardLinks(workspace="")
        ),
        "decoding": lambda: decode_request(body),
        "a line of the log": lambda: LineFormatter().format(record),
        "list": lambda: render_list([view], now),
        "show": lambda: render_question(view),
    }
    return {name: min(_cpu_ms(work) for _ in range(_ROUNDS)) for name, work in works.items()}


_FIELDS: Final = {
    "identifier": "9Zo02m4B7gIfixq3c4Xh",
    "alert": "sensitive_host_session",
    "user": "ada@example.com",
    "identityConfidence": "low",
}


def _cpu_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


def _table(rows: Mapping[str, Sequence[float]], count: int) -> Iterator[str]:
    head = f"CPU of each of {count:,} texts, ms"
    yield f"{head:42}" + "".join(f"{word:>12}" for word in ("p50", "p99", "worst"))
    yield "─" * (42 + 36)
    for name, costs in rows.items():
        cells = (_percentile(costs, 50), _percentile(costs, 99), costs[-1])
        yield f"{name:42}" + "".join(f"{each:>12.2f}" for each in cells)


def _judged(rows: Mapping[str, Sequence[float]]) -> Iterator[PromiseResult]:
    for name, (bound, worst) in _BOUNDS.items():
        figure = _percentile(rows[name], 99)
        yield PromiseResult(f"{name}, p99, ms", bound, figure)
        yield PromiseResult(f"{name}, the worst text, ms", worst, rows[name][-1])


def _percentile(costs: Sequence[float], percent: int) -> float:
    return quantiles(costs, n=100, method="inclusive")[percent - 1]
