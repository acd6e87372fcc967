"""Asks the triage bot about an alert: one message on the bot's request queue.

`triage_bot_sqs.py` uses it; so can an alert action of your own. It runs on Python 3.6 to 3.13 with boto3 from
1.7.67 on, and needs nothing of the bot's.
"""

import json
import queue
import threading
from typing import Any, Mapping, Optional

import boto3
from botocore.config import Config

#: What the bot reads; everything else that an alert carries stays with MozDef.
FIELDS = ("identifier", "alert", "identityConfidence", "summary", "user")

#: Characters, of up to 12 bytes each in a message of at most 1 MiB. The bot shows fewer to the person.
LONGEST_SUMMARY = 20_000

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
    request = {name: fields[name] for name in FIELDS if name in fields}
    summary = request.get("summary")
    if isinstance(summary, str) and len(summary) > LONGEST_SUMMARY:
        request["summary"] = summary[:LONGEST_SUMMARY]
    return json.dumps(request, sort_keys=True)
