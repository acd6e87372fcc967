"""A MozDef of one action: our stand-in for its stock action, the drop-in next to it, and their process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mozdef_guide import copy_drop_in
from mozdef_program import PROGRAMS, Program

#: What the environment of MozDef's process holds for boto3's own search for credentials.
CHAIN_KEY = "FROMTHECHAIN"

_STOCK = {
    "enabled_alert_classnames": [
        "AlertGenericLoader:ssh_open_crit",
        "AlertAuthSignRelengSSH",
        "AlertGenericLoader:duosecurity_bypass_generated",
        "AlertGenericLoader:duosecurity_bypass_used",
    ],
    "oauth_url": "http://127.0.0.1:9/oauth/token",
    "person_api_base": "http://127.0.0.1:9",
    "token_validity_window_minutes": 1080,
    "l_fn_name_validity_window_seconds": 86400,
    "aws_access_key_id": "INTHEFILE",
    "aws_secret_access_key": "testing",
    "aws_region": "us-west-2",
}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The result of loading the action: an error keeps MozDef from using it."""

    error: str
    log: Sequence[str]
    registration: Sequence[str]


class DropIn:
    """MozDef's folder, and a process that reloads the action on demand."""

    def __init__(self, folder: Path, *, python: Path) -> None:
        self._alerts = folder / "alerts"
        self.actions = self._alerts / "actions"
        self.actions.mkdir(parents=True)
        (self.actions / "__init__.py").touch()
        shutil.copy(PROGRAMS / "stock_triage_bot.py", self.actions / "triage_bot.py")
        copy_drop_in(folder)
        environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": CHAIN_KEY,
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._program = Program("one_action", python=python, folder=self._alerts, environment=environment)

    def __enter__(self) -> Self:
        self._program.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._program.__exit__()

    @property
    def settings_file(self) -> Path:
        return self.actions / "triage_bot_sqs.json"

    def versions(self) -> dict[str, Any]:
        """Return the versions of Python and boto3 that run it, and what else it says of itself."""
        versions: dict[str, Any] = self._program.call("versions")
        return versions

    def configure(self, *, stock: dict[str, Any] | None = None, **settings: Any) -> None:
        """Write both settings files: the stock action's, but for what is given, and the drop-in's."""
        (self.actions / "triage_bot.json").write_text(json.dumps({**_STOCK, **(stock or {})}))
        self.settings_file.write_text(json.dumps(settings))

    def load(self, *, deadline_seconds: float = 15) -> Loaded:
        """Load the action as MozDef does when it starts."""
        return Loaded(**self._program.call("load", deadline_seconds=deadline_seconds))

    def alert(self, alert: dict[str, Any]) -> list[str]:
        """Have MozDef pass an alert to the action; return the lines of MozDef's log."""
        lines: list[str] = self._program.call("alert", alert=alert)
        return lines

    def age_login(self, *, minutes: float) -> None:
        """Make the last login to the person API, or the last attempt, older by this."""
        self._program.call("age_login", minutes=minutes)


def duo_alert(identifier: str, *, kind: str = "generated", user: str = "ada@example.com") -> dict[str, Any]:
    """Return an alert that names the person's address itself."""
    return {
        "_id": identifier,
        "_source": {
            "classname": f"AlertGenericLoader:duosecurity_bypass_{kind}",
            "summary": f"DuoSecurity MFA Bypass codes {kind} (1): {user} [example.com]",
            "events": [{"documentsource": {"details": {"object": user, "username": "API"}}}],
        },
    }


def session_alert(identifier: str, *, login: str = "ada", host: str = "db1.example.com") -> dict[str, Any]:
    """Return an alert of a session on a sensitive host, which names a login."""
    details = {"username": login, "program": "sshd", "sourceipaddress": "192.0.2.7"}
    event = {"utctimestamp": "2026-11-24T03:00:00+00:00", "hostname": host, "details": details}
    return {
        "_id": identifier,
        "_source": {
            "classname": "AlertGenericLoader:ssh_open_crit",
            "summary": f"Session opened on sensitive host by (1): {login}",
            "events": [{"documentsource": event}],
        },
    }


def releng_alert(identifier: str, *, login: str = "ada", host: str = "releng.example.com") -> dict[str, Any]:
    """Return an alert of a session in release engineering, which names a login."""
    return {
        "_id": identifier,
        "_source": {
            "classname": "AlertAuthSignRelengSSH",
            "summary": f"SSH login from 192.0.2.7 on {host} as user {login}",
            "events": [{"documentsource": {"details": {"hostname": host}}}],
        },
    }
