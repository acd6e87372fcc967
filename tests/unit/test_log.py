"""The log: one line an event, no forged lines, no secrets."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.printable import make_printable
from bot.worker.log import LIBRARIES, MESSAGE_MAX, OURS, TRACE_MAX, VALUE_MAX, configure_logging

log = logging.getLogger("bot.test")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers = list(root.handlers)
    names = (None, OURS, *LIBRARIES)
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    for name, earlier in levels.items():
        logging.getLogger(name).setLevel(earlier)


def written(message: str, level: str = "INFO", **fields: object) -> str:
    stream = io.StringIO()
    configure_logging(level, stream)
    log.info(message, extra={"event": "request.accepted", "fields": fields})
    return stream.getvalue()


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
    stream = io.StringIO()
    configure_logging("INFO", stream)

    log_failure("failed", ValueError("bad\n2026-11-24T03:00:00Z INFO report.sent forged\x1b[1m"))

    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR request.failed")
    assert any("forged" in line for line in rest)
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-123-ABC-def",
        "xoxp-1-2",
        "xoxe.xoxb-1-ABC",
        "xoxe-1-ABC",
        "xapp-1-A0-9-ff",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
    ],
)
@pytest.mark.parametrize("before", ["", "\n", "Bearer ", "token=", "'"])
def test_tokens_are_shown_nowhere(secret: str, before: str) -> None:
    stream = io.StringIO()
    configure_logging("DEBUG", stream)

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
    ],
)
def test_secrets_without_a_shape_are_known_by_what_stands_before_them(text: str) -> None:
    line = written(text)

    assert "hunter2" not in line
    assert "[redacted]" in line


def test_secrets_that_are_named_at_the_start_are_never_shown() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream, secrets=["hunter2", ""])

    log.info("say hunter2", extra={"event": "x.said", "fields": {"word": "hunter2"}})

    assert "say [redacted] word=" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("text", ["x", "\u0301", "\ud800", "key=", "xoxb-1 ", "\n"])
def test_no_record_is_written_at_any_length(text: str) -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream)

    log_failure(text * 100_000, ValueError(text * 100_000), why=text * 100_000)

    longest = len(make_printable(text)) / len(text)
    assert len(stream.getvalue()) < (MESSAGE_MAX + VALUE_MAX + 2 * TRACE_MAX) * longest


@pytest.mark.parametrize("before", range(0, 30, 3))
def test_no_half_of_a_secret_is_left_where_a_text_is_cut(before: int) -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream, secrets=["hunter2-is-secret"])
    texts = ["." * (limit - before) + "hunter2-is-secret" for limit in (MESSAGE_MAX, VALUE_MAX)]

    log.info(texts[0], extra={"event": "x.said", "fields": {"word": texts[1]}})

    assert "hunter2" not in stream.getvalue()


def test_a_sentence_about_tokens_is_left_alone() -> None:
    assert "expected xoxb-… or xapp-…" in written("expected xoxb-… or xapp-…")


def test_libraries_are_quiet_but_for_warnings() -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream)

    logging.getLogger("botocore.hooks").info("chatter")
    logging.getLogger("slack_bolt.App").warning("trouble\nbelow")

    assert "chatter" not in stream.getvalue()
    assert "WARNING slack_bolt.App trouble\\nbelow\n" in stream.getvalue()


def test_libraries_speak_at_debug_and_keep_to_a_stricter_level() -> None:
    talkative, strict = io.StringIO(), io.StringIO()

    configure_logging("DEBUG", talkative)
    logging.getLogger("botocore.hooks").info("chatter")
    configure_logging("ERROR", strict)
    logging.getLogger("botocore.hooks").warning("trouble")

    assert "chatter" in talkative.getvalue()
    assert strict.getvalue() == ""


@pytest.mark.parametrize(
    "name",
    [
        "botocore.parsers",
        "urllib3.connectionpool",
        "slack_sdk.web.async_client",
        "aiohttp.client",
        "a_library_of_next_year",
        "bottle",
    ],
)
@pytest.mark.parametrize("own_level", [logging.NOTSET, logging.DEBUG])
def test_at_debug_only_our_own_loggers_go_below_info(name: str, own_level: int) -> None:
    stream = io.StringIO()
    library = logging.getLogger(name)
    earlier = library.level

    configure_logging("DEBUG", stream)
    library.setLevel(own_level)
    library.debug("<SecretAccessKey>hunter2</SecretAccessKey>")
    log.debug("ours")
    library.setLevel(earlier)

    assert "hunter2" not in stream.getvalue()
    assert "ours" in stream.getvalue()


def test_the_last_configuration_counts() -> None:
    first = io.StringIO()
    configure_logging("INFO", first)

    line = written("once")

    assert line.count("once") == 1
    assert first.getvalue() == ""


def test_lines_to_the_journal_carry_no_time(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        configure_logging("INFO", stream, journal_stream=f"{status.st_dev}:{status.st_ino}")
        log.info("accepted", extra={"event": "request.accepted", "fields": {}})

    assert path.read_text() == "INFO request.accepted\n"


def test_a_journal_variable_that_was_inherited_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "terminal"
    with path.open("w") as stream:
        configure_logging("INFO", stream, journal_stream="1:1")
        log.info("accepted", extra={"event": "request.accepted", "fields": {}})

    assert re.match(r"\d{4}-", path.read_text())
