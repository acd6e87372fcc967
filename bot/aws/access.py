"""One session for all calls to AWS, created again when AWS rejects its credentials.

A boto3 session reads a shared credentials file only once, and a client keeps the credentials of its session.
So when credentials are rotated, both must be created again.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.data_files import new_core_session
from bot.aws.errors import blames_clock, blames_credentials, name_of
from bot.aws.responses import reject_foreign_responses
from bot.clock import Clock
from bot.errors import ConfigError

#: The least time between two renewals, for credentials that stay wrong.
RENEWED_EVERY = timedelta(seconds=30)


def new_session() -> boto3.Session:
    """Return a session of boto3's own chain. Raises `ConfigError` for an unknown profile."""
    try:
        return boto3.Session(botocore_session=new_core_session())
    except BotoCoreError as error:
        raise ConfigError([f"AWS_PROFILE: {error}"]) from error


class Access:
    """The session that all services share. Thread-safe."""

    def __init__(
        self,
        make_session: Callable[[], boto3.Session] = new_session,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self._make_session = make_session
        self._session = make_session()
        self._renewed_at: timedelta | None = None
        self._refusals: dict[str, str] = {}
        self._noting = threading.Lock()
        #: Held while a session or client is created: boto3 is not thread-safe there.
        self.making = threading.RLock()

    @property
    def session(self) -> boto3.Session:
        """The current session."""
        return self._session

    @property
    def refused_with(self) -> str:
        """The code with which AWS rejects the credentials; empty if every service accepted them last time."""
        with self._noting:
            return next(iter(self._refusals.values()), "")

    def client(self, service: str, *, region: str, config: Config, endpoint_url: str | None = None) -> Client:
        """Return a client of a service, e.g. `sqs`. Raises `ConfigError` if region or endpoint is invalid."""
        return Client(self, service, {"region_name": region, "config": config, "endpoint_url": endpoint_url})

    def note(self, place: str, *, refused_with: str) -> None:
        """Record the result of a service's last call; an empty code: it accepted the credentials."""
        with self._noting:
            if refused_with:
                self._refusals[place] = refused_with
            else:
                self._refusals.pop(place, None)
        self.clock.note_refusal(place)

    def renew(self, refused: boto3.Session) -> bool:
        """Replace the session if it is still the rejected one; return whether there is another one now."""
        with self.making:
            now = self.clock.monotonic()
            is_early = self._renewed_at is not None and now - self._renewed_at < RENEWED_EVERY
            if self._session is refused and not is_early:
                self._renewed_at = now
                gc.collect()  # earlier sessions are reference cycles of 1.3 MiB each
                with contextlib.suppress(ConfigError):  # the file may be incomplete at this moment
                    self._session = self._make_session()
            return self._session is not refused


class ClientNotMade(BotoCoreError):
    """boto3 cannot create a client for this region or endpoint."""

    fmt = "cannot create a client of {service} for region {region}: {why}"


class Client:
    """A client of one service in one region, which always uses the current session. Thread-safe."""

    def __init__(self, access: Access, service: str, options: dict[str, Any]) -> None:
        self._access = access
        self._service = service
        self._options = options
        self._place = f"{service} in {options['region_name']}"
        self._made_of: boto3.Session | None = None
        self._client: Any = None
        try:
            self._current()
        except ClientNotMade as error:
            raise ConfigError([str(error)]) from error

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation, e.g. `send_message`. Raises boto3's own errors unchanged.

        If AWS rejects the credentials, the call had no effect: it is repeated with a new session.
        """
        while True:
            session, client = self._current()
            try:
                answer = getattr(client, operation)(**arguments)
            except (ClientError, BotoCoreError) as error:
                if blames_clock(error):
                    why = f"AWS refuses the time of this machine ({name_of(error)}, {self._place})"
                    self._access.clock.note_refusal(self._place, why)
                if not blames_credentials(error):
                    raise
                self._access.note(self._place, refused_with=name_of(error))
                if not self._access.renew(session):
                    raise
            else:
                self._access.note(self._place, refused_with="")
                return answer

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _current(self) -> tuple[boto3.Session, Any]:
        with self._access.making:
            session = self._access.session
            if self._made_of is not session:
                # The old client is not closed: other threads may be in the middle of a call.
                self._client, self._made_of = self._make(session), session
            return session, self._client

    def _make(self, session: boto3.Session) -> Any:
        make: Any = session.client  # the installed type stubs do not cover every service
        try:
            client = make(self._service, **self._options)
        except (BotoCoreError, ValueError) as error:
            region = self._options["region_name"]
            raise ClientNotMade(service=self._service, region=region, why=error) from error
        reject_foreign_responses(client, self._access.clock)
        return client
