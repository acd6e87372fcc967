"""The log as JSON: one object a line, no forged lines, no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.worker.log import LIBRARIES, configure_logging

log = logging.getLogger("bot.test")

ANYTHING = st.text(st.characters(), max_size=60)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    libraries = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, earlier in libraries.items():
        logging.getLogger(name).setLevel(earlier)


def written(message: str, *, secrets: tuple[str, ...] = (), **fields: object) -> str:
    stream = io.StringIO()
    configure_logging("INFO", stream, as_json=True, secrets=secrets)
    log.info(message, extra={"event": "request.accepted", "fields": fields})
    return stream.getvalue()


def entry(message: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(message, **fields))
    return found


def log_failure(error: Exception) -> None:
    try:
        raise error
    except type(error):
        log.exception("command failed", extra={"event": "control.failed", "fields": {}})


def test_a_record_is_one_object_with_time_level_event_message_and_fields() -> None:
    found = entry("request accepted", identifier="9Zo02m4B", attempts=2, wait_seconds=0.5, known=False)

    assert found.pop("time")[10:11] == "T"
    assert found == {
        "level": "INFO",
        "event": "request.accepted",
        "message": "request accepted",
        "fields": {"identifier": "9Zo02m4B", "attempts": 2, "wait_seconds": 0.5, "known": False},
    }


@given(message=ANYTHING, value=ANYTHING)
@example(message="\x7f", value="\x1b[2K\u202e\ud800")
def test_whatever_is_logged_is_one_line_of_printable_ascii(message: str, value: str) -> None:
    line = written(message.replace("%", "%%"), identifier=value)

    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["event"] == "request.accepted"


@given(value=ANYTHING)
def test_an_identifier_comes_back_as_it_was(value: str) -> None:
    assert entry("x", identifier=f"#{value}")["fields"]["identifier"] == f"#{value}"


def test_no_field_can_pass_for_a_key_of_the_record() -> None:
    found = entry("x", level="CRITICAL", event="report.sent", time="1970-01-01")

    assert (found["level"], found["event"]) == ("INFO", "request.accepted")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), object, {"a": 1}])
def test_what_json_does_not_know_is_written_as_text(odd: object) -> None:
    assert entry("x", odd=odd)["fields"] == {"odd": str(odd)}


def test_a_traceback_stands_in_the_same_line() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream, as_json=True)
    log_failure(ValueError("first\nsecond"))

    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["trace"].endswith("ValueError: first\nsecond")


def test_a_library_names_itself_as_the_event() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream, as_json=True)
    logging.getLogger("slack_bolt.App").warning("trouble")

    found = json.loads(stream.getvalue())
    assert (found["event"], found["fields"]) == ("slack_bolt.App", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("error", "refused xoxb-12-abc"),
        ("error", "xapp-1-A-b"),
        ("key", "AKIAABCDEFGHIJKLMNOP"),
        ("secret_access_key", "wJalrXUtnFEMI"),
        ("word", "hunter2"),
    ],
)
def test_no_secret_is_written_wherever_it_stands(name: str, value: str) -> None:
    secret = value.removeprefix("refused ")

    line = written(f"say {name}={value}", secrets=("hunter2",), **{name: value})

    assert secret not in line
    assert json.loads(line)["fields"][name].endswith("[redacted]")


def test_no_secret_is_written_in_a_traceback() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream, as_json=True, secrets=["hunter2"])
    log_failure(ValueError("hunter2 and xoxb-12-abc"))

    assert "hunter2" not in stream.getvalue()
    assert "xoxb-12" not in stream.getvalue()
