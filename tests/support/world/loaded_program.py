"""Our program with all that it does imported, also what it imports only when it runs: see `fork_server`."""

import bot.cli.checks
import bot.cli.commands
import bot.cli.parser
import bot.cli.store_commands
import bot.store.dynamodb.opening
import bot.store.sqlite.store
import bot.worker.app
import bot.worker.assembly
import bot.worker.http_server
import bot.worker.lifecycle
import bot.worker.metrics  # noqa: F401 - to have been imported is all
from bot.__main__ import main

__all__ = ["main"]
