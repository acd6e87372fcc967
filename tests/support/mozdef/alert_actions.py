"""MozDef's own loader of alert actions and what it loads. Run in `alerts/` of a MozDef, on its Python."""

import importlib.util
import os
import sys
from typing import Any, Dict, List

import boto3
from command_lines import serve

# MozDef has this one folder on its path, and nothing beside it that is ours.
sys.path[0] = os.getcwd()

FIXTURES = os.path.abspath(os.path.join("..", "tests", "alerts", "actions", "test_triage_bot.py"))


class AlertActions:
    """The set that `alert_actions_worker.py` makes when it starts."""

    def __init__(self) -> None:
        self._set: Any = None

    def load(self) -> Dict[str, Any]:
        """Make the set as the worker does; return which actions are in it, and the versions that run it."""
        from lib.alert_plugin_set import AlertPluginSet  # type: ignore[import-not-found]
        from lib.config import ALERT_ACTIONS  # type: ignore[import-not-found]

        self._set = AlertPluginSet(os.path.abspath("actions"), ALERT_ACTIONS)
        loaded = [plugin["plugin_class"].__module__ for plugin in self._set.enabled_plugins]
        return {"python": sys.version.split()[0], "boto3": boto3.__version__, "actions": loaded}

    def fixtures(self) -> Dict[str, Any]:
        """Return the alerts of MozDef's own tests, by the name of the function that makes each."""
        sys.path.insert(0, os.path.abspath(".."))
        spec = importlib.util.spec_from_file_location("fixtures", FIXTURES)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        del sys.path[0]
        return {name: make() for name, make in vars(module).items() if name.endswith("_alert")}

    def alert(self, alert: Dict[str, Any]) -> None:
        """Pass an alert to the actions, as the worker does with each that comes."""
        self._set.run_plugins(alert)

    def forget_login(self) -> None:
        """Make the last login to the person API too old for every action."""
        for plugin in self._set.enabled_plugins:
            last = plugin["plugin_class"]._last_authenticated
            plugin["plugin_class"]._last_authenticated = last.replace(year=last.year - 1, day=1)


if __name__ == "__main__":
    actions = AlertActions()
    commands: List[str] = ["load", "fixtures", "alert", "forget_login"]
    serve({name: getattr(actions, name) for name in commands})
