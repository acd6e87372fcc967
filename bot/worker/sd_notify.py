"""What the service manager is told, over the socket that it names (sd_notify(3), systemd 252)."""

from __future__ import annotations

import socket
from contextlib import suppress

#: How much longer the start may take, in microseconds, each time that it is not done yet.
MORE_TIME = 60_000_000


class Notifier:
    """Tells the service manager how the worker is. Says nothing where there is none: `address` is empty."""

    def __init__(self, address: str) -> None:
        self.address = f"\0{address[1:]}" if address.startswith("@") else address

    def tell(self, **facts: object) -> None:
        """Send facts such as `READY=1` in one datagram. Raises nothing: it is the manager's loss."""
        if not self.address:
            return
        message = "\n".join(f"{name}={value}" for name, value in facts.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(message.encode(), socket.MSG_DONTWAIT, self.address)
