"""A stand-in for what MozDef asks about people: the OAuth login and the person API, over HTTP."""

from __future__ import annotations

import json
from typing import Any

from http_stand_in import HttpStandIn, Reply, Request


class PersonApi(HttpStandIn):
    """Gives out one token after another, and knows these addresses by login."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: dict[str, str] = {}
        self.refuses_logins = False
        #: How often somebody tried to log in.
        self.logins = 0
        #: The login that was looked up and the token that was shown, one after another.
        self.look_ups: list[tuple[str, str]] = []

    @property
    def oauth_url(self) -> str:
        return f"{self.url}/oauth/token"

    def log_in(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer to a login."""
        self.logins += 1
        if self.refuses_logins:
            return 403, {"error": "access_denied", "error_description": "Unauthorized"}
        return 200, {"access_token": f"token-{self.logins}", "token_type": "Bearer"}

    def look_up(self, login: str, token: str) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer about somebody."""
        self.look_ups.append((login, token))
        if not token.startswith("token-"):
            return 401, {"message": "Unauthorized"}
        if login not in self.addresses:
            return 404, {}
        address = {"value": self.addresses[login]}
        return 200, {
            "created": {"value": "2019-11-04T23:04:36.351Z"},
            "primary_email": address,
            "identities": {"mozilla_ldap_primary_email": address},
            **{name: {"value": login} for name in ("first_name", "last_name", "alternative_name")},
        }

    def reply_to(self, request: Request) -> Reply:
        if request.verb == "POST":
            status, body = self.log_in()
        else:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            status, body = self.look_up(request.path.rpartition("/")[2], token)
        return Reply(status=status, body=json.dumps(body).encode(), content_type="application/json")
