"""MozDef's alert action for the triage bot, sending over SQS instead of invoking a Lambda function.

Copy it next to MozDef's own `alerts/actions/triage_bot.py`, together with `triage_request.py` and
`triage_bot_sqs.json`, and name `triage_bot_sqs` in `ALERT_ACTIONS` instead of `triage_bot`; see README.md.

It runs on MozDef's Python 3.6 with boto3 1.7.67, and on whatever is newer.
"""

import json
import os
import re
from datetime import datetime, timedelta

from . import triage_bot
from .triage_request import RequestQueue, alert_evidence, request_body

SETTINGS_FILE = os.path.join(os.path.dirname(__file__), "triage_bot_sqs.json")

#: After a failed login to the person API, the first alert that is this much later tries again.
LOGIN_AGAIN_AFTER = timedelta(minutes=5)


class message(triage_bot.message):
    """MozDef's own action, except for its last step, and for a person API that is not reached.

    Which alerts are asked about, whose they are, and which are duplicates: MozDef decides all that as before.
    """

    def __init__(self):
        settings = read_settings(SETTINGS_FILE)
        self._queue_name = settings["request_queue"]
        self._person_api_session = None
        super().__init__()
        queue = RequestQueue(
            self._queue_name,
            region=settings["region"],
            session=self._boto_session,
            endpoint_url=settings.get("endpoint_url"),
        )
        self._boto_session = LambdaOverSqs(queue)

    def onMessage(self, alert):  # noqa: N802 - MozDef calls it
        """Ask about an alert; what its first event tells is sent in addition to MozDef's five fields."""
        self._boto_session.evidence = alert_evidence(alert)
        return super().onMessage(alert)

    def _discover_lambda_fn(self):
        """Give the queue's name for the function's. Nothing is looked up: MozDef starts while SQS is away."""
        self._lambda_function_name = self._queue_name
        self._last_discovery = datetime.now()

    def _oauth_handshake(self):
        """Log in to the person API; if that fails, continue with the last session, or without one.

        MozDef's own action would not load then, and would later lose the alert in hand.
        """
        last_session = self._person_api_session
        try:
            super()._oauth_handshake()
        except Exception as error:
            triage_bot.logger.error(
                "No login to the person API (%s): check oauth_url and person_api_* in triage_bot.json."
                " Until it works, a LOGIN is asked at LOGIN@mozilla.com; e-mail addresses need no look-up.",
                one_line(error),
            )
            self._person_api_session = last_session
            validity = timedelta(minutes=self._config.token_validity_window_minutes)
            self._last_authenticated = datetime.now() - validity + LOGIN_AGAIN_AFTER


class LambdaOverSqs:
    """What MozDef's action uses of a boto3 session, and of that session's Lambda client."""

    def __init__(self, queue):
        self._queue = queue
        self.evidence = {}  #: the optional fields of the next request

    def client(self, service_name):
        """Return the client for `lambda`, the only service that MozDef's action asks for."""
        if service_name != "lambda":
            raise ValueError(f"only lambda is served here, not {service_name}")
        return self

    def invoke(self, FunctionName, Payload):
        """Send the payload, which is JSON of the five fields, to the request queue.

        Raises whatever kept it from being sent; MozDef treats that as a failed call. MozDef asks nothing more
        about this kind of alert and person for hours, so the log keeps what it takes to send it by hand.
        """
        fields = json.loads(Payload.decode("utf-8"))
        body = request_body({**self.evidence, **fields})
        try:
            self._queue.send_body(body)
        except Exception as error:
            triage_bot.logger.error(
                "Alert %r may not have reached the queue %s (%s). To send it, give what follows to"
                " triage-bot send --file - : %s",
                fields.get("identifier"),
                FunctionName,
                one_line(error),
                body,
            )
            raise
        return {"StatusCode": 202}


def read_settings(path):
    """Return what `triage_bot_sqs.json` holds. `ValueError` names what is wrong and what is expected."""
    try:
        with open(path) as file:
            settings = json.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); expected a JSON object") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold a JSON object")
    for key in settings:
        if key not in ("request_queue", "region", "endpoint_url"):
            raise ValueError(
                f"{path}: there is no setting {key!r}; known are request_queue, region, endpoint_url"
            )
    for key, form, meaning in (
        ("request_queue", "[A-Za-z0-9_-]{1,80}", "the queue's name, not its URL"),
        ("region", "[a-z0-9-]+", "an AWS region"),
    ):
        value = settings.get(key)
        if not isinstance(value, str) or not re.fullmatch(form, value):
            raise ValueError(f"{path}: {key} must be {meaning}, not {value!r}")
    return settings


def one_line(error):
    """Return an exception's name and text without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())
