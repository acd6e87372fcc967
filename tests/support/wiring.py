"""The program as `bot.worker.assembly` wires it, with stand-ins where it meets the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

from fakes import ScriptedSecurityTeam
from slack_sdk.web.async_client import AsyncWebClient

from bot.settings.messages import load_messages
from bot.settings.parameter_store import Tokens
from bot.settings.settings import Purpose, Settings, load_settings
from bot.triage.policy import Policy
from bot.worker.assembly import Dependencies, Parts, Queues, Resources, WakeUp, assemble

SETTINGS = load_settings(
    Purpose.RUN,
    environ={
        "SLACK_BOT_TOKEN": "xoxb-test",
        "SLACK_APP_TOKEN": "xapp-test",
        "REQUEST_QUEUE_URL": "https://sqs.us-west-2.amazonaws.com/1/requests",
        "RESPONSE_QUEUE_URL": "https://sqs.us-west-2.amazonaws.com/1/responses",
    },
    directory=Path("/nowhere"),
)
WORDING = load_messages()
CLIENT = AsyncWebClient()


class Steady(Random):
    """Draws the same every time: by default the most, so that every wait is as long as it may be."""

    def __init__(self, drawn: float = 1.0) -> None:
        super().__init__()
        self._drawn = drawn

    def random(self) -> float:
        return self._drawn


def instead(part: Any) -> Callable[..., Any]:
    """Return a dependency in place of a part's class: it makes this one, whatever it is given."""
    return lambda *_, **__: part


def wired(store: Any, policy: Policy | None = None, *, settings: Settings = SETTINGS, **others: Any) -> Parts:
    """Return the parts of a worker with this store, and with others of its resources and of its dependencies
    replaced.

    It has no queues, and nobody whom it could call but those dependencies.
    """
    nothing: Any = None
    given = {
        "session": None,
        "wake": WakeUp(),
        "random": Steady(),
        "client": instead(CLIENT),
        "security_team": instead(ScriptedSecurityTeam()),
        **others,
    }
    of_resources = [each.name for each in fields(Resources) if each.name in given]
    resources = Resources(
        store=store,
        queues=Queues(requests=nothing, responses=nothing, dead_letters=nothing),
        tokens=Tokens(bot=settings.slack_bot_token, app=settings.slack_app_token),
        **{name: given.pop(name) for name in of_resources},
    )
    return assemble(settings, WORDING, policy or Policy(), resources, Dependencies(**given))
