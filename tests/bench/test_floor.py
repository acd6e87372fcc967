"""The least that could do the work sends as much as the worker does, or the two could not be compared."""

from __future__ import annotations

import json

from fakes import NOON

from bench.alerts import request_body, slack_id
from bench.floor_app import question
from bot.settings.alerts import load_alert_policies
from bot.settings.messages import load_messages
from bot.slack.render.question import question_message
from bot.sqs.wire import decode_request
from bot.triage.asking_rules import accept, claim, new_ref
from bot.triage.model import Person, TriageRequest
from bot.triage.policy import Policy


def test_its_question_is_nearly_as_long_as_the_workers_and_no_longer() -> None:
    body, policy = request_body(12345), Policy(alerts=load_alert_policies())
    request = decode_request(body)
    assert isinstance(request, TriageRequest)
    accepted = accept(request, new_ref(request.identifier, "0" * 32), NOON, policy).question
    claimed = claim(accepted, Person(slack_id=slack_id(12345), slack_name="p"), NOON).question
    worker = question_message(claimed, load_messages(), policy)

    longest = len(json.dumps(worker))

    assert 0.95 * longest <= len(json.dumps(question(json.loads(body)))) <= longest
