"""The commands on a terminal: how wide they are, what can be copied, and what they ask."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from world import PATIENCE_SECONDS, World, until
from world.worker import bare_environment, begin

#: The second is what Python does in a locale such as en_US.UTF-8, which not every machine has.
TERMINAL = {"TERM": "xterm", "PYTHONIOENCODING": "utf-8:strict"}

CTRL_D = b"\x04"

#: What is typed to decline; the last is a terminal's that is not UTF-8.
REFUSALS = (b"n\n", b"\n", CTRL_D, b"\xff\n")


class Shown(NamedTuple):
    """What a command shows on a terminal, and its exit code."""

    code: int
    text: str


def run_on_terminal(*arguments: str, typed: bytes = b"", environ: Mapping[str, str], folder: Path) -> Shown:
    """Run a command on a terminal at which this is typed."""
    leader, follower = pty.openpty()
    os.write(leader, typed)
    streams = follower, follower, follower
    process = begin(arguments, folder=folder, environment={**TERMINAL, **environ}, streams=streams)
    os.close(follower)
    text = b""
    with os.fdopen(leader, "rb", buffering=0) as shown, suppress(OSError):  # once nobody has it open
        while piece := shown.read(65536):
            text += piece
    return Shown(process.wait(PATIENCE_SECONDS), text.decode(errors="replace").replace("\r\n", "\n"))


def test_colour_is_for_terminals_whose_user_wants_it() -> None:
    told = "triage-bot: {}: RETAIN_DAYS is 'x'; expected a number of days, at least 15"

    shown = [
        run_on_terminal("run", environ={**bare_environment(Path("/")), **environ}, folder=Path("/")).text
        for environ in ({"RETAIN_DAYS": "x", **more} for more in ({}, {"NO_COLOR": "1"}, {"TERM": "dumb"}))
    ]

    assert told.format("\x1b[31merror\x1b[0m") in shown[0]
    assert all(told.format("error") in one for one in shown[1:])


def run_in_shell(script: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell, in which `$bot` is the program."""
    bot = f"{sys.executable} -P -m bot"
    return subprocess.run(  # noqa: S603 - the program under test
        ["/bin/sh", "-c", script],
        env={**bare_environment(Path("/")), "bot": bot, **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["list", "check", "migrate --from sqlite:///x.db --to dynamodb://table"])
def test_a_folder_that_is_gone_is_an_error_in_words(tmp_path: Path, command: str) -> None:
    (tmp_path / "gone").mkdir()

    ended = run_in_shell(f"rmdir ../gone; $bot {command}", tmp_path / "gone")

    assert ended.returncode == 78
    assert ended.stderr.startswith("triage-bot: error: the current folder does not exist any more; expected")


def test_a_missing_setting_is_shown_after_the_name_that_was_misspelled(tmp_path: Path) -> None:
    ended = run_in_shell("$bot send --user ada@example.com", tmp_path, REQUEST_QUEUE_ULR="x")

    assert ended.returncode == 78
    assert re.findall("triage-bot: (error|warning): .*?(REQUEST_QUEUE_U..)", ended.stderr) == [
        ("warning", "REQUEST_QUEUE_ULR"),
        ("error", "REQUEST_QUEUE_URL"),
    ]


class Reported(NamedTuple):
    """A world with an alert whose only report was sent."""

    world: World
    identifier: str

    def on_terminal(self, *arguments: str, typed: bytes = b"", columns: int = 80) -> Shown:
        environ = {**self.world.worker.environment, "COLUMNS": str(columns), "NO_COLOR": "1"}
        return run_on_terminal(*arguments, typed=typed, environ=environ, folder=self.world.worker.folder)


@pytest.fixture(scope="module")
def reported(create_shared_world: Callable[..., World]) -> Reported:
    world = create_shared_world()
    world.start()
    identifier = world.send(user="nobody@research.example.com", alert="duo_bypass_codes_generated")
    world.reports(identifier)
    until(lambda: world.known_row(identifier)["reports"][0]["sentAt"], what="the report is marked as sent")
    return Reported(world, identifier)


def test_the_list_fits_80_columns_and_a_pipe_gets_all_of_it(reported: Reported) -> None:
    shown = reported.on_terminal("list")
    piped = reported.world.worker.command("list").stdout

    assert max(map(len, shown.text.splitlines())) <= 80
    assert reported.identifier in shown.text
    assert "undeliverable: users_not_found\n" in piped
    assert piped.startswith("ACCEPTED  ")
    assert reported.on_terminal("list", columns=200).text.partition("\n")[0] == piped.partition("\n")[0]


@pytest.mark.parametrize(
    "command", ["list", "stats", "export --since 1d", pytest.param("check --json", marks=pytest.mark.slow)]
)
def test_output_that_cannot_be_written_is_an_error_in_words(reported: Reported, command: str) -> None:
    worker = reported.world.worker

    full = run_in_shell(f"$bot {command} > /dev/full", worker.folder, **worker.environment)
    closed = run_in_shell(f"$bot {command} >&-", worker.folder, **worker.environment)

    assert full.returncode == 1
    assert full.stderr == (
        "triage-bot: error: standard output cannot be written: No space left on device; the output is"
        " incomplete\n"
    )
    assert closed.stderr == ""


def test_the_json_that_show_prints_on_a_terminal_can_be_copied(reported: Reported) -> None:
    shown = reported.on_terminal("show", reported.identifier)

    [body] = re.findall(r"(?ms)^\{$.*?^\}$", shown.text)
    assert json.loads(body) == json.loads(reported.world.known_row(reported.identifier)["reports"][0]["body"])


def test_an_empty_list_says_so_and_which_label_may_be_meant(world: World, reported: Reported) -> None:
    world.start()

    assert world.worker.command("list").stdout == "There are no alerts in the store.\n"
    assert world.worker.command("list", "--json").stdout == "[]\n"
    assert world.worker.command("list", "--open").stdout == "No alerts match.\n"
    misspelled = reported.world.worker.command("list", "--alert", "duo_bypass_codes_generatd")
    assert misspelled.stdout == "No alerts match. Did you mean --alert duo_bypass_codes_generated?\n"


@pytest.mark.slow
def test_a_replay_asks_on_a_terminal_and_nowhere_else(reported: Reported) -> None:
    world, identifier = reported.world, reported.identifier
    question = "Send 1 report again? [y/N] "

    declined = [reported.on_terminal("replay", identifier, typed=typed) for typed in REFUSALS]
    dry = reported.on_terminal("replay", identifier, "--dry-run")
    unchanged = world.known_row(identifier)["reports"]

    for each in declined:
        assert (each.code, question in each.text, "Nothing was sent." in each.text) == (1, True, True)
    assert (dry.code, question in dry.text) == (0, False)
    assert [row["sentAt"] is not None for row in unchanged] == [True]
    assert all(max(map(len, each.text.splitlines())) <= 80 for each in declined)
    ways = [
        reported.on_terminal("replay", identifier, typed=b"y\n"),
        reported.on_terminal("replay", identifier, "--yes"),
        Shown(0, world.worker.command("replay", identifier).stdout),
    ]
    assert [(each.code, question in each.text) for each in ways] == [(0, True), (0, False), (0, False)]
    assert all("1 report queued. " in each.text for each in ways)
    world.reports(identifier, 2)
