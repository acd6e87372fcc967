"""How the text of each variable is read, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.settings.settings import Purpose, load_settings

QUEUES = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
COMPLETE = {
    "SLACK_BOT_TOKEN": "xoxb-1-secret",
    "SLACK_APP_TOKEN": "xapp-1-secret",
    "REQUEST_QUEUE_URL": f"{QUEUES}requests",
    "RESPONSE_QUEUE_URL": f"{QUEUES}responses.fifo",
}


def problems(folder: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(Purpose.RUN, environ=environ, directory=folder)
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLACK_API_URL", "slack.com/api"),
        ("SLACK_API_URL", "ftp://slack.com/api/"),
        ("SLACK_API_URL", "https://slack.com/api/?x=1"),
        ("SLACK_API_URL", "https://slack.com:port/api/"),
        ("REQUEST_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/"),
        ("REQUEST_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/requests?x=1"),
        ("RESPONSE_QUEUE_URL", "arn:aws:sqs:eu-central-1:123456789012:responses"),
        ("STORE_URL", "triage-bot.db"),
        ("STORE_URL", "sqlite:///"),
        ("STORE_URL", "sqlite:///:memory:"),
        ("STORE_URL", "sqlite:///store.db?timeout=5"),
        ("STORE_URL", "sqlite:////var/lib/bot/"),
        ("STORE_URL", "dynamodb://"),
        ("STORE_URL", "dynamodb://my/questions"),
        ("STORE_URL", "dynamodb://questions?zone=us-west-2"),
        ("RESPONSE_PROFILE", "stock"),
        ("MOZDEF_SYNC_SECONDS", "-1"),
        ("MOZDEF_SYNC_SECONDS", "3601"),
        ("MOZDEF_SYNC_SECONDS", "1.5"),
        ("MOZDEF_SYNC_SECONDS", "٣"),
        ("REMIND_AFTER", "4 h"),
        ("REMIND_AFTER", "-1h"),
        ("REMIND_TIMES", "11"),
        ("REMIND_TIMES", "-1"),
        ("REMIND_TIMES", "1.0"),
        ("EXPIRE_AFTER", "tomorrow"),
        ("LOG_FORMAT", "xml"),
        ("METRICS_LISTEN", "9464"),
        ("METRICS_LISTEN", ":9464"),
        ("METRICS_LISTEN", "127.0.0.1:65536"),
        ("METRICS_LISTEN", "::1:9464"),
        ("METRICS_LISTEN", "http://127.0.0.1:9464"),
        ("WORKING_HOURS", "9 to 5"),
        ("WORKING_HOURS", "Mon-Fri 18:00-09:00"),
        ("DEFAULT_TIMEZONE", "CEST"),
        ("DEFAULT_TIMEZONE", "Europe"),
        ("DEFAULT_TIMEZONE", "/etc/localtime"),
        ("SECURITY_CHANNEL", "#security"),
        ("SECURITY_CHANNEL", "U0123456789"),
        ("SECURITY_CHANNEL", "c0123456789"),
        ("MOZDEF_ALERT_URL", "http://mozdef.example.com/alert/{identifier}"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/alert/"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/alert/{id}"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/{identifier}/{user}"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/{identifier!r}"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/{{identifier}}"),
        ("MOZDEF_ALERT_URL", "https://{identifier}.example.com/alert"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com?{identifier}"),
        ("MOZDEF_ALERT_URL", "https:///{identifier}"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/{identifier}|bank"),
        ("MOZDEF_ALERT_URL", "https://mozdef.example.com/alert {identifier}"),
        ("ALLOW_DEESCALATION", "on"),
        ("LOG_LEVEL", "LOUD"),
        ("AWS_REGION", "Frankfurt am Main"),
        ("CONFIG_DIR", "missing"),
    ],
)
def test_a_wrong_value_is_named_and_shown(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(tmp_path, {**COMPLETE, name: value})

    assert problem.startswith(f"{name} is {value!r}; expected ")


@pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"])
@pytest.mark.parametrize(
    "value", ["hunter2-hunter2", "xoxp-hunter2", "xoxb-", "xapp-", "xoxb-hunter2 x", "ssm:hunter2"]
)
def test_a_wrong_token_is_never_shown(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(tmp_path, {**COMPLETE, name: value})

    assert problem.startswith(name)
    assert "hunter2" not in problem


def test_swapped_tokens_are_recognised(tmp_path: Path) -> None:
    environ = {**COMPLETE, "SLACK_BOT_TOKEN": "xapp-1-secret", "SLACK_APP_TOKEN": "xoxb-1-secret"}

    found = problems(tmp_path, environ)

    assert len(found) == 2
    assert all("swapped" in problem and "secret" not in problem for problem in found)


@pytest.mark.parametrize("name", ["LOG_LEVEL", "WORKING_HOURS", "SECURITY_CHANNEL", "MOZDEF_ALERT_URL"])
def test_a_token_in_the_wrong_variable_is_not_shown(tmp_path: Path, name: str) -> None:
    (problem,) = problems(tmp_path, {**COMPLETE, name: "xoxb-1-secret"})

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
    (problem,) = problems(tmp_path, {**COMPLETE, name: f"{COMPLETE[other]}/"})

    assert name in problem
    assert other in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://queue.amazonaws.com/123456789012/requests",
        "https://SQS.us-east-1.amazonaws.com/123456789012/requests/",
        "https://us-east-1.queue.amazonaws.com/123456789012/requests",
        "https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com/123456789012/requests",
    ],
)
def test_a_queue_is_the_same_by_each_of_its_urls(tmp_path: Path, url: str) -> None:
    requests = "https://sqs.us-east-1.amazonaws.com/123456789012/requests"

    (problem,) = problems(tmp_path, {**COMPLETE, "REQUEST_QUEUE_URL": requests, "RESPONSE_QUEUE_URL": url})

    assert problem.startswith("RESPONSE_QUEUE_URL is the same queue as REQUEST_QUEUE_URL")


def test_the_slash_behind_a_queues_name_is_no_part_of_it(tmp_path: Path) -> None:
    urls = {name: f"{COMPLETE[name]}/" for name in ("REQUEST_QUEUE_URL", "RESPONSE_QUEUE_URL")}

    settings = load_settings(Purpose.RUN, environ={**COMPLETE, **urls}, directory=tmp_path)

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
def test_an_address_to_listen_on_is_a_host_and_a_port(
    tmp_path: Path, text: str, address: tuple[str, int]
) -> None:
    settings = load_settings(Purpose.RUN, environ={**COMPLETE, "METRICS_LISTEN": text}, directory=tmp_path)

    assert settings.metrics_listen == address
