"""The door for whatever Slack sends: answers, payloads, error codes. Nothing comes in past it. Pure."""

from __future__ import annotations

from typing import Any

#: Characters of a name, a time zone or an error code. Slack's own are far shorter.
NAME_MAX = 255


def make_storable(value: Any) -> Any:
    """Return a JSON value with each lone surrogate in its texts replaced, which no store or queue takes."""
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, dict):
        return {_replace_surrogates(key): make_storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [make_storable(inner) for inner in value]
    return value


def read_text(value: object) -> str:
    """Return a text of Slack's; "" if it is none."""
    return _replace_surrogates(value) if isinstance(value, str) else ""


def read_name(value: object) -> str:
    """Return a text of Slack's that is stored and shown as a name, at most 255 characters of it."""
    return read_text(value)[:NAME_MAX]


def _replace_surrogates(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
