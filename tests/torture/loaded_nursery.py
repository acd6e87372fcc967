"""The nursery with all that it imports, to be forked: see `world.fork_server`."""

from torture.killable_worker import main

__all__ = ["main"]
