"""As whom AWS is asked: one session for every service, made anew when AWS refuses its credentials.

A session of boto3's reads a shared credentials file once, and a client keeps for ever what its session gave
it. So when the credentials are rotated, both must be made anew.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from bot.aws.answers import accept_only_answers
from bot.aws.errors import NO_CREDENTIALS, blames_credentials, name_of
from bot.aws.session import new_session
from bot.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3
    from botocore.config import Config

#: Seconds between two renewals at the least: credentials that are wrong for good must not keep us busy.
RENEWED_EVERY = 30.0


class Access:
    """The session of all services. Its methods may be called on any thread."""

    def __init__(
        self,
        make_session: Callable[[], boto3.Session] = new_session,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_session = make_session
        self._clock = clock
        self._session = make_session()
        self._renewed_at: float | None = None
        self._refusals: dict[str, str] = {}
        self._noting = threading.Lock()
        self.making = (
            threading.RLock()
        )  #: held while a session or a client is made: boto3 makes one at a time

    @classmethod
    def of(cls, session: boto3.Session | None) -> Self:
        """Return the access by this session, which is never another one; None: by boto3's own chain."""
        return cls((lambda: session) if session else new_session)

    @property
    def session(self) -> boto3.Session:
        """The session that counts now."""
        return self._session

    @property
    def refused_with(self) -> str:
        """With which code AWS refuses the credentials; empty once each service has accepted them again."""
        with self._noting:
            return next(iter(self._refusals.values()), "")

    def client(self, service: str, *, region: str, config: Config, endpoint_url: str | None = None) -> Client:
        """Return a client of a service, e.g. `sqs`. `ConfigError` if region or endpoint are no such thing."""
        return Client(self, service, {"region_name": region, "config": config, "endpoint_url": endpoint_url})

    def note(self, place: str, *, refused_with: str) -> None:
        """Take note of how AWS answered a service's last call; an empty code: it accepted the credentials."""
        with self._noting:
            if refused_with:
                self._refusals[place] = refused_with
            else:
                self._refusals.pop(place, None)

    def renew(self, refused: boto3.Session) -> bool:
        """Make the session anew, if it is still the one that was refused; tell whether it is another now."""
        with self.making:
            now = self._clock()
            is_early = self._renewed_at is not None and now - self._renewed_at < RENEWED_EVERY
            if self._session is refused and not is_early:
                self._renewed_at = now
                gc.collect()  # sessions before the last one hold themselves in circles, 9 MiB each
                with contextlib.suppress(ConfigError):  # the file may be half written: it is read again later
                    self._session = self._make_session()
            return self._session is not refused


class ClientNotMade(BotoCoreError):
    """boto3 cannot make a client of this region or endpoint."""

    fmt = "no client of {service} can be made for region {region}: {why}"


class Client:
    """One service in one region, asked with the newest session. What boto3 raises is raised as it is."""

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
        """Call an operation, e.g. `send_message`; once more with a new session, if this one is refused.

        A call whose credentials are refused was not done.
        """
        while True:
            session, client = self._current()
            try:
                answer = getattr(client, operation)(**arguments)
            except (ClientError, *NO_CREDENTIALS) as error:
                if not blames_credentials(error):
                    raise
                self._access.note(self._place, refused_with=name_of(error))
                if not self._access.renew(session):
                    raise
            else:
                self._access.note(self._place, refused_with="")
                return answer

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def _current(self) -> tuple[boto3.Session, Any]:
        with self._access.making:
            session = self._access.session
            if self._made_of is not session:
                # The last client is not closed: other threads may be in the middle of a call with it.
                self._client, self._made_of = self._made(session), session
            return session, self._client

    def _made(self, session: boto3.Session) -> Any:
        make: Any = session.client  # its types know the services by name
        try:
            client = make(self._service, **self._options)
        except (BotoCoreError, ValueError) as error:
            region = self._options["region_name"]
            raise ClientNotMade(service=self._service, region=region, why=error) from error
        accept_only_answers(client)
        return client
