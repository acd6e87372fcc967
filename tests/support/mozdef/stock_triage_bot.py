"""What a subclass of MozDef's stock action sees of it, in our own words; see contract section 5.

It is copied to `alerts/actions/triage_bot.py`. The duplicate chain, which no subclass touches, is left out.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import boto3

CONFIG_FILE = os.path.join(os.path.dirname(__file__), "triage_bot.json")

logger = logging.getLogger("mozdef")


class Config(NamedTuple):
    """The keys of `triage_bot.json`: an unknown one is an error."""

    enabled_alert_classnames: List[str]
    oauth_url: str
    person_api_base: str
    token_validity_window_minutes: int
    l_fn_name_validity_window_seconds: int
    aws_access_key_id: Optional[str]
    aws_secret_access_key: Optional[str]
    aws_region: str


class message:
    """MozDef's alert actions are called so."""

    def __init__(self) -> None:
        with open(CONFIG_FILE) as file:
            self._config = Config(**json.load(file))
        self._boto_session = boto3.session.Session(
            region_name=self._config.aws_region,
            aws_access_key_id=self._config.aws_access_key_id,
            aws_secret_access_key=self._config.aws_secret_access_key,
        )
        self._last_discovery = datetime.fromtimestamp(0)
        self._oauth_handshake()
        self._discover_lambda_fn()
        self.registration = [name.lower() for name in self._config.enabled_alert_classnames]
        self.priority = 1

    def onMessage(self, alert: Dict[str, Any]) -> Dict[str, Any]:
        """Ask about the alert. The login is renewed only after the person was looked up."""
        request = self._request(alert)
        if _minutes_since(self._last_authenticated) > self._config.token_validity_window_minutes:
            self._oauth_handshake()
        if _minutes_since(self._last_discovery) * 60 > self._config.l_fn_name_validity_window_seconds:
            self._discover_lambda_fn()
        if not self._dispatch(request):
            logger.error("Failed to dispatch request")
            validity = timedelta(seconds=self._config.l_fn_name_validity_window_seconds)
            self._last_discovery = datetime.now() - validity
        return alert

    def _oauth_handshake(self) -> None:
        self._person_api_session = self._token()
        if self._person_api_session is None:
            raise RuntimeError("Failed to authenticate to the Person API")
        self._last_authenticated = datetime.now()

    def _discover_lambda_fn(self) -> None:
        functions = self._boto_session.client("lambda").list_functions()["Functions"]
        self._lambda_function_name = str(functions[0]["FunctionName"])
        self._last_discovery = datetime.now()

    def _dispatch(self, request: Dict[str, str]) -> bool:
        client = self._boto_session.client("lambda")
        try:
            answer = client.invoke(
                FunctionName=self._lambda_function_name, Payload=json.dumps(request).encode("utf-8")
            )
        except Exception:
            return False
        return int(answer.get("StatusCode", 400)) < 300

    def _token(self) -> Optional[str]:
        try:
            answer = _json_from(urllib.request.Request(self._config.oauth_url, data=b"{}", method="POST"))
        except (OSError, ValueError):
            return None
        token = answer.get("access_token")
        return None if token is None else str(token)

    def _request(self, alert: Dict[str, Any]) -> Dict[str, str]:
        source = alert["_source"]
        event = source["events"][0]["documentsource"]
        details = event["details"]
        kind = source["classname"]
        if kind == "AlertGenericLoader:ssh_open_crit":
            user, confidence = self._person(details["username"], "highest")
            label = "sensitive_host_session"
            summary = f"A session was opened on {event['hostname']} by you."
        elif kind == "AlertAuthSignRelengSSH":
            user, confidence = self._person(source["summary"].split(" ")[-1], "high")
            label = "ssh_access_sign_releng"
            summary = f"A session was opened on {details['hostname']} by you."
        else:
            user, confidence = details["object"], "highest"
            label = "duo_bypass_codes_" + kind.rpartition("_")[2]
            summary = f"Bypass codes of yours: {kind.rpartition('_')[2]}."
        return {
            "identifier": alert["_id"],
            "alert": label,
            "summary": summary,
            "user": user,
            "identityConfidence": confidence,
        }

    def _person(self, login: str, confidence: str) -> Tuple[str, str]:
        url = f"{self._config.person_api_base}/v2/user/primary_username/{login}"
        headers = {"Authorization": f"Bearer {self._person_api_session}"}
        try:
            profile = _json_from(urllib.request.Request(url, headers=headers))
        except OSError:
            profile = {}
        if "primary_email" not in profile:
            return f"{login}@mozilla.com", "low"
        return str(profile["primary_email"]["value"]), confidence


def _json_from(request: urllib.request.Request) -> Dict[str, Any]:
    with urllib.request.urlopen(request, timeout=10) as answer:
        found = json.loads(answer.read().decode("utf-8"))
    return found if isinstance(found, dict) else {}


def _minutes_since(moment: datetime) -> float:
    return (datetime.now() - moment).total_seconds() / 60
