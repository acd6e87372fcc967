"""The installation, from a Debian with nothing in it to an answer; slow, and only where root can make one.

`pytest -m slow -n0 -s tests/installation` prints the transcript.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from world import until
from world.slack import SlackSide, newcomer

from installation.debian_root import DebianRoot
from installation.reader import INSTALL, OPERATE, Reader
from installation.service import Service

CHECKOUT = Path(__file__).parents[2]

#: Everything that `check` looks at is in order.
ALL_OK = re.compile(r"^\d+ ok\.$", re.MULTILINE)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a Debian in a folder"),
    pytest.mark.skipif(
        not shutil.which("debootstrap") and "CI" not in os.environ, reason="debootstrap is missing"
    ),
]


@pytest.fixture
def root() -> Iterator[DebianRoot]:
    """A Debian with this repository, as it was committed last, in /srv."""
    with tempfile.TemporaryDirectory(prefix="debian-") as name:
        root = DebianRoot(Path(name) / "root")
        root.make()
        subprocess.run(  # noqa: S603 - this repository
            ["git", "clone", "--quiet", "--bare", str(CHECKOUT), str(root.path / "srv/triage-bot.git")],  # noqa: S607 - wherever it is
            check=True,
        )
        yield root


@pytest.fixture
def slack() -> Iterator[SlackSide]:
    slack = SlackSide()
    slack.start()
    yield slack
    slack.close()


@pytest.fixture
def reader(
    root: DebianRoot, slack: SlackSide, create_queue: Callable[..., str], aws_environment: Mapping[str, str]
) -> Iterator[Reader]:
    """Somebody who has made the Slack app and the queues, and has their facts ready."""
    settings = {
        **_queues(create_queue),
        **aws_environment,
        "SLACK_API_URL": slack.api_url,
        "STORE_URL": "sqlite:////var/lib/triage-bot/triage-bot.db",
        "MOZDEF_SYNC_SECONDS": "0",
    }
    root.lay_ready("triage-bot", "".join(f"{name}={value}\n" for name, value in settings.items()))
    root.lay_ready("slack_bot_token", f"{slack.bot_token}\n")
    root.lay_ready("slack_app_token", f"{slack.app_token}\n")
    service = Service(root)
    yield Reader(root, service, {"REPOSITORY": "/srv/triage-bot.git"})
    service.stop()


def _queues(create_queue: Callable[..., str]) -> dict[str, str]:
    invalid = create_queue()
    target = f"arn:aws:sqs:us-west-2:123456789012:{invalid.rpartition('/')[2]}"
    redrive = f'{{"deadLetterTargetArn":"{target}","maxReceiveCount":"10"}}'
    return {
        "REQUEST_QUEUE_URL": create_queue(RedrivePolicy=redrive),
        "RESPONSE_QUEUE_URL": create_queue(fifo=True),
        "DEAD_LETTER_QUEUE_URL": invalid,
    }


def test_the_guides_lead_from_a_clean_debian_to_a_worker_that_asks_is_restored_and_upgraded(
    reader: Reader, slack: SlackSide
) -> None:
    slack.admit(newcomer("you"))

    installed = reader.follow(INSTALL, "3. Install the worker")
    asked = until(slack.all_questions, what="the question is in Slack")
    click = slack.press(asked[0], "no")
    checked = reader.do("sudo .venv/bin/triage-bot check")
    restored = reader.follow(OPERATE, "Back up and restore")
    replayed = reader.follow(OPERATE, "Replay what MozDef lost")
    upgraded = reader.follow(OPERATE, "Upgrade and roll back")

    assert "you@example.com" in installed
    assert click.acknowledged
    assert ALL_OK.search(checked), checked
    assert "open in the running worker" in checked
    assert "no" in reader.do("sudo .venv/bin/triage-bot list")
    assert ALL_OK.search(upgraded), upgraded
    assert restored
    assert replayed
    assert len(slack.all_questions()) == 1
