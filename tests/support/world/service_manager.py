"""What systemd is to the worker: a socket that it is told things on."""

from __future__ import annotations

import socket
from pathlib import Path

from world.waiting import until


class ServiceManager:
    """Listens on a socket of its own, and keeps what it was told, each datagram as its facts."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.address)
        self._told: list[dict[str, str]] = []

    def close(self) -> None:
        self._socket.close()

    def told(self) -> list[dict[str, str]]:
        try:
            while True:
                lines = self._socket.recv(4096).decode().splitlines()
                self._told.append(dict(line.split("=", 1) for line in lines))
        except BlockingIOError:
            return list(self._told)

    def until_told(self, name: str, value: str, *, after: int = 0) -> dict[str, str]:
        """Wait for a datagram with this fact in it, after the first few; return it."""

        def look() -> dict[str, str] | None:
            return next((facts for facts in self.told()[after:] if facts.get(name) == value), None)

        return until(look, what=f"{name}={value}")

    def pings(self) -> int:
        """Return how often it heard that the worker gets on."""
        return sum(facts.get("WATCHDOG") == "1" for facts in self.told())
