"""Who this app is in Slack: asked once, with `auth.test`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slack_bolt.authorization import AuthorizeResult

from bot.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

#: Scopes that the bot cannot do without, and the one without which a post in doubt cannot be looked up.
SCOPES = ("users:read", "users:read.email", "im:write", "chat:write", "im:history")


@dataclass(slots=True)
class Identity:
    """The app's place in Slack. Empty until Slack was reached for the first time."""

    team_id: str = ""
    enterprise_id: str = ""
    bot_id: str = ""
    bot_user_id: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)

    def learn(self, response: AsyncSlackResponse) -> None:
        """Take over what `auth.test` answered. `TransientError` if that is no answer of Slack's."""
        data: Mapping[str, Any] = response.data if isinstance(response.data, dict) else {}
        if not data.get("team_id"):
            raise TransientError("Slack's answer to auth.test names no workspace")
        self.team_id = str(data["team_id"])
        self.enterprise_id = str(data.get("enterprise_id") or "")
        self.bot_id = str(data.get("bot_id") or "")
        self.bot_user_id = str(data.get("user_id") or "")
        self.scopes = _scopes(response.headers)

    @property
    def missing_scopes(self) -> tuple[str, ...]:
        """Scopes that the app should have and has not."""
        return tuple(scope for scope in SCOPES if scope not in self.scopes)

    def is_home_of(self, payload: Mapping[str, Any]) -> bool:
        """Whether a payload comes from this workspace, or from the organisation that it belongs to."""
        team, enterprise = payload.get("team") or {}, payload.get("enterprise") or {}
        ours = bool(self.team_id) and team.get("id") == self.team_id
        return ours or (bool(self.enterprise_id) and enterprise.get("id") == self.enterprise_id)

    def authorization(self) -> AuthorizeResult:
        """Return what Bolt wants to know of an installation. No token: our calls have their own client."""
        return AuthorizeResult(
            enterprise_id=self.enterprise_id or None,
            team_id=self.team_id,
            bot_id=self.bot_id,
            bot_user_id=self.bot_user_id,
            bot_token=None,
        )


def _scopes(headers: Mapping[str, Any]) -> frozenset[str]:
    value = next((each for name, each in headers.items() if name.lower() == "x-oauth-scopes"), "")
    text = ",".join(value) if isinstance(value, list) else str(value)
    return frozenset(scope.strip() for scope in text.split(",") if scope.strip())
