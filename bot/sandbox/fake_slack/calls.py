"""One call of the Web API: its parameters, what it may raise, and how a method declares itself."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from aiohttp import web

    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json


class SlackError(Exception):
    """Slack refuses the call with the error `code`; `details` are further fields of the answer."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


class TooManyCallsError(SlackError):
    """The method is called too often; with HTTP 429 Slack says how many seconds to wait."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("ratelimited")
        self.seconds = max(1, math.ceil(wait.total_seconds()))


def invalid_arguments(code: str, messages: list[str]) -> SlackError:
    """Return the error for invalid arguments, explained in response_metadata as Slack does."""
    return SlackError(code, errors=messages, response_metadata={"messages": messages})


@dataclass(frozen=True, kw_only=True)
class Call:
    """The merged parameters of one call, and the installation that it acts on."""

    installation: Installation
    parameters: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """Return a parameter as text; None if it was not given."""
        value = self.parameters.get(name)
        return None if value is None else str(value)

    def required(self, name: str) -> str:
        """Return a required parameter; `SlackError` if it is missing or empty."""
        value = self.text(name)
        if not value:
            raise invalid_arguments("invalid_arguments", [f"[ERROR] missing required field: {name}"])
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, as written in JSON, a form or a query; False if it was not given."""
        return str(self.parameters.get(name, "")).lower() in {"1", "true"}

    def structure(self, name: str, *, otherwise: str) -> Any:
        """Return a JSON parameter, given as such or as a string; `SlackError` `otherwise` if invalid."""
        value = self.parameters.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise SlackError(otherwise) from error


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method: what it does, whose token it takes, and the scopes, one of which it needs (empty: none)."""

    work: Callable[[Call], Json]
    caller: Literal["bot", "app"] = "bot"
    scopes: tuple[str, ...] = ()


async def read_parameters(request: web.Request) -> dict[str, Any]:
    """Merge query, form and JSON body; later ones take precedence. `SlackError` if the body is invalid.

    The body can be read again afterwards, so a middleware may call this as well.
    """
    parameters: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        parameters.update(_object(await request.text()))
    elif request.method == "POST":
        parameters.update(await request.post())
    return parameters


def _object(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body or "{}")
    except ValueError as error:
        raise SlackError("invalid_json") from error
    if not isinstance(value, dict):
        raise SlackError("json_not_object")
    return value
