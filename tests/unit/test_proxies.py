"""The proxy variables: one form for every part of the program, or a problem that names the variable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.settings.settings import Purpose, Settings, load_settings, settle_environment
from bot.slack.client import proxy_for

COMPLETE = {
    "SLACK_BOT_TOKEN": "xoxb-1-secret",
    "SLACK_APP_TOKEN": "xapp-1-secret",
    "REQUEST_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/requests",
    "RESPONSE_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/responses.fifo",
}
NAMES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
SLACK, STAND_IN = "https://slack.com/api/", "http://127.0.0.1:8080/api/"


def load(folder: Path, purpose: Purpose = Purpose.RUN, /, **changes: str) -> Settings:
    return load_settings(purpose, environ={**COMPLETE, **changes}, directory=folder)


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
def test_slack_is_called_through_a_proxy_however_it_is_written(
    tmp_path: Path, name: str, text: str, url: str
) -> None:
    settle_environment(load(tmp_path, **{name: text}))

    assert proxy_for(SLACK) == url


@pytest.mark.usefixtures("_no_proxies")
def test_a_proxy_for_https_alone_wins_over_that_for_all(tmp_path: Path) -> None:
    settle_environment(load(tmp_path, ALL_PROXY="all:1", HTTPS_PROXY="secure:2", HTTP_PROXY="plain:3"))

    assert proxy_for(SLACK) == "http://secure:2"
    assert proxy_for(STAND_IN) == "http://plain:3"


@pytest.mark.usefixtures("_no_proxies")
def test_the_proxy_for_all_leaves_plain_http_alone(tmp_path: Path) -> None:
    """An instance's metadata service is asked by plain http, and no proxy leads there."""
    settle_environment(load(tmp_path, ALL_PROXY="all:1"))

    assert proxy_for("http://169.254.169.254/") is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "socks5://proxy:1080",
        "socks5h://proxy:1080",
        "SOCKS4://proxy",
        "proxy:port",
        "http://proxy:port",
        "proxy:65536",
        "proxy:0",
        "proxy:-1",
        "http://",
        ":3128",
        "::1",
        "file:///etc/passwd",
        "http:/proxy:3128",
        "http://http://proxy:3128",
        "proxy:3128/somewhere",
        "pro xy:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_and_shown(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **{name: text})

    assert caught.value.problems == (f"{name} is {text!r}; expected http://HOST:PORT, or HOST:PORT",)


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
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, HTTPS_PROXY=text)

    (problem,) = caught.value.problems
    assert problem.startswith("HTTPS_PROXY is '[redacted]@")
    assert "er2" not in problem
    assert "hunter2" not in repr(load(tmp_path, HTTPS_PROXY="me:hunter2@proxy:3128"))


def test_a_command_that_opens_only_a_file_is_not_held_to_a_proxy(tmp_path: Path) -> None:
    assert load(tmp_path, Purpose.STORE, ALL_PROXY="socks5://proxy").problems == ()

    with pytest.raises(ConfigError, match="ALL_PROXY"):
        load(tmp_path, Purpose.STORE, ALL_PROXY="socks5://proxy", STORE_URL="dynamodb://questions")


def test_hosts_that_need_no_proxy_are_no_proxy(tmp_path: Path) -> None:
    assert load(tmp_path, NO_PROXY="localhost,.example.com").proxies.values == {}
