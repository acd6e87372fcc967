"""The log, as text or as JSON: one line an event, no forged lines, no secrets, and repeats are counted."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.printable import make_printable
from bot.redaction import Secret
from bot.worker.log import (
    LIBRARIES,
    MESSAGE_MAX,
    OURS,
    TRACE_MAX,
    VALUE_MAX,
    LineFormatter,
    configure_logging,
    hide_in_log,
)
from bot.worker.log_repeats import BURST, INTERVAL, KINDS_MAX, CountingHandler

log = logging.getLogger("bot.test")

ANYTHING = st.text(st.characters(), max_size=60)


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers = list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in (None, OURS, *LIBRARIES)}
    yield
    root.handlers[:] = handlers
    for name, earlier in levels.items():
        logging.getLogger(name).setLevel(earlier)


def configured(level: str = "INFO", **options: Any) -> io.StringIO:
    """Log to a new stream from now on; return it."""
    stream = io.StringIO()
    configure_logging(level, stream, **options)
    return stream


def written(message: str, **fields: object) -> str:
    stream = configured()
    log_accepted(message, **fields)
    return stream.getvalue()


def entry(message: str, **fields: object) -> dict[str, Any]:
    """Return what is written as JSON."""
    stream = configured(as_json=True)
    log_accepted(message, **fields)
    found: dict[str, Any] = json.loads(stream.getvalue())
    return found


def log_accepted(message: str, **fields: object) -> None:
    log.info(message, extra={"event": "request.accepted", "fields": fields})


def log_failure(message: str, error: Exception, **fields: object) -> None:
    try:
        raise error
    except type(error):
        log.exception(message, extra={"event": "request.failed", "fields": fields})


def test_a_record_is_one_line_with_time_level_event_and_fields() -> None:
    line = written("request accepted", identifier="9Zo02m4B", attempts=2, known=False, region=None)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO request\.accepted"
        r" identifier=9Zo02m4B attempts=2 known=false region=null\n",
        line,
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("accepted", ""),
        ("the request was accepted", ""),
        ("request accepted: after all", "after all "),
        ("request accepted late: it was held up", "request accepted late: it was held up "),
    ],
)
def test_a_line_says_its_event_once(message: str, words: str) -> None:
    assert written(message, n=1).endswith(f"INFO request.accepted {words}n=1\n")


def test_a_value_of_more_than_one_word_is_quoted() -> None:
    line = written("x", a="two words", b="", c='say "hi"', d="back\\slash", e="k=v")

    assert line.endswith(r' a="two words" b="" c="say \"hi\"" d="back\\slash" e="k=v"' + "\n")


@pytest.mark.parametrize("separator", ["\n", "\r", "\u2028", "\x85", "\x0b", "\x1b[2K", "\u202e", "\ud800"])
def test_no_field_can_forge_a_line_or_move_the_cursor(separator: str) -> None:
    line = written("x", identifier=f"a{separator}2026-11-24T03:00:00Z INFO report.sent forged")

    assert len(line.splitlines()) == 1
    assert line.removesuffix("\n").isprintable()


def test_a_traceback_is_indented_and_cannot_forge_a_line() -> None:
    stream = configured()

    log_failure("failed", ValueError("bad\n2026-11-24T03:00:00Z INFO report.sent forged\x1b[1m"))

    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR request.failed")
    assert any("forged" in line for line in rest)
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


# As JSON


def test_a_record_is_one_object_with_time_level_event_message_and_fields() -> None:
    fields = {"identifier": "9Zo02m4B", "attempts": 2, "wait_seconds": 0.5, "known": False}

    found = entry("request accepted", **fields)

    assert found.pop("time")[10:11] == "T"
    record = {"level": "INFO", "event": "request.accepted", "message": "request accepted"}
    assert found == {**record, "fields": fields}


@given(message=ANYTHING, value=ANYTHING)
@example(message="\x7f", value="\x1b[2K\u202e\ud800")
def test_whatever_is_logged_is_one_line_of_ascii_and_can_be_read_back(message: str, value: str) -> None:
    stream = configured(as_json=True)
    log_accepted(message.replace("%", "%%"), identifier=f"#{value}")

    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    found = json.loads(line)
    assert (found["event"], found["fields"]["identifier"]) == ("request.accepted", f"#{value}")


def test_no_field_can_pass_for_a_key_of_the_record() -> None:
    found = entry("x", level="CRITICAL", event="report.sent", time="1970-01-01")

    assert (found["level"], found["event"]) == ("INFO", "request.accepted")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), object, {"a": 1}])
def test_what_json_does_not_know_is_written_as_text(odd: object) -> None:
    assert entry("x", odd=odd)["fields"] == {"odd": str(odd)}


def test_a_traceback_stands_in_the_same_object() -> None:
    stream = configured(as_json=True)
    log_failure("failed", ValueError("first\nsecond"))

    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["trace"].endswith("ValueError: first\nsecond")


def test_a_library_names_itself_as_the_event() -> None:
    stream = configured(as_json=True)
    logging.getLogger("slack_bolt.App").warning("trouble")

    found = json.loads(stream.getvalue())
    assert (found["event"], found["fields"]) == ("slack_bolt.App", {})


# Secrets


@pytest.mark.parametrize(
    "secret",
    [
        *("xoxb-123-ABC-def", "xoxp-1-2", "xoxe.xoxb-1-ABC", "xoxe-1-ABC", "xapp-1-A0-9-ff"),
        *("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"),
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    ],
)
@pytest.mark.parametrize("before", ["", "\n", "Bearer ", "token=", "'"])
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_tokens_are_shown_nowhere(secret: str, before: str, *, as_json: bool) -> None:
    stream = configured("DEBUG", as_json=as_json)

    log_failure(before + secret, RuntimeError(f"refused {before}{secret}"), key=before + secret)
    logging.getLogger("slack_sdk.web").info("headers: {'Authorization': '%s%s'}", before, secret)

    assert stream.getvalue().count("[redacted]") == 4
    assert secret not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key=hunter2",
        "'SecretAccessKey': 'hunter2'",
        "{'X-Amz-Security-Token': b'hunter2'}",
        "wss://wss-primary.slack.com/link/?ticket=hunter2&app_id=1",
        "POST https://hooks.slack.com/actions/hunter2",
        "proxy http://me:hunter2@proxy.example:3128",
        "client_secret=hunter2",
        "'auth_req_id': 'hunter2'",
        '{"access_token": "hunter2"}',
        "client_assertion=hunter2&x=1",
        "{'Authorization': 'Basic hunter2'}",
        "authorization: Bearer hunter2",
        *(
            f"-----BEGIN {kind}PRIVATE KEY-----\nhunter2\n-----END {kind}PRIVATE KEY-----"
            for kind in ("", "EC ", "RSA ")
        ),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_secrets_without_a_shape_are_known_by_what_stands_before_them(text: str, *, as_json: bool) -> None:
    stream = configured(as_json=as_json)

    log_accepted(text, secret_access_key="hunter2")

    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") == 2


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_secrets_that_are_named_at_the_start_are_never_shown(*, as_json: bool) -> None:
    stream = configured(as_json=as_json, secrets=["hunter2", ""])

    log_failure("say hunter2", ValueError("hunter2"), word="hunter2")

    assert stream.getvalue().count("[redacted]") >= 3
    assert "hunter2" not in stream.getvalue()


def test_secrets_that_are_fetched_later_are_not_shown_either() -> None:
    stream = configured(secrets=["hunter1"])
    key = json.dumps({"kty": "EC", "crv": "P-256", "x": "public-x", "d": "hunter2"})

    hide_in_log(Secret(key), Secret("-----BEGIN X-----\nhunter3\n-----END X-----\n"), Secret("ssm:/the/name"))
    log_failure(f"say {key}", ValueError("hunter1 hunter2"), word="hunter3 of ssm:/the/name and public-x")

    assert "hunter" not in stream.getvalue()
    assert "ssm:/the/name and public-x" in stream.getvalue()


@pytest.mark.parametrize("text", ["x", "\u0301", "\ud800", "key=", "xoxb-1 ", "\n"])
def test_no_record_is_written_at_any_length(text: str) -> None:
    stream = configured()

    log_failure(text * 100_000, ValueError(text * 100_000), why=text * 100_000)

    longest = len(make_printable(text)) / len(text)
    assert len(stream.getvalue()) < (MESSAGE_MAX + VALUE_MAX + 2 * TRACE_MAX) * longest


@pytest.mark.parametrize("before", range(0, 30, 3))
def test_no_half_of_a_secret_is_left_where_a_text_is_cut(before: int) -> None:
    stream = configured(secrets=["hunter2-is-secret"])
    message, word = ("." * (limit - before) + "hunter2-is-secret" for limit in (MESSAGE_MAX, VALUE_MAX))

    log_accepted(message, word=word)

    assert "hunter2" not in stream.getvalue()


def test_a_sentence_about_tokens_is_left_alone() -> None:
    assert "expected xoxb-… or xapp-…" in written("expected xoxb-… or xapp-…")


# Libraries, and where it is written


def test_libraries_are_quiet_but_for_warnings_speak_at_debug_and_keep_to_a_stricter_level() -> None:
    streams = {}
    for level in ("INFO", "DEBUG", "ERROR"):
        streams[level] = configured(level)
        logging.getLogger("botocore.hooks").info("chatter")
        logging.getLogger("slack_bolt.App").warning("trouble\nbelow")

    assert "chatter" not in streams["INFO"].getvalue()
    assert "WARNING slack_bolt.App trouble\\nbelow\n" in streams["INFO"].getvalue()
    assert "chatter" in streams["DEBUG"].getvalue()
    assert streams["ERROR"].getvalue() == ""


@pytest.mark.parametrize(
    "name",
    [
        *("botocore.parsers", "urllib3.connectionpool", "slack_sdk.web.async_client", "aiohttp.client"),
        *("a_library_of_next_year", "bottle"),
    ],
)
@pytest.mark.parametrize("own_level", [logging.NOTSET, logging.DEBUG])
def test_at_debug_only_our_own_loggers_go_below_info(name: str, own_level: int) -> None:
    library = logging.getLogger(name)
    earlier = library.level

    stream = configured("DEBUG")
    library.setLevel(own_level)
    library.debug("<SecretAccessKey>hunter2</SecretAccessKey>")
    log.debug("ours")
    library.setLevel(earlier)

    assert "hunter2" not in stream.getvalue()
    assert "ours" in stream.getvalue()


def test_the_last_configuration_counts() -> None:
    first = configured()

    line = written("once")

    assert line.count("once") == 1
    assert first.getvalue() == ""


@pytest.mark.parametrize("is_journal", [True, False], ids=["the journal", "a variable that was inherited"])
def test_lines_to_the_journal_carry_no_time(tmp_path: Path, *, is_journal: bool) -> None:
    path = tmp_path / "journal"
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        named = f"{status.st_dev}:{status.st_ino}" if is_journal else "1:1"
        configure_logging("INFO", stream, journal_stream=named)
        log_accepted("accepted")

    time = "" if is_journal else r"\d{4}-\d\d-\d\dT\S+ "
    assert re.fullmatch(f"{time}INFO request.accepted\n", path.read_text())


FLOOD = 5000


class Log:
    """A log of its own, with its own clock."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        self.handler = CountingHandler(self.stream, clock=lambda: self.now)
        self.handler.setFormatter(LineFormatter(timed=False))

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def write(self, message: str, *values: object, **fields: object) -> None:
        self.handle(logging.WARNING, message, *values, event="link.refused", fields=fields)

    def handle(self, level: int, message: str, *values: object, **extra: object) -> None:
        words = {"levelno": level, "levelname": logging.getLevelName(level), "msg": message, "args": values}
        self.handler.handle(logging.makeLogRecord({**words, **extra}))

    def counted(self) -> int:
        """How many records its lines stand for."""
        return sum(
            int(found[1]) if (found := re.search(r"repeated=(\d+)", line)) else 1 for line in self.lines
        )


@pytest.fixture
def counting() -> Iterator[Log]:
    counting = Log()
    yield counting
    counting.handler.close()


@pytest.mark.parametrize("fields", [{}, {"identifier": "a"}, {"wait_seconds": 1.5}])
def test_a_flood_of_one_kind_is_counted(counting: Log, fields: dict[str, object]) -> None:
    for number in range(FLOOD):
        counting.write("not opened: %s", number, **fields)
    counting.now += INTERVAL
    counting.write("not opened: %s", "again", **fields)

    assert len(counting.lines) == BURST + 2
    assert f"repeated {FLOOD - BURST} more times: not opened: {BURST}" in counting.lines[-2]
    assert counting.counted() == FLOOD + 1


def test_floods_of_the_libraries_are_counted_too(counting: Log) -> None:
    for number in range(FLOOD):
        try:
            os.fstat(-1)
        except OSError:
            message = f"socket.accept() out of system resource\nsocket: <fd={number}>"
            counting.handle(logging.ERROR, message, name="asyncio", exc_info=sys.exc_info())

    assert sum(not line.startswith(" ") for line in counting.lines) == BURST


@pytest.mark.parametrize(
    ("level", "varying", "lines"),
    [
        *product([logging.INFO, logging.WARNING], ["identifier", "sequence", "message_id"], [FLOOD]),
        (logging.WARNING, "wait_seconds", BURST),  # a value that changes makes no line new
        (logging.WARNING, "error", BURST),
        (logging.CRITICAL, "error", FLOOD),
    ],
)
def test_lines_about_different_things_are_all_written_and_so_is_what_is_critical(
    counting: Log, level: int, varying: str, lines: int
) -> None:
    for number in range(FLOOD):
        counting.handle(level, "report sent", event="report.sent", fields={varying: number, "outcome": "yes"})

    assert len(counting.lines) == lines


def test_the_sum_is_written_when_something_else_is_logged_later_and_when_the_program_ends(
    counting: Log,
) -> None:
    for _ in range(BURST + 3):
        counting.write("one")
    counting.now += INTERVAL
    counting.write("another")
    for _ in range(BURST + 4):
        counting.write("third")
    counting.handler.close()

    assert counting.lines[BURST : BURST + 2] == [
        "WARNING link.refused repeated 3 more times: one repeated=3",
        "WARNING link.refused another",
    ]
    assert counting.lines[-1] == "WARNING link.refused repeated 4 more times: third repeated=4"


def test_the_sum_is_written_though_nothing_else_is_logged() -> None:
    told = Event()

    class Telling(io.StringIO):
        def write(self, text: str) -> int:
            if "more times" in text:
                told.set()
            return super().write(text)

    handler = CountingHandler(Telling(), interval=0.05)
    for _ in range(BURST + 1):
        handler.handle(logging.makeLogRecord({"msg": "once more", "levelno": logging.ERROR}))

    assert told.wait(20)
    handler.close()


def test_memory_is_bounded_and_a_kind_that_makes_room_is_summed_up(counting: Log) -> None:
    for _ in range(BURST + 1):
        counting.write("first", identifier="first")
    for number in range(KINDS_MAX * 2):
        counting.write("other", identifier=number)

    assert any("repeated 1 more times: first identifier=first" in line for line in counting.lines)
    assert sys.getsizeof(counting.handler._repeats._counts) < 200_000
