"""The worker as a process: how it starts, is refused, stops, is killed, and comes back."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from world import PATIENCE_SECONDS, World, alert, until
from world.forward_proxy import ForwardProxy
from world.worker import bare_environment, run_command

from bot.cli.parser import main

slow = pytest.mark.slow

#: How long stopping may take, whatever hangs: a promise of the worker's.
STOP_SECONDS = 10


@pytest.fixture
def create_world(create_world: Callable[..., World]) -> Callable[..., World]:
    """Make worlds whose worker is a new Python, as in production; elsewhere it is forked."""

    def create(**options: Any) -> World:
        world = create_world(**options)
        world.worker.program = ("-m", "bot")
        return world

    return create


def assert_refused(world: World, exit_code: int, *words: str) -> None:
    """Assert that a run ends with this code and one clear line that has these words."""
    world.worker.program = ()  # forked: what it refuses has nothing to do with how it began
    world.worker.start()
    assert world.worker.exit_code() == exit_code
    errors = [line for line in world.worker.log.splitlines() if line.startswith("triage-bot: error:")]
    assert len(errors) == 1, world.worker.log
    assert [word for word in words if word not in errors[0]] == []


def test_an_idle_worker_stops_at_once_and_hides_nothing(world: World) -> None:
    world.start()
    identifier = world.send()
    world.slack.question(identifier)
    world.until_taken()

    world.worker.signal(signal.SIGTERM)

    assert world.worker.exit_code(seconds=STOP_SECONDS) == 0
    assert world.waiting(world.requests) == (0, 0)
    assert "shutdown.timed_out" not in world.worker.log
    assert "worker.stopped" in world.worker.log


@pytest.mark.slow
def test_a_worker_that_is_stopped_in_the_middle_of_many_requests_asks_each_person_once(world: World) -> None:
    world.start()
    identifiers = [world.send() for _ in range(30)]
    world.slack.question(identifiers[0])

    assert world.worker.stop() == 0
    world.worker.start()

    for identifier in identifiers:
        world.slack.question(identifier)
    world.until_taken()
    world.slack.question(world.send())
    assert [len(world.slack.questions(identifier)) for identifier in identifiers] == [1] * 30


@pytest.mark.slow
def test_a_worker_stops_in_time_while_slack_hangs_and_a_second_signal_ends_it_at_once(
    create_world: Callable[..., World],
) -> None:
    # Two worlds at a time, since the first stop takes almost all that it may.
    patient, hasty = create_world(), create_world()
    for world in (patient, hasty):
        world.start()
        hold = world.slack.hold("chat.postMessage")
        world.send()
        hold.wait_until_reached()

    for world in (patient, hasty):
        world.worker.signal(signal.SIGTERM)
        world.worker.until_logged("worker.stopping")
    hasty.worker.signal(signal.SIGTERM)

    assert hasty.worker.exit_code() == 1
    assert patient.worker.exit_code(seconds=STOP_SECONDS) == 0
    assert patient.waiting(patient.requests) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=slow)])
def test_a_worker_that_is_told_to_stop_while_it_starts_stops(world: World, number: signal.Signals) -> None:
    hold = world.slack.hold("auth.test")
    world.worker.start()
    hold.wait_until_reached()

    world.worker.signal(number)

    assert world.worker.exit_code(seconds=STOP_SECONDS) == 0


@pytest.mark.slow
def test_an_answer_that_was_acknowledged_survives_a_kill(create_world: Callable[..., World]) -> None:
    world = create_world(MOZDEF_SYNC_SECONDS="2")
    world.start()
    identifier = world.send()
    click = world.slack.press(world.slack.question(identifier), "no")

    world.worker.kill()
    world.worker.start()

    assert click.acknowledged
    assert world.status(identifier) == "escalated"
    assert len(world.slack.questions(identifier)) == 1


def _lack_a_queue(variable: str) -> Callable[[World], None]:
    def take_away(world: World) -> None:
        world.worker.environment[variable] = f"{world.settings[variable]}-missing"

    return take_away


def _have_no_folder(world: World) -> None:
    world.worker.environment["STORE_URL"] = "sqlite:///missing/triage-bot.db"


def _have_no_database(world: World) -> None:
    (world.worker.folder / "triage-bot.db").write_text("this was a database\n" * 500, encoding="utf-8")


def _have_wrong_token(variable: str, token: str) -> Callable[[World], None]:
    return lambda world: world.worker.environment.update({variable: token})


@pytest.mark.parametrize(
    ("prepare", "exit_code", "words"),
    [
        (_have_wrong_token("SLACK_BOT_TOKEN", "xoxb-hush"), 1, ["SLACK_BOT_TOKEN", "invalid_auth"]),
        pytest.param(
            _have_wrong_token("SLACK_APP_TOKEN", "xapp-hush"),
            1,
            ["SLACK_APP_TOKEN", "invalid_auth"],
            marks=slow,
        ),
        pytest.param(
            lambda world: world.slack.faults.refuse("auth.test", "access_denied"),
            1,
            ["SLACK_BOT_TOKEN", "access_denied", "triage-bot check"],
            marks=slow,
        ),
        (
            lambda world: world.slack.faults.refuse("apps.connections.open", "access_denied"),
            1,
            ["SLACK_APP_TOKEN", "access_denied", "triage-bot check"],
        ),
        *[
            pytest.param(
                lambda world, how=how: world.slack.quirks(org_wide=how),
                1,
                ["whole organisation", "install the app in the one workspace"],
                marks=[slow] if how == "unnamed" else [],
            )
            for how in ("unnamed", "named")
        ],
        (_lack_a_queue("REQUEST_QUEUE_URL"), 1, ["/requests-", "-missing"]),
        pytest.param(_lack_a_queue("RESPONSE_QUEUE_URL"), 1, ["/responses-", "-missing"], marks=slow),
        pytest.param(_lack_a_queue("DEAD_LETTER_QUEUE_URL"), 1, ["/dead-letters-", "-missing"], marks=slow),
        (_have_no_folder, 78, ["missing", "STORE_URL"]),
        (_have_no_database, 78, ["corrupt", "restore a backup"]),
    ],
)
def test_what_keeps_the_worker_from_starting_is_told_in_one_clear_line(
    world: World, prepare: Callable[[World], None], exit_code: int, words: list[str]
) -> None:
    prepare(world)

    assert_refused(world, exit_code, *words)

    assert "hush" not in world.worker.log


@pytest.mark.slow
def test_a_store_that_another_worker_holds_is_left_to_it(world: World) -> None:
    world.start()
    holder, world.worker = world.worker, world.another_worker()

    try:
        assert_refused(world, 1, "held by another process")
        assert world.slack.question(world.send())
        assert holder.is_running()
    finally:
        holder.close()


def test_all_wrong_settings_are_told_together(create_world: Callable[..., World]) -> None:
    wrong = {
        "SLACK_BOT_TOKEN": "xapp-swapped",
        "RESPONSE_PROFILE": "loud",
        "MOZDEF_SYNC_SECONDS": "soon",
        "ALLOW_DEESCALATION": "perhaps",
        "STORE_URL": "postgres://somewhere",
        "REQUEST_QUEUE_URL": "",
    }
    world = create_world(**wrong)

    world.worker.start()

    assert world.worker.exit_code() == 78
    lines = world.worker.log.splitlines()
    assert len(lines) == len(wrong)
    assert [name for name in wrong if not any(f"error: {name} " in line for line in lines)] == []


@slow
def test_a_worker_that_starts_before_slack_does_accepts_and_asks_later(world: World) -> None:
    world.slack.stop()
    world.worker.start()
    identifier = world.send()
    world.worker.until_logged("request.accepted", identifier)
    world.until_taken()
    assert world.worker.is_running()

    world.slack.start()

    question = world.slack.question(identifier)
    world.slack.until_linked()
    assert world.slack.press(question, "yes").acknowledged
    assert world.status(identifier) == "acknowledged"


@pytest.mark.slow
def test_the_worker_runs_with_an_env_file_alone(world: World) -> None:
    lines = [f"{name}={value}\n" for name, value in world.settings.items()]
    path = world.worker.folder / ".env"
    path.write_text("".join(lines), encoding="utf-8")
    path.chmod(0o644)
    for name in (*world.settings, "TRIAGE_BOT_ENV"):
        del world.worker.environment[name]

    world.start()
    identifier = world.send()
    world.slack.press(world.slack.question(identifier), "notSure")

    assert world.status(identifier) == "manual"
    warning = f"triage-bot: warning: {path} holds tokens or keys and can be read by users other than"
    assert warning in world.worker.log


@pytest.mark.slow
def test_list_show_and_stats_tell_the_same_whether_the_worker_runs_or_not(world: World) -> None:
    world.start()
    identifier = world.send(alert="ssh_access_sign_releng")
    world.slack.press(world.slack.question(identifier), "no")
    world.reports(identifier)
    until(lambda: _at_rest(world, identifier), what="everything about it is done")
    filters = (
        "--outcome",
        "no",
        "--user",
        "ADA@example.com",
        "--alert",
        "ssh_access_sign_releng",
        "--since",
        "1d",
    )
    commands = [
        *(("list", "--json"), ("show", identifier, "--json"), ("show", identifier), ("show", "unknown")),
        *(("stats", "--json"), ("stats", "--since", "2h", "--plot", "plot.svg")),
        *(("list", *filters, "--json"), ("list", "--open")),
    ]

    while_running = [world.worker.command(*command) for command in commands]
    listed = world.worker.command("list")
    world.worker.stop()
    afterwards = [world.worker.command(*command) for command in commands]

    # But for the minute from which the statistics count, which goes by the clock.
    told, again = (
        [re.sub("since [-0-9]+ [:0-9]+ UTC", "", one.stdout) for one in each]
        for each in (while_running, afterwards)
    )
    assert told == again
    assert [one.returncode for one in while_running] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert [one.returncode for one in afterwards] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert "unknown" in afterwards[3].stderr
    assert afterwards[6].stdout == afterwards[0].stdout
    assert afterwards[7].stdout == "No alerts match.\n"
    plot = (world.worker.folder / "plot.svg").read_text()
    for shown in (listed.stdout, while_running[5].stdout, plot):
        assert "ssh_access_sign_releng" in shown
    row = json.loads(while_running[1].stdout)
    assert (row["outcome"], row["state"], row["reports"][0]["response"]) == ("no", "asked", "no")
    [figures] = json.loads(while_running[4].stdout)
    counts = {name: figures[name] for name in ("alert", "asked", "yes", "no")}
    assert counts == {"alert": "ssh_access_sign_releng", "asked": 1, "yes": 0, "no": 1}
    assert figures["medianSeconds"] is not None


def test_list_makes_no_store_where_there_is_none(world: World) -> None:
    listed = world.worker.command("list")

    assert listed.returncode == 78
    assert "there is no store" in listed.stderr
    assert list(world.worker.folder.iterdir()) == []


def test_send_prints_identifier_and_message_id_and_needs_no_slack(world: World) -> None:
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "RESPONSE_QUEUE_URL"):
        del world.worker.environment[name]

    sample = world.worker.command("send", "--user", "ada@example.com")
    named = world.worker.command(
        *(
            "send",
            "--user",
            "ada@example.com",
            "--identifier",
            "A1",
            "--confidence",
            "high",
            "--summary",
            "s",
        ),
        *("--occurred-at", "2026-11-24T03:00:00Z", "--fact", "Host=db=1", "--fact", "Device=phone"),
    )
    given = alert()
    from_file = world.worker.command("send", "--file", "-", given=json.dumps(given))

    assert [one.returncode for one in (sample, named, from_file)] == [0, 0, 0]
    assert named.stdout.splitlines()[0].split() == ["identifier", "A1"]
    assert from_file.stdout.splitlines()[0].split() == ["identifier", given["identifier"]]
    assert all("MozDef drops the report unless" in one.stderr for one in (sample, from_file))
    messages = world.sqs.receive_message(QueueUrl=world.requests, MaxNumberOfMessages=10)["Messages"]
    printed = {one.stdout.split()[-1] for one in (sample, named, from_file)}
    assert {message["MessageId"] for message in messages} == printed
    bodies = [json.loads(message["Body"]) for message in messages]
    assert given in bodies
    named_body = {
        "identifier": "A1",
        "alert": "sensitive_host_session",
        "identityConfidence": "high",
        "summary": "s",
        "user": "ada@example.com",
        "occurredAt": "2026-11-24T03:00:00Z",
        "facts": [{"name": "Host", "value": "db=1"}, {"name": "Device", "value": "phone"}],
    }
    assert named_body in bodies


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"alert": 7}, "the bot will reject this request: alert must be 1 to 255 characters"),
        ({"facts": "db1"}, "the bot will leave out: facts must be an array"),
    ],
)
def test_send_warns_of_a_file_that_breaks_the_contract_and_sends_it(
    world: World, body: dict[str, object], told: str
) -> None:
    given = json.dumps(alert() | body)

    sent = world.worker.command("send", "--file", "-", given=given)

    assert (sent.returncode, f"triage-bot: warning: {told}" in sent.stderr) == (0, True)
    assert ("the bot asks" in sent.stderr) == ("reject" not in told)
    [message] = world.sqs.receive_message(QueueUrl=world.requests)["Messages"]
    assert message["Body"] == given


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("dance",), "there is no command 'dance'; expected one of run, "),
        (("lst",), "there is no command 'lst'; did you mean 'list'?"),
        (("show",), "IDENTIFIER is missing"),
        (("list", "foo"), "foo is not expected here; --help lists what is"),
        (("list", "--since", "-1d"), "--since expects a value after it"),
        (("send",), "one of the arguments --user --file is required"),
        (("list", "--limit", "0"), "--limit expects a whole number of 1 or more, not '0'"),
        (("list", "--limit", "x"), "--limit expects a whole number of 1 or more, not 'x'"),
        (("sandbox", "--port", "65536"), "--port expects a port from 0 to 65535, not '65536'"),
        (
            ("stats", "--since", "5"),
            "--since expects a duration such as 90s, 15m or 4h, at most 3650d, not '5'",
        ),
        (("list", "--since", "5"), "--since expects a duration such as 90s, 15m or 4h"),
        (("check", "--factor", ""), "--factor expects an email address such as ada@example.com, not ''"),
        (("list", "--user", "ada"), "--user expects an email address such as ada@example.com, not 'ada'"),
        (("list", "--alert", ""), "--alert expects a label of 1 to 255 characters, not ''"),
        *(
            ((command, "\udcff"), "IDENTIFIER expects an identifier of 1 to 255 characters, not '\\udcff'")
            for command in ("show", "replay")  # a byte that is no UTF-8
        ),
        (
            ("list", "--outcome", "timedout"),
            "timedOut, undeliverable or unproven, not 'timedout'; did you mean timedOut",
        ),
        (("list", "--open", "--outcome", "no"), "--outcome: not allowed with argument --open"),
        (("stats", "--plot", "x.png"), "--plot expects FILE.svg, not 'x.png'"),
        (("migrate", "--from", "x", "--to", "y"), "--from expects sqlite:///…, not 'x': only SQLite"),
        (
            ("send", "--user", "ada@example.com", "--fact", "Host"),
            "--fact expects NAME=VALUE, such as Host=db1, not 'Host'",
        ),
        (("export", "--since", "1h", "--until", "2h"), "--until must be a shorter time than --since"),
        (("send", "--user", "a@b.c", "--confidence", "sure"), "--confidence must be one of"),
        (("send", "--user", "N/A"), "--user must be an ASCII e-mail address of at most 254 characters"),
        (("send", "--user", "a@b.c", "--alert", "mine"), "--alert 'mine' has no sample text; add --summary"),
        *(
            (("replay", *arguments), "")
            for arguments in ((), ("--since", "0"), ("--since", "1h", "--unsent"), ("an-alert", "--unsent"))
        ),
        (("replay", "an-alert", "--since", "1h"), ""),
    ],
)
def test_wrong_usage_is_told_with_what_is_expected(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    usage, _, error = capsys.readouterr().err.rpartition("error: ")
    assert "usage: triage-bot" in usage
    assert told in error


@pytest.mark.parametrize(
    "command",
    [
        *(("run",), ("check",), ("list",), ("show", "x"), ("stats",), ("replay", "--unsent")),
        *(("export", "--since", "1h"), ("backup", "copy.db"), ("send", "--user", "ada@example.com")),
        ("migrate", "--from", "sqlite:///x.db", "--to", "dynamodb://table"),
    ],
)
def test_every_command_can_say_what_it_read_though_a_setting_is_missing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "settings").write_text("REMIND_AFTER=1h\n")

    environment = {**bare_environment(tmp_path), "TRIAGE_BOT_ENV": "settings"}
    done = run_command(*command, "--verbose", folder=tmp_path, environment=environment)

    assert done.returncode in (1, 78)
    told = f"triage-bot: info: settings come from {tmp_path}/settings and the environment"
    assert done.stderr.splitlines()[0] == told


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    assert "commands:" in capsys.readouterr().out


def _at_rest(world: World, identifier: str) -> bool:
    row = world.known_row(identifier)
    return row["dueAt"] is None and all(report["sentAt"] for report in row["reports"])


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy:
        yield proxy


@pytest.mark.slow
def test_a_proxy_without_a_scheme_is_the_way_for_every_part_of_the_program(
    create_world: Callable[..., World], proxy: ForwardProxy
) -> None:
    world = create_world(HTTP_PROXY=proxy.address)
    world.start()

    identifier = world.send()
    assert world.slack.press(world.slack.question(identifier), "yes").acknowledged
    assert world.status(identifier) == "acknowledged"

    asked_for = "\n".join(proxy.requested)
    for part in (f"{world.slack.api_url}auth.test", "ticket=", world.settings["AWS_ENDPOINT_URL_SQS"]):
        assert part in asked_for
    proxy.requested.clear()
    checked = world.worker.command("check")
    assert "✓ ok       bot token" in checked.stdout
    assert "✓ ok       request queue" in checked.stdout
    assert len(proxy.requested) > 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_ends_the_worker_for_good(
    create_world: Callable[..., World], name: str
) -> None:
    world = create_world(**{name: "socks5://127.0.0.1:1080"})

    world.worker.start()

    assert world.worker.exit_code() == 78
    assert world.worker.log == (
        f"triage-bot: error: {name} is 'socks5://127.0.0.1:1080'; expected http://HOST:PORT, or HOST:PORT\n"
    )


def test_what_a_terminal_cannot_show_is_replaced(tmp_path: Path) -> None:
    environment = {**bare_environment(tmp_path), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = run_command("check", folder=tmp_path, environment=environment)

    assert command.returncode == 1
    assert "? failed   SLACK_BOT_TOKEN" in command.stdout
    assert command.stderr == ""


def interrupt(folder: Path, *, after: str) -> str:
    """Press Ctrl-C once a command has loaded this module; return what it writes then."""
    with subprocess.Popen(
        [sys.executable, "-P", "-X", "importtime", "-m", "bot", "send", "--file", "-"],
        env=bare_environment(folder),
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        while not process.stderr.readline().endswith(f" {after}\n"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    return rest


@pytest.mark.parametrize(
    "loaded",
    ["bot.errors", "bot.settings.parsers", "bot.cli.commands", "bot.cli.sample_requests", "bot.sqs.wire"],
)
def test_ctrl_c_shows_no_traceback_once_the_program_has_begun(tmp_path: Path, loaded: str) -> None:
    # Rarely, the signal comes inside one of Python's own callbacks, which reports the interrupt and drops it.
    assert any("Traceback" not in interrupt(tmp_path, after=loaded) for _ in range(3))
