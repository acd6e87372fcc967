"""Asks the triage bot about an alert: one message on the bot's request queue.

`triage_bot_sqs.py` uses it; so can an alert action of your own. It runs on Python 3.6 to 3.13 with boto3 from
1.7.67 on, and needs nothing of the bot's.
"""

import json
import queue
import threading
from typing import Any, Dict, Mapping, Optional

import boto3
from botocore.config import Config

#: What the bot reads; everything else that an alert carries stays with MozDef. It needs the first five.
FIELDS = ("identifier", "alert", "identityConfidence", "summary", "user", "occurredAt", "facts")

#: Characters, of up to 12 bytes each in a message of at most 1 MiB. The bot shows fewer to the person.
LONGEST_SUMMARY = 20_000

#: Characters of any other field in JSON. With more, SQS might refuse the message, so it is left out.
LONGEST_FIELD = 40_000

#: Characters of the value of a fact: the bot leaves longer ones out.
LONGEST_VALUE = 300

#: What a fact is called → where it stands in the details of an event, the best place first. What MozDef calls
#: the event's source address is that of the machine that reported it, not of the person.
FACT_KEYS = (
    ("Host", ("hostname",)),
    ("From address", ("sourceipaddress", "ip")),
    ("Location", ("location",)),
    ("User agent", ("user_agent", "useragent", "user-agent", "http_user_agent")),
    ("Reported by", ("eventsourceipaddress",)),
)

#: Where a location is an object, what is said of it.
LOCATION_KEYS = ("city", "state", "country")

#: Seconds that `send` takes at most, retries and the look-up of the queue's name included. MozDef handles one
#: alert after another, so a slow action holds up all of them.
DEADLINE_SECONDS = 15

#: Sending again is harmless: the bot asks only once about an identifier. boto3 1.7.67 knows no retry mode.
CALLS = Config(connect_timeout=3, read_timeout=5, retries={"max_attempts": 2})


class RequestQueue:
    """The bot's request queue, by its name.

    Credentials come from `session`, or else from where boto3 finds them. `endpoint_url` is for an SQS that is
    not at AWS's public address (a VPC endpoint without private DNS, a local SQS).
    """

    def __init__(
        self,
        name: str,
        *,
        region: str,
        session: Optional[boto3.session.Session] = None,
        endpoint_url: Optional[str] = None,
    ) -> None:
        self.name = name
        self._region = region
        self._session = session or boto3.session.Session()
        self._endpoint_url = endpoint_url

    def send(self, fields: Mapping[str, Any]) -> str:
        """Send a request (see `request_body`) within `DEADLINE_SECONDS`; return the id that SQS gave it.

        Raises what boto3 raises, or `TimeoutError`: then the bot may not have been asked.
        """
        return self.send_body(request_body(fields))

    def send_body(self, body: str) -> str:
        """Send what `request_body` returned; otherwise like `send`."""
        # Time-outs of a socket bound neither the look-up of a host's name nor an answer that comes in drops,
        # so the call runs on a thread that is not waited for any longer than this.
        outcomes: "queue.Queue[Any]" = queue.Queue()
        threading.Thread(target=self._try_to_send, args=(body, outcomes), daemon=True).start()
        try:
            outcome = outcomes.get(timeout=DEADLINE_SECONDS)
        except queue.Empty:
            raise TimeoutError(f"SQS did not answer within {DEADLINE_SECONDS} s") from None
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    def _try_to_send(self, body: str, outcomes: "queue.Queue[Any]") -> None:
        try:
            # New for each request: alerts are few, and the credentials or the queue may have been replaced.
            sqs = self._session.client(
                "sqs", region_name=self._region, endpoint_url=self._endpoint_url, config=CALLS
            )
            url = sqs.get_queue_url(QueueName=self.name)["QueueUrl"]
            outcomes.put(sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"])
        except Exception as error:  # noqa: BLE001 - the caller's thread raises it
            outcomes.put(error)


def request_body(fields: Mapping[str, Any]) -> str:
    """Return the message's body: one line of JSON in ASCII, since SQS refuses some characters.

    Fields are not judged here. The bot answers a missing or wrong one with `undeliverable`, so that the alert
    gets its status. `TypeError` for a value that JSON has no form for: pass strings, not objects.
    """
    request = {}  # type: Dict[str, Any]
    for name in FIELDS:
        value = fields.get(name)
        if name == "summary" and isinstance(value, str):
            request[name] = value[:LONGEST_SUMMARY]
        elif name in fields and len(json.dumps(value)) <= LONGEST_FIELD:
            request[name] = value
    return json.dumps(request, sort_keys=True)


def alert_evidence(alert: Any) -> Dict[str, Any]:
    """Return the optional fields of a request, as far as the first event of a MozDef alert tells them.

    `occurredAt` is when it happened, `facts` what helps the person to recognise it. Raises nothing: what is
    missing, or not what it should be, is left out.
    """
    events = _member(_member(alert, "_source"), "events")
    event = _member(events[0] if isinstance(events, list) and events else None, "documentsource")
    # The host may stand next to the details.
    details = [_member(event, "details"), {"hostname": _member(event, "hostname")}]
    places = [
        (name, [_text(_member(each, key)) for each in details for key in keys]) for name, keys in FACT_KEYS
    ]
    facts = [{"name": name, "value": next(filter(None, texts))} for name, texts in places if any(texts)]
    occurred_at = _text(_member(event, "utctimestamp"))
    evidence = {"occurredAt": occurred_at, "facts": facts}  # type: Dict[str, Any]
    return {name: value for name, value in evidence.items() if value}


def _member(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _text(value: Any) -> str:
    """Return a text as the value of a fact, at most `LONGEST_VALUE` characters; "" if it is none."""
    if isinstance(value, dict):
        parts = [value.get(key) for key in LOCATION_KEYS]
        value = ", ".join(part for part in parts if part and isinstance(part, str))
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
