"""What a restore has read in Slack, as items of the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.store.dynamodb import schema
from bot.store.dynamodb.table import Item
from bot.store.records.damage import reading
from bot.store.records.found import found_facts, found_from
from bot.store.records.rows import microseconds, restore_of
from bot.triage.model import FoundQuestion, Restore

#: The item that says that the table was restored.
RESTORE_KEY: Item = {schema.PARTITION: "restore", schema.SORT: "restore"}

#: Of a conversation: when it was read.
READ_AT = "ra"


def restore_item(restore: Restore) -> Item:
    """Return the window of a restore as its item."""
    window: Item = {"since": microseconds(restore.since), "until": microseconds(restore.until)}
    return RESTORE_KEY | window


@reading
def restore_from(item: Mapping[str, Any]) -> Restore:
    """Return the window that an item holds. `DamagedRow`."""
    return restore_of(int(item["since"]), int(item["until"]))


def conversation_key(slack_id: str) -> Item:
    """Return the key of the item that says when a person's conversation was read after a restore."""
    return {schema.PARTITION: f"conversation#{slack_id}", schema.SORT: "conversation"}


def read_item(slack_id: str, read_at: int) -> Item:
    """Return the item that records when a person's conversation was read (microseconds since 1970)."""
    return conversation_key(slack_id) | {READ_AT: read_at}


def found_key(key: str) -> Item:
    """Return the key of a question that was found in a conversation."""
    return {schema.PARTITION: key, schema.SORT: "found"}


def found_item(found: FoundQuestion) -> Item:
    """Return a question that was found as its item."""
    return found_key(found.ref.partition(".")[0]) | {"f": found_facts(found)}


@reading
def found_question_from(item: Mapping[str, Any]) -> FoundQuestion:
    """Return the question that such an item holds. `DamagedRow`."""
    return found_from(item["f"])
