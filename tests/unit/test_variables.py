"""How the text of each variable is read, the proxies included, and what is said of a wrong one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from given_settings import COMPLETE, QUEUES, load, problems

from bot.settings.settings import Purpose, prepare_environment
from bot.slack.client import proxy_for

#: What is wrong for each variable.
WRONG = {
    "SLACK_API_URL": (
        "slack.com/api",
        "ftp://slack.com/api/",
        "https://slack.com/api/?x=1",
        "https://slack.com:port/api/",
    ),
    "REQUEST_QUEUE_URL": ("https://sqs.eu-central-1.amazonaws.com/", f"{QUEUES}requests?x=1"),
    "RESPONSE_QUEUE_URL": ("arn:aws:sqs:eu-central-1:123456789012:responses",),
    "STORE_URL": (
        *("triage-bot.db", "sqlite:///", "sqlite:///:memory:", "sqlite:///store.db?timeout=5"),
        *("sqlite:////var/lib/bot/", "dynamodb://", "dynamodb://my/questions"),
        "dynamodb://questions?zone=us-west-2",
    ),
    "RESPONSE_PROFILE": ("stock",),
    "MOZDEF_SYNC_SECONDS": ("-1", "3601", "1.5", "٣"),
    "REMIND_AFTER": ("4 h", "-1h"),
    "REMIND_TIMES": ("11", "-1", "1.0"),
    "OPEN_PER_PERSON": ("0", "101", "many"),
    "EXPIRE_AFTER": ("tomorrow",),
    "LOG_FORMAT": ("xml",),
    "METRICS_LISTEN": (
        *("9464", ":9464", "127.0.0.1:65536", "::1:9464", "http://127.0.0.1:9464"),
        *("metrics..example.com:9464", f"{'x' * 64}:9464"),
    ),
    "WORKING_HOURS": ("9 to 5", "Mon-Fri 18:00-09:00"),
    "DEFAULT_TIMEZONE": ("CEST", "Europe", "/etc/localtime"),
    "RESPONDERS": ("@ada", "ada@example.com", "C0123456789", "U0123456789;U0123456788", "U0123456789,"),
    "SECURITY_CHANNEL": ("#security", "U0123456789", "c0123456789"),
    "MOZDEF_ALERT_URL": (
        "http://mozdef.example.com/alert/{identifier}",
        "https://mozdef.example.com/alert/",
        "https://mozdef.example.com/alert/{id}",
        "https://mozdef.example.com/{identifier}/{user}",
        "https://mozdef.example.com/{identifier!r}",
        "https://mozdef.example.com/{{identifier}}",
        "https://{identifier}.example.com/alert",
        "https://mozdef.example.com?{identifier}",
        "https:///{identifier}",
        "https://mozdef.example.com/{identifier}|bank",
        "https://mozdef.example.com/alert {identifier}",
    ),
    "FACTOR_ISSUER": (*("http://login.example.com", "login.example.com", "https://login.example.com/?x=1"),),
    "FACTOR_CLIENT_AUTH": ("client_secret_jwt", "none"),
    "FACTOR_LOGIN_HINT": ("{user}",),
    "FACTOR_SCOPE": ("email",),
    "ALLOW_DEESCALATION": ("on",),
    "LOG_LEVEL": ("LOUD",),
    "AWS_REGION": ("Frankfurt am Main",),
    "CONFIG_DIR": ("missing", "x" * 300),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_wrong_value_is_named_and_shown(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(tmp_path, **{name: value})

    assert problem.startswith(f"{name} is {value[:80]!r}; expected ")


@pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"])
@pytest.mark.parametrize(
    "value", ["hunter2-hunter2", "xoxp-hunter2", "xoxb-", "xapp-", "xoxb-hunter2 x", "ssm:hunter2"]
)
def test_a_wrong_token_is_never_shown(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(tmp_path, **{name: value})

    assert problem.startswith(name)
    assert "hunter2" not in problem


def test_swapped_tokens_are_recognised(tmp_path: Path) -> None:
    found = problems(tmp_path, SLACK_BOT_TOKEN="xapp-1-secret", SLACK_APP_TOKEN="xoxb-1-secret")

    assert len(found) == 2
    assert all("swapped" in problem and "secret" not in problem for problem in found)


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "WORKING_HOURS", "SECURITY_CHANNEL", "RESPONDERS", "MOZDEF_ALERT_URL"]
)
def test_a_token_in_the_wrong_variable_is_not_shown(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, **{name: "xoxb-1-secret"})

    assert problem.startswith(f"{name} is ")
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("RESPONSE_QUEUE_URL", "REQUEST_QUEUE_URL"),
        ("DEAD_LETTER_QUEUE_URL", "REQUEST_QUEUE_URL"),
        ("DEAD_LETTER_QUEUE_URL", "RESPONSE_QUEUE_URL"),
    ],
)
def test_a_queue_with_two_uses_is_refused(tmp_path: Path, name: str, other: str) -> None:
    (problem,) = problems(tmp_path, **{name: f"{COMPLETE[other]}/"})

    assert name in problem
    assert other in problem


@pytest.mark.parametrize(
    "host",
    [
        "queue.amazonaws.com",
        "SQS.us-east-1.amazonaws.com",
        "us-east-1.queue.amazonaws.com",
        "vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com",
    ],
)
def test_a_queue_is_the_same_by_each_of_its_urls(tmp_path: Path, host: str) -> None:
    first, second = (f"https://{each}/1/requests" for each in ("sqs.us-east-1.amazonaws.com", host))

    (problem,) = problems(tmp_path, REQUEST_QUEUE_URL=first, RESPONSE_QUEUE_URL=second)

    assert problem.startswith("RESPONSE_QUEUE_URL is the same queue as REQUEST_QUEUE_URL")


def test_the_slash_behind_a_queues_name_is_no_part_of_it(tmp_path: Path) -> None:
    urls = {name: f"{COMPLETE[name]}/" for name in ("REQUEST_QUEUE_URL", "RESPONSE_QUEUE_URL")}

    settings = load(tmp_path, **urls)

    assert settings.request_queue_url == COMPLETE["REQUEST_QUEUE_URL"]
    assert settings.response_queue_url == COMPLETE["RESPONSE_QUEUE_URL"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_to_listen_on_is_read(tmp_path: Path, text: str, address: tuple[str, int]) -> None:
    assert load(tmp_path, METRICS_LISTEN=text).metrics_listen == address


NAMES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
SLACK = "https://slack.com/api/"


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's proxies is left, and what the test sets is gone when it ends."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("proxy:3128", "http://proxy:3128"),
        ("me:secret@192.0.2.10:3128", "http://me:secret@192.0.2.10:3128"),
        ("[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("http://proxy:3128/", "http://proxy:3128/"),
        ("https://proxy", "https://proxy"),
    ],
)
def test_slack_is_called_through_a_proxy_in_any_form(tmp_path: Path, name: str, text: str, url: str) -> None:
    prepare_environment(load(tmp_path, **{name: text}))

    assert proxy_for(SLACK) == url


@pytest.mark.usefixtures("_no_proxies")
def test_a_proxy_for_https_alone_wins_over_that_for_all(tmp_path: Path) -> None:
    prepare_environment(load(tmp_path, ALL_PROXY="all:1", HTTPS_PROXY="secure:2", HTTP_PROXY="plain:3"))

    assert proxy_for(SLACK) == "http://secure:2"
    assert proxy_for("http://127.0.0.1:8080/api/") == "http://plain:3"


@pytest.mark.usefixtures("_no_proxies")
def test_the_proxy_for_all_leaves_plain_http_alone(tmp_path: Path) -> None:
    """An instance's metadata service is asked by plain http, and no proxy leads there."""
    prepare_environment(load(tmp_path, ALL_PROXY="all:1"))

    assert proxy_for("http://169.254.169.254/") is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        *("socks5://proxy:1080", "socks5h://proxy:1080", "SOCKS4://proxy"),
        *("proxy:port", "http://proxy:port", "proxy:65536", "proxy:0", "proxy:-1"),
        *("http://", ":3128", "::1", "file:///etc/passwd", "http:/proxy:3128", "http://http://proxy:3128"),
        *("proxy:3128/somewhere", "pro xy:3128"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_and_shown(tmp_path: Path, name: str, text: str) -> None:
    expected = f"{name} is {text!r}; expected http://HOST:PORT, or HOST:PORT"

    assert problems(tmp_path, **{name: text}) == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        "me:hunter2@proxy:port",
        "http://me:hunter2@proxy:port",
        "me:hunt/er2@proxy",
        "me:12/er2@proxy:3128",
        "me:12?er2@proxy:3128",
        "http://me:12#er2@proxy:3128",
        "socks5://x:hunter2@y",
    ],
)
def test_the_password_of_a_proxy_is_never_shown(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, HTTPS_PROXY=text)

    assert problem.startswith("HTTPS_PROXY is '[redacted]@")
    assert "er2" not in problem
    assert "hunter2" not in repr(load(tmp_path, HTTPS_PROXY="me:hunter2@proxy:3128"))


def test_a_command_that_opens_only_a_file_is_not_held_to_a_proxy(tmp_path: Path) -> None:
    socks = {"ALL_PROXY": "socks5://proxy"}

    assert load(tmp_path, Purpose.STORE, **socks).problems == ()
    (problem,) = problems(tmp_path, Purpose.STORE, STORE_URL="dynamodb://questions", **socks)
    assert problem.startswith("ALL_PROXY")


def test_hosts_that_need_no_proxy_are_no_proxy(tmp_path: Path) -> None:
    assert load(tmp_path, NO_PROXY="localhost,.example.com").proxies.values == {}
