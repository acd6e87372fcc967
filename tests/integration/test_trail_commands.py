"""`show`, `export` and `verify` of what a real worker has decided, while it runs and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mypy_boto3_sqs import SQSClient
from world import World, until

from bot.cli.parser import main


@pytest.fixture
def world(tmp_path: Path, sqs: SQSClient, aws_environment: Mapping[str, str]) -> Iterator[World]:
    with World(tmp_path, sqs, aws_environment) as world:
        world.start()
        yield world


@pytest.mark.slow
def test_a_trail_is_shown_and_exported_and_verified_against_what_mozdef_has(
    world: World, tmp_path: Path
) -> None:
    identifier = world.send()
    question = world.slack.question(identifier)
    world.slack.press(question, "yes")
    world.slack.press(question, "no")
    sent = [letter.details["triagebot"] for letter in world.reports(identifier, count=2)]
    until(
        lambda: [each["event"] for each in world.known_row(identifier)["events"]][-1] == "sent",
        what="the last report is marked",
    )
    shown = world.worker.command("show", identifier).stdout
    running = world.worker.command("export", "--since", "1h").stdout
    world.worker.stop()
    stopped = world.worker.command("export", "--since", "1h").stdout

    assert [each["previous"] for each in sent[1:]] == [sent[0]["hash"]]
    assert shown.count("answered     by U") == 2
    assert "BROKEN" not in shown
    assert running.splitlines()[1:-1] == stopped.splitlines()[1:-1]
    assert "ada@example.com" not in running
    assert json.loads(running.splitlines()[1])["lastReport"] == sent[1]["hash"]

    (tmp_path / "export").write_text(running)
    (tmp_path / "hashes").write_text("".join(f"{each['hash']}\n" for each in sent))
    against = ("verify", f"{tmp_path}/export", "--against", f"{tmp_path}/hashes")
    verified = world.worker.command(*against)
    assert verified.stdout == "1 alert, 7 events, 2 reports: nothing is missing or changed.\n"

    (tmp_path / "export").write_text(running.replace('"said":"no"', '"said":"yes"'))
    (tmp_path / "hashes").write_text(f"{sent[0]['hash']}\n")
    faults = world.worker.command(*against)
    assert (verified.returncode, faults.returncode) == (0, 1)
    assert f"(answered) of alert '{identifier}' is changed" in faults.stdout
    assert f"MozDef does not have it (hash {sent[1]['hash']})" in faults.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("send", "--file", "/nowhere"), 1, "--file /nowhere cannot be read (No such file or directory)"),
        (("verify", "/nowhere"), 1, "/nowhere cannot be read: No such file or directory"),
        (("verify", "/dev/null", "--against", __file__), 1, "is not a list of hashes"),
        (("verify", "/dev/null"), 1, ""),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_an_input_that_is_not_utf_8_is_told_in_any_locale(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\xff{}")

    with (tmp_path / "body").open() as body:
        sent = subprocess.run(
            [sys.executable, "-m", "bot", "send", "--file", "-"],
            cwd=tmp_path,
            env={"LC_ALL": "C", "REQUEST_QUEUE_URL": "http://127.0.0.1:9/1/requests"},
            stdin=body,
            capture_output=True,
            text=True,
            check=False,
        )

    assert sent.returncode == 1
    assert sent.stderr.startswith("triage-bot: error: --file - cannot be read (not UTF-8);")
