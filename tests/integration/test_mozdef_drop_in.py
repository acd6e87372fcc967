"""The drop-in for MozDef, on MozDef's Python 3.6 with its boto3, and on this Python with today's.

The stock action beside it is a stand-in of ours, and both are loaded the way MozDef loads them; SQS and the
person API answer over HTTP. `test_mozdef_checkout.py` does the like with MozDef's own code.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from aws_stand_in import RUDE, Refusing, dripping
from documents import CHECKOUT
from drop_in import CHAIN_KEY, DropIn, duo_alert, releng_alert, session_alert
from interpreters import find_python, make_environment
from mozdef_guide import guide_block, guide_commands, run_commands
from mypy_boto3_sqs import SQSClient
from person_api import PersonApi
from triage_request import DEADLINE_SECONDS, LONGEST_SUMMARY
from world.worker import WorkerProcess, bare_environment

from bot.sqs.wire import decode_request
from bot.triage.model import Confidence, Fact, TriageRequest

FILES = [CHECKOUT / "config" / "mozdef" / name for name in ("triage_bot_sqs.py", "triage_request.py")]

#: What MozDef pins, and what that needs on its Python.
MOZDEFS_BOTO3 = ("boto3==1.7.67", "docutils<0.19", "jmespath<1")

OLD = "MozDef's Python 3.6 and boto3"
NEW = "this Python and today's boto3"

#: What the event of a session tells.
SESSION: dict[str, Any] = {
    "occurred_at": datetime(2026, 11, 24, 3, tzinfo=UTC),
    "facts": (Fact(name="Host", value="db1.example.com"), Fact(name="From address", value="192.0.2.7")),
}


@pytest.fixture(scope="session", params=[pytest.param(OLD, marks=pytest.mark.slow), NEW])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the boto3 that is meant."""
    if request.param == NEW:
        return Path(sys.executable)
    found = find_python("3.6")
    if found is None:
        pytest.skip("MozDef's Python 3.6 is neither on the PATH nor among pyenv's versions")
    return make_environment(found, tmp_path_factory.mktemp("python") / "3.6", MOZDEFS_BOTO3)


@pytest.fixture(scope="session")
def drop_in(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropIn]:
    """The drop-in in one process for all tests; each reloads it."""
    with DropIn(tmp_path_factory.mktemp("mozdef"), python=python) as drop_in:
        yield drop_in


@pytest.fixture
def people() -> Iterator[PersonApi]:
    with PersonApi() as people:
        people.addresses["ada"] = "ada@example.com"
        yield people


@pytest.fixture
def queue(create_queue: Callable[..., str]) -> str:
    """The URL of the request queue."""
    return create_queue()


@pytest.fixture
def load(drop_in: DropIn, people: PersonApi, queue: str, sqs_endpoint: str) -> Callable[..., DropIn]:
    """Load the drop-in with settings that are right, but for the given ones."""

    def load(*, stock: Mapping[str, Any] | None = None, deadline_seconds: float = 15, **wrong: Any) -> DropIn:
        right = {"request_queue": name_of(queue), "region": "us-west-2", "endpoint_url": sqs_endpoint}
        person_api = {"oauth_url": people.oauth_url, "person_api_base": people.url}
        drop_in.configure(stock={**person_api, **(stock or {})}, **{**right, **wrong})
        loaded = drop_in.load(deadline_seconds=deadline_seconds)
        assert not loaded.error
        return drop_in

    return load


def name_of(queue: str) -> str:
    return queue.rpartition("/")[2]


def received(sqs: SQSClient, queue: str) -> list[Any]:
    """Take what is in a queue, as the bot reads it."""
    taken = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            taken.append(decode_request(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return taken


def line_about(log: list[str], identifier: str) -> str:
    """Return the one line of the log that is about an alert."""
    (line,) = [line for line in log if identifier in line]
    assert "\n" not in line
    return line


def a_request(identifier: str, *, alert: str, summary: str, **others: Any) -> TriageRequest:
    known = {"user": "ada@example.com", "confidence": Confidence.HIGHEST, **others}
    return TriageRequest(identifier=identifier, alert=alert, summary=summary, **known)


def a_duo_request(identifier: str, *, kind: str = "generated") -> TriageRequest:
    alert, summary = f"duo_bypass_codes_{kind}", f"Bypass codes of yours: {kind}."
    return a_request(identifier, alert=alert, summary=summary)


# What it runs on


def judged_by_vermin(*files: Path) -> subprocess.CompletedProcess[str]:
    """Have vermin judge whether files run on Python 3.6 and all later versions."""
    vermin = Path(sys.executable).with_name("vermin")
    return subprocess.run(  # noqa: S603 - the judge
        [vermin, "-t=3.6-", "--no-tips", "--violations", *files], capture_output=True, text=True, check=False
    )


def test_the_files_run_on_python_3_6() -> None:
    judged = judged_by_vermin(*FILES)

    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize(
    "line", ["from __future__ import annotations", "from dataclasses import dataclass", "if a := 1: print(a)"]
)
def test_a_file_that_does_not_run_on_python_3_6_is_refused(tmp_path: Path, line: str) -> None:
    newer = tmp_path / "newer.py"
    newer.write_text(f"{line}\n", encoding="utf-8")

    judged = judged_by_vermin(*FILES, newer)

    assert judged.returncode == 1, judged.stderr
    assert str(newer) in judged.stdout


def test_what_is_tested_is_what_mozdef_has_and_what_is_new(
    drop_in: DropIn, request: pytest.FixtureRequest
) -> None:
    versions = drop_in.versions()

    is_old = OLD in request.node.name
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (versions["python"], versions["boto3"]) == (
        ("3.6", "1.7.67") if is_old else (ours, boto3.__version__)
    )
    assert not versions["flat"]  # so the drop-in finds our other file as a part of MozDef's `actions`


# The guide


def test_a_step_or_a_place_that_is_not_in_the_guide_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="0 blocks"):
        guide_block("2. Ask", "rm -r")
    with pytest.raises(AssertionError, match="not in it once"):
        guide_commands("2. Ask", "cp ", ("/opt/elsewhere", tmp_path))


# Asking


def test_all_four_alerts_arrive_with_what_their_first_events_tell(
    load: Callable[..., DropIn], sqs: SQSClient, queue: str
) -> None:
    drop_in = load()

    logged = [
        *drop_in.alert(session_alert("1")),
        *drop_in.alert(duo_alert("2", kind="used")),
        *drop_in.alert(duo_alert("3", kind="generated")),
        *drop_in.alert(releng_alert("4")),
        *drop_in.alert(session_alert("5", login="nobody")),
    ]

    requests = {request.identifier: request for request in received(sqs, queue)}
    assert logged == []
    opened = {
        "alert": "sensitive_host_session",
        "summary": "A session was opened on db1.example.com by you.",
        **SESSION,
    }
    assert requests == {
        "1": a_request("1", **opened),
        "2": a_duo_request("2", kind="used"),
        "3": a_duo_request("3", kind="generated"),
        "4": a_request(
            "4",
            alert="ssh_access_sign_releng",
            summary="A session was opened on releng.example.com by you.",
            confidence=Confidence.HIGH,
            facts=(Fact(name="Host", value="releng.example.com"),),
        ),
        "5": a_request("5", **opened, user="nobody@mozilla.com", confidence=Confidence.LOW),
    }


def test_it_registers_for_the_alerts_that_the_stock_action_registers_for(drop_in: DropIn) -> None:
    drop_in.configure(request_queue="requests", region="us-west-2", endpoint_url=None)

    loaded = drop_in.load()

    assert loaded.error == ""
    assert loaded.registration == [
        "alertgenericloader:ssh_open_crit",
        "alertauthsignrelengssh",
        "alertgenericloader:duosecurity_bypass_generated",
        "alertgenericloader:duosecurity_bypass_used",
    ]


def test_a_summary_of_megabytes_is_shortened_and_arrives(
    load: Callable[..., DropIn], sqs: SQSClient, queue: str
) -> None:
    letter = "\U0001f511"

    logged = load().alert(session_alert("long", host=letter * 3_000_000))

    (request,) = received(sqs, queue)
    assert logged == []
    assert len(request.summary) == LONGEST_SUMMARY
    assert request.summary.endswith(letter)


def test_a_lone_surrogate_and_a_control_character_arrive(
    load: Callable[..., DropIn], sqs: SQSClient, queue: str
) -> None:
    logged = load().alert(session_alert("odd", host="db\ud800\x00\x1b[31m\uffff"))

    (request,) = received(sqs, queue)
    assert logged == []
    assert request.summary == "A session was opened on db\ufffd\x00\x1b[31m\uffff by you."


# Credentials


@pytest.mark.parametrize(
    ("in_the_file", "signed_by"),
    [
        ({"aws_access_key_id": "INTHEFILE", "aws_secret_access_key": "testing"}, "INTHEFILE"),
        ({"aws_access_key_id": None, "aws_secret_access_key": None}, CHAIN_KEY),
    ],
)
def test_the_call_is_signed_with_mozdef_s_key_or_else_with_what_boto3_finds(
    load: Callable[..., DropIn], in_the_file: dict[str, str], signed_by: str
) -> None:
    with Refusing() as sqs:
        load(stock=in_the_file, endpoint_url=sqs.url).alert(duo_alert("1"))

    assert sqs.credentials
    assert all(f"Credential={signed_by}/" in one and "/us-west-2/sqs/" in one for one in sqs.credentials)


# What does not reach the queue


@pytest.fixture(
    params=["there is no such queue", *(pytest.param(how, marks=pytest.mark.slow) for how in RUDE)]
)
def trouble(request: pytest.FixtureRequest, sqs_endpoint: str) -> Iterator[Mapping[str, str]]:
    """Settings that lead to an SQS that is no use."""
    if request.param in RUDE:
        with RUDE[request.param]() as endpoint:
            yield {"endpoint_url": endpoint}
    else:
        yield {"endpoint_url": sqs_endpoint, "request_queue": f"gone-{uuid4().hex}"}


@pytest.fixture
def worker(aws_environment: Mapping[str, str], queue: str, tmp_path: Path) -> WorkerProcess:
    """The bot's commands, with all that `send` needs."""
    return WorkerProcess(
        tmp_path, {**bare_environment(tmp_path), **aws_environment, "REQUEST_QUEUE_URL": queue}
    )


def test_what_could_not_be_sent_is_in_the_log_as_the_send_command_takes_it(
    load: Callable[..., DropIn], trouble: Mapping[str, str], worker: WorkerProcess, sqs: SQSClient, queue: str
) -> None:
    drop_in = load(**trouble, deadline_seconds=2)

    logged = drop_in.alert(duo_alert("9Zo02m4B7gIfixq3c4Xh"))
    line = line_about(logged, "9Zo02m4B7gIfixq3c4Xh")
    sent = worker.command("send", "--file", "-", given=line.partition("triage-bot send --file - : ")[2])

    assert logged == [line, "ERROR Failed to dispatch request"]
    assert line.startswith("ERROR Alert '9Zo02m4B7gIfixq3c4Xh' may not have reached the queue ")
    assert sent.returncode == 0, sent.stderr
    assert "9Zo02m4B7gIfixq3c4Xh" in sent.stdout
    assert received(sqs, queue) == [a_duo_request("9Zo02m4B7gIfixq3c4Xh")]


def test_the_guide_finds_the_whole_request_in_a_line_whatever_stands_in_the_request(tmp_path: Path) -> None:
    request = (
        '{"identifier": "1", "summary": "on triage-bot send --file - : {\\"user\\": \\"eve@example.com\\"}"}'
    )
    log = tmp_path / "syslog"
    log.write_text(
        f"host: ERROR Alert '1' ... give what follows to triage-bot send --file - : {request}\nnext\n"
    )
    commands = guide_commands(
        "What a failure looks like",
        "send --file -",
        (" LOG ", f" {log} "),
        ("| triage-bot send --file -", ""),
    )

    found = run_commands(commands, folder=tmp_path, environment={"PATH": "/usr/bin:/bin"})

    assert found == request


def test_the_alert_after_one_that_failed_arrives(load: Callable[..., DropIn], sqs: SQSClient) -> None:
    name = f"late-{uuid4().hex}"
    drop_in = load(request_queue=name)

    failed = drop_in.alert(duo_alert("1"))
    late = sqs.create_queue(QueueName=name)["QueueUrl"]
    arrived = drop_in.alert(duo_alert("2"))

    assert "ERROR Failed to dispatch request" in failed
    assert arrived == []
    assert received(sqs, late) == [a_duo_request("2")]


def test_an_answer_without_end_is_given_up_at_the_deadline(load: Callable[..., DropIn]) -> None:
    with dripping() as endpoint:
        drop_in = load(endpoint_url=endpoint, deadline_seconds=1.5)
        began = time.monotonic()
        logged = drop_in.alert(duo_alert("1"))
        took = time.monotonic() - began

    assert "(TimeoutError: SQS did not answer within 1.5 s)" in line_about(logged, "'1'")
    assert took < 15  # generous: the machine may be busy
    assert DEADLINE_SECONDS == 15  # what it is unless a test sets it


def test_a_summary_of_megabytes_that_could_not_be_sent_is_logged_shortened(
    load: Callable[..., DropIn],
) -> None:
    logged = load(request_queue=f"gone-{uuid4().hex}").alert(
        session_alert("long", host="\U0001f511" * 3_000_000)
    )

    body = line_about(logged, "long").partition("triage-bot send --file - : ")[2]
    request = decode_request(body)
    assert isinstance(request, TriageRequest)
    assert len(request.summary) == LONGEST_SUMMARY


# The person API


def no_login(log: list[str] | Any) -> list[str]:
    return [line for line in log if line.startswith("ERROR No login to the person API (")]


def test_without_a_login_it_loads_and_asks_about_what_needs_no_look_up(
    drop_in: DropIn, people: PersonApi, sqs: SQSClient, queue: str, sqs_endpoint: str
) -> None:
    people.refuses_logins = True
    stock = {"oauth_url": people.oauth_url, "person_api_base": people.url}
    drop_in.configure(
        stock=stock, request_queue=name_of(queue), region="us-west-2", endpoint_url=sqs_endpoint
    )

    loaded = drop_in.load()
    logged = [*drop_in.alert(duo_alert("1")), *drop_in.alert(session_alert("2"))]

    duo, session = sorted(received(sqs, queue), key=lambda request: request.identifier)
    assert loaded.error == ""
    assert len(no_login(loaded.log)) == 1
    assert "oauth_url" in loaded.log[0]
    assert logged == []
    assert duo == a_duo_request("1")
    assert (session.user, session.confidence) == ("ada@mozilla.com", Confidence.LOW)


def test_without_a_login_it_tries_again_after_five_minutes(
    load: Callable[..., DropIn], drop_in: DropIn, people: PersonApi
) -> None:
    people.refuses_logins = True
    load()

    drop_in.age_login(minutes=4.5)
    drop_in.alert(duo_alert("1"))
    before = people.logins
    drop_in.age_login(minutes=1)
    still_refused = drop_in.alert(duo_alert("2"))
    people.refuses_logins = False
    drop_in.age_login(minutes=5.5)
    drop_in.alert(duo_alert("3"))
    drop_in.alert(session_alert("4"))

    assert before == 1
    assert len(no_login(still_refused)) == 1
    assert people.logins == 3
    assert people.look_ups == [("ada", "token-3")]


def test_a_refused_refresh_keeps_the_session_and_loses_no_alert(
    load: Callable[..., DropIn], drop_in: DropIn, people: PersonApi, sqs: SQSClient, queue: str
) -> None:
    load()
    people.refuses_logins = True

    drop_in.age_login(minutes=1081)
    refused = drop_in.alert(duo_alert("1"))
    quiet = drop_in.alert(session_alert("2"))

    assert len(no_login(refused)) == 1
    assert quiet == []
    assert people.look_ups == [("ada", "token-1")]
    assert {(one.identifier, one.user) for one in received(sqs, queue)} == {
        ("1", "ada@example.com"),
        ("2", "ada@example.com"),
    }


# Settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ["cannot be read", "expected a JSON object"]),
        ("request_queue = triage-bot-requests", ["cannot be read", "expected a JSON object"]),
        ('["triage-bot-requests"]', ["must hold a JSON object"]),
        (
            '{"request_queue": "q", "region": "us-west-2", "queue": "q"}',
            ["'queue'", "known are request_queue, region, endpoint_url"],
        ),
        (
            '{"request_queue": "https://sqs.us-west-2.amazonaws.com/123456789012/q", "region": "us-west-2"}',
            ["request_queue must be the queue's name, not its URL", "123456789012/q"],
        ),
        ('{"request_queue": "", "region": "us-west-2"}', ["request_queue must be the queue's name", "''"]),
        ('{"region": "us-west-2"}', ["request_queue must be the queue's name", "None"]),
        ('{"request_queue": "q", "region": null}', ["region must be an AWS region", "None"]),
        (
            '{"request_queue": "q ", "region": "us-west-2"}',
            ["request_queue must be the queue's name", "'q '"],
        ),
        ('{"request_queue": "q.fifo", "region": "us-west-2"}', ["the queue's name", "'q.fifo'"]),
        ('{"request_queue": "q", "region": "us-west-2\\n"}', ["region must be an AWS region", "us-west-2"]),
        ('{"request_queue": "q"}', ["region must be an AWS region", "None"]),
    ],
)
def test_settings_that_are_wrong_are_named_with_what_is_expected(
    drop_in: DropIn, text: str | None, said: list[str]
) -> None:
    drop_in.configure()
    drop_in.settings_file.unlink()
    if text is not None:
        drop_in.settings_file.write_text(text, encoding="utf-8")

    error = drop_in.load().error

    assert error.startswith("ValueError: ")
    assert str(drop_in.settings_file) in error
    assert all(word in error for word in said), error


def test_an_endpoint_that_is_no_url_does_not_keep_the_action_from_loading_or_hide_the_body(
    load: Callable[..., DropIn],
) -> None:
    logged = load(endpoint_url="sqs.example.com").alert(duo_alert("1"))

    assert "Invalid endpoint" in line_about(logged, "'1'")
