"""A stand-in for what MozDef asks about people: the OAuth login and the person API, over HTTP."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class PersonApi:
    """Gives out one token after another, and knows these addresses by login."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.refuses_logins = False
        #: How often somebody tried to log in.
        self.logins = 0
        #: The login that was looked up and the token that was shown, one after another.
        self.look_ups: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

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


def _handler(api: PersonApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(*api.log_in())

        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self._answer(*api.look_up(self.path.rpartition("/")[2], token))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
