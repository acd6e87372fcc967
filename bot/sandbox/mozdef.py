"""What a stock MozDef does with each message on the response queue."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: The alert's new status for each response that MozDef knows (rule 3).
STATUS_OF_RESPONSE: Final[Mapping[str, str]] = MappingProxyType(
    {"yes": "acknowledged", "no": "escalated", "wrongUser": "manual"}
)
#: The words that MozDef accepts as identityConfidence (rule 1).
CONFIDENCES: Final = frozenset({"highest", "high", "moderate", "low", "lowest"})
#: The longest word that the index accepts, in bytes (rule 8).
LONGEST_WORD_BYTES: Final = 32_766
#: A key or value that equals one of these, in any case, triggers the plugin that it belongs to (rule 11).
TRIGGER_WORDS: Final = frozenset(
    "auditd audisp-json bro cloudtrail complianceitems customendpoint elb-healthchecker/1.0 filterlog"
    " sourceipaddress destinationipaddress githubeventsqs google guardduty src dst srcip dstip"
    " http_x_forwarded_for ldap-humanizer ldap suricata network netflow nagios_hostname observium sshd"
    " rt_flow snmptt squid fail2ban pubsub stackdriver command vulnerability zoom_host".split()
)
#: The trigger words whose plugin drops the event. Others change it, or expect another kind of event.
LOSING_WORDS: Final = frozenset({"complianceitems", "nagios_hostname"})

_ANSWER_CATEGORY: Final = "triagebot"
_OVERWRITES_CATEGORY: Final = frozenset({"type", "eventtype"})


class Effect(StrEnum):
    """What MozDef does with a message: only the first two keep it as it was sent."""

    CHANGES_ALERT = "changes alert"
    INDEXED = "indexed"
    SPOILED = "spoiled"
    DROPPED = "dropped"
    POISON = "poison"


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What MozDef does with one message. Fields that could not be read from it are None.

    `status` is the alert's new status, so it is None unless the effect is CHANGES_ALERT.
    `reason` says in one sentence why a message is not kept, or why it does not change the alert.
    """

    effect: Effect
    reason: str | None = None
    category: str | None = None
    identifier: str | None = None
    response: str | None = None
    status: str | None = None
    email: str | None = None
    slack: str | None = None
    confidence: str | None = None
    summary: str | None = None

    @property
    def kept(self) -> bool:
        """Whether MozDef keeps the message as it was sent."""
        return self.effect in (Effect.CHANGES_ALERT, Effect.INDEXED)


class AlertBook:
    """The alerts that one MozDef knows, and how messages change them; the last write wins (rule 7)."""

    def __init__(self, identifiers: Iterable[str] = ()) -> None:
        self._last: dict[str, Assessment | None] = dict.fromkeys(identifiers)

    def add(self, identifier: str) -> None:
        """Make an alert visible to the REST interface, as MozDef does once a minute (rule 4)."""
        self._last.setdefault(identifier, None)

    def status(self, identifier: str) -> str | None:
        """Return the alert's status, or None until an answer sets one."""
        last = self._last.get(identifier)
        return None if last is None else last.status

    def receive(self, body: str) -> Assessment:
        """Judge `body` by the rules and the state of its alert, and change the alert accordingly."""
        verdict = judge(body)
        if verdict.effect is not Effect.CHANGES_ALERT or verdict.identifier is None:
            return verdict
        if verdict.identifier not in self._last:
            return replace(verdict, effect=Effect.DROPPED, status=None, reason="Alert not found")
        if verdict == self._last[verdict.identifier] and verdict.response != "yes":
            reason = "It repeats what the alert already says, so the update changes nothing"
            return replace(verdict, effect=Effect.DROPPED, status=None, reason=reason)
        self._last[verdict.identifier] = verdict
        return verdict


def judge(body: str) -> Assessment:
    """Return what MozDef does with `body`, given that it knows the alert and has no answer yet."""
    try:
        event = _decode(body)
    except (ValueError, RecursionError):
        return Assessment(effect=Effect.POISON, reason="The body is not JSON, which crashes MozDef's worker")
    if not isinstance(event, dict):
        return Assessment(effect=Effect.DROPPED, reason="The body is not an object")
    if not isinstance(event.get("tags", []), list):
        return Assessment(effect=Effect.POISON, reason="tags is not a list, which crashes MozDef's worker")
    details = event.get("details")
    return _judge_event(event, details if isinstance(details, dict) else {})


def _decode(body: str) -> object:
    """Parse JSON, or base64-encoded JSON, which MozDef accepts from old senders."""
    try:
        return json.loads(body)
    except ValueError:
        try:
            return json.loads(base64.b64decode(body))
        except binascii.Error as error:
            raise ValueError("neither JSON nor base64") from error


def _judge_event(event: Mapping[str, Any], details: Mapping[str, Any]) -> Assessment:
    facts = _facts(event, details)
    problem = next(_problems_of_event(event), None)
    if problem is not None:
        return replace(facts, effect=Effect.DROPPED, reason=problem)
    woken = _find_triggered_plugin(event)
    if woken is not None:
        effect = Effect.DROPPED if woken in LOSING_WORDS else Effect.SPOILED
        return replace(facts, effect=effect, reason=f"{woken} is the trigger word of another plugin")
    if facts.category != _ANSWER_CATEGORY:
        reason = f"MozDef indexes it as {facts.category}, and does not change the alert"
        return replace(
            facts, effect=Effect.INDEXED, reason=reason, summary=_word(event.get("summary", "UNKNOWN"))
        )
    problem = next(_problems_of_answer(details), None)
    if problem is not None:
        return replace(facts, effect=Effect.DROPPED, reason=problem)
    return replace(
        facts,
        effect=Effect.CHANGES_ALERT,
        status=STATUS_OF_RESPONSE[details["response"]],
        summary=f"TriageBot Response: {facts.response} from: {facts.email}",
    )


def _facts(event: Mapping[str, Any], details: Mapping[str, Any]) -> Assessment:
    """Read the message's fields, whatever happens to it. A note has email and slack outside of `user`."""
    user = details.get("user")
    person = user if isinstance(user, dict) else details
    return Assessment(
        effect=Effect.DROPPED,
        category=_word(event.get("category")),
        identifier=_word(details.get("identifier")),
        response=_word(details.get("response")),
        email=_word(person.get("email")),
        slack=_word(person.get("slack")),
        confidence=_word(details.get("identityConfidence")),
    )


def _problems_of_event(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons to drop an event of any category (rules 8 and 9)."""
    for key in event:
        if key.lstrip("@").lower() in _OVERWRITES_CATEGORY:
            yield f"The key {key} overwrites the category, so the alert is never updated"
    if "category" not in event:
        yield "The category is missing, so MozDef fails"
    if "timestamp" in event and not _is_moment(event["timestamp"]):
        yield "The timestamp is invalid, so MozDef loses the message"
    if any(len(word.encode("utf-8", "replace")) > LONGEST_WORD_BYTES for word in _words(event)):
        yield f"A word is longer than {LONGEST_WORD_BYTES} bytes, so the index rejects the event"


def _problems_of_answer(details: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons to drop an answer (rules 1 and 2)."""
    if _word(details.get("response")) not in STATUS_OF_RESPONSE:
        yield f"The response {details.get('response')!r} is not one of yes, no, wrongUser"
    if _word(details.get("identityConfidence", "lowest")) not in CONFIDENCES:
        yield f"The identityConfidence {details.get('identityConfidence')!r} is not one of the five words"
    user = details.get("user")
    person = user if isinstance(user, dict) else {}
    for name, value in (
        ("identifier", details.get("identifier")),
        ("user.email", person.get("email")),
        ("user.slack", person.get("slack")),
    ):
        if value is None:
            yield f"{name} is missing"


def _find_triggered_plugin(value: object) -> str | None:
    """Return a key or value, at any depth, that is a trigger word; preferably one that drops the event."""
    woken = sorted(TRIGGER_WORDS.intersection(_keys_and_values(value)), key=LOSING_WORDS.__contains__)
    return woken[-1] if woken else None


def _keys_and_values(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value.lower()
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key.lower()
            yield from _keys_and_values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys_and_values(inner)


def _is_moment(value: object) -> bool:
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, int | float):
        return True
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return not str(value).isdigit()


def _words(value: object) -> Iterator[str]:
    """Yield every word of every string in `value`, except keys."""
    if isinstance(value, str):
        yield from re.split(r"\s+", value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None
