"""Cleans every text that Slack sends (answers, payloads, error codes) before anything else sees it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: Characters of a name, a time zone or an error code. Slack's own are far shorter.
NAME_MAX = 255


def parse_json(text: str) -> Any:
    """Return what a JSON text holds, as `make_storable` does. Raises `ValueError` and `RecursionError`."""
    value = json.loads(text)
    return make_storable(value) if _may_hold_surrogate(text) else value


def clean_json(text: str) -> str:
    """Return a JSON text whose texts are storable. One that cannot be parsed is returned unchanged."""
    if not _may_hold_surrogate(text):
        return text
    try:
        return json.dumps(make_storable(json.loads(text)))
    except (ValueError, RecursionError):
        return text


def make_storable(value: Any) -> Any:
    """Return a JSON value with the lone surrogates in its texts replaced: no store or queue accepts them."""
    if isinstance(value, str):
        return _replace_surrogates(value)
    if isinstance(value, dict):
        return {_replace_surrogates(key): make_storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [make_storable(inner) for inner in value]
    return value


def read_text(value: object) -> str:
    """Return a text from Slack without lone surrogates; "" if it is not a string."""
    return _replace_surrogates(value) if isinstance(value, str) else ""


def read_name(value: object) -> str:
    """Return a text as `read_text` does, cut to 255 characters."""
    return read_text(value)[:NAME_MAX]


def read_header(headers: Mapping[str, Any], name: str) -> str:
    """Return a response header, whatever the case of its name; "" if it is missing."""
    value = headers.get(name) or next((each for key, each in headers.items() if key.lower() == name), "")
    return ",".join(value) if isinstance(value, list) else str(value)


def _replace_surrogates(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _may_hold_surrogate(text: str) -> bool:
    """Whether a JSON text may have a surrogate in it. In ASCII it would be an escape."""
    return not text.isascii() or "\\ud" in text or "\\uD" in text
