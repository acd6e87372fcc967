"""MozDef's own matcher of events and plugins. Run in `mq/` of a MozDef, on its Python."""

import json
import os
import sys
from types import SimpleNamespace
from typing import Any, Dict, List, Tuple

from command_lines import serve

sys.path[0] = os.getcwd()

import esworker_sqs  # type: ignore[import-not-found] # noqa: E402 - of this folder
from lib.plugins import registerPlugins, sendEventToPlugins  # type: ignore[import-not-found] # noqa: E402 - too


class Woken:
    """Stands in a plugin's place: takes a note of each event that it is handed, and leaves it as it is."""

    def __init__(self, module: str, notes: List[str]) -> None:
        self.__module__ = module
        self._notes = notes

    def onMessage(self, message: Any, metadata: Any) -> Tuple[Any, Any]:
        """See MozDef's plugins."""
        self._notes.append(self.__module__)
        return message, metadata


class Matcher:
    """All plugins with the words that each is registered for."""

    def __init__(self) -> None:
        self._notes: List[str] = []
        self._plugins = [
            (Woken(plugin.__module__, self._notes), words, priority)
            for plugin, words, priority in registerPlugins()
        ]
        esworker_sqs.options = SimpleNamespace(mozdefhostname="mozdef.example.com")

    def words(self) -> Dict[str, List[str]]:
        """Return each plugin's trigger words."""
        return {plugin.__module__: words for plugin, words, _ in self._plugins}

    def woken(self, body: str) -> List[str]:
        """Return the plugins that get the event of a message of the response queue."""
        self._notes.clear()
        event = dict(json.loads(body), tags=["triage-bot-responses.fifo"])
        sendEventToPlugins(esworker_sqs.keyMapping(event), {"index": "events", "id": None}, self._plugins)
        return self._notes


if __name__ == "__main__":
    matcher = Matcher()
    serve({"words": matcher.words, "woken": matcher.woken})
