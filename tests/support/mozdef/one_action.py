"""Loads the drop-in as MozDef's loader does, and hands it alerts. Run in `alerts/`, on MozDef's Python."""

import importlib
import importlib.util
import logging
import os
import sys
from datetime import timedelta
from typing import Any, Dict, List

import boto3
from command_lines import serve

# MozDef has this one folder on its path, and nothing beside it that is ours.
sys.path[0] = os.getcwd()


class Lines(logging.Handler):
    """Keeps what MozDef's logger was told: one entry a message."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(f"{record.levelname} {record.getMessage()}")


class OneAction:
    """The action that was loaded last."""

    def __init__(self) -> None:
        self._action: Any = None
        self._lines = Lines()
        logging.getLogger("mozdef").addHandler(self._lines)

    def versions(self) -> Dict[str, Any]:
        """Tell what runs here, and whether our files can be imported without their package."""
        return {
            "python": ".".join(map(str, sys.version_info[:2])),
            "boto3": boto3.__version__,
            "flat": importlib.util.find_spec("triage_request") is not None,
        }

    def load(self, deadline_seconds: float) -> Dict[str, Any]:
        """Import, reload and make the action. An error is what MozDef logs in its place."""
        self._lines.kept.clear()
        self._action = None
        error = ""
        try:
            module = importlib.import_module("actions.triage_bot_sqs")
            importlib.reload(module)
            self._action = module.message()
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        if self._action is not None:
            sys.modules["actions.triage_request"].DEADLINE_SECONDS = deadline_seconds  # type: ignore[attr-defined]
        return {
            "error": error,
            "log": self._lines.kept,
            "registration": getattr(self._action, "registration", []),
        }

    def alert(self, alert: Dict[str, Any]) -> List[str]:
        """Hand an alert to the action; return what was logged."""
        self._lines.kept.clear()
        assert self._action.onMessage(alert) is alert
        return self._lines.kept

    def age_login(self, minutes: float) -> None:
        """Make the last login to the person API, or the last attempt, older by this."""
        self._action._last_authenticated -= timedelta(minutes=minutes)


if __name__ == "__main__":
    one = OneAction()
    serve({"versions": one.versions, "load": one.load, "alert": one.alert, "age_login": one.age_login})
