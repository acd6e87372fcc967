"""Runs the real worker as a separate process, configured only through its documented environment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from bot.sandbox import queues
from bot.sandbox.child_process import ChildProcess, bare_environment
from bot.sandbox.fake_slack import SECURITY_CHANNEL
from bot.sandbox.phone import CLIENT_ID, FRAUD
from bot.sandbox.trial_samples import CONFIG_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bot.sandbox.phone import Phone
    from bot.sandbox.queues import LocalQueues

#: Python's arguments to run the worker. -P: do not import from the current directory.
WORKER: Final = ("-P", "-m", "bot", "run")
#: Where MozDef would show an alert. The page redirects such links to its own list of alerts.
ALERT_URL: Final = "https://mozdef.example.com/alert/{identifier}"
#: The worker ends within 10 s of SIGTERM.
STOP_GRACE: Final = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class SlackAccess:
    """The address of the stand-in Slack, and the tokens that it accepts."""

    api_url: str
    bot_token: str
    app_token: str


#: Starts a worker. `OSError` if that fails.
StartWorker = Callable[[], Awaitable[ChildProcess]]


async def start_worker(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> ChildProcess:
    """Start Python with the arguments `command` in a folder below `folder`. `OSError` if that fails."""
    return await ChildProcess.start(command, name="worker", folder=folder / "worker", environment=environment)


def worker_environment(
    folder: Path, *, slack: SlackAccess, local: LocalQueues, endpoint: str, metrics: str
) -> dict[str, str]:
    """Return the complete environment of the worker; STORE_URL is left at its default.

    `endpoint` is where the worker finds SQS, and `metrics` where it says how it is.
    """
    return {
        **bare_environment(folder),
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "REQUEST_QUEUE_URL": local.urls.request,
        "RESPONSE_QUEUE_URL": local.urls.response,
        "DEAD_LETTER_QUEUE_URL": local.urls.dead_letter,
        "AWS_ENDPOINT_URL_SQS": endpoint,
        "METRICS_LISTEN": metrics,
        "AWS_REGION": queues.REGION,
        "AWS_ACCESS_KEY_ID": queues.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": queues.SECRET_ACCESS_KEY,
        "SECURITY_CHANNEL": SECURITY_CHANNEL,
        "MOZDEF_ALERT_URL": ALERT_URL,
        "CONFIG_DIR": str(CONFIG_DIR),
        # The default would delay answers by a minute and a half.
        "MOZDEF_SYNC_SECONDS": "0",
    }


def factor_environment(phone: Phone, certificate: Path) -> dict[str, str]:
    """Return what the worker needs to ask the phone, whose certificate it trusts alone."""
    return {
        "FACTOR_ISSUER": phone.issuer,
        "FACTOR_CLIENT_ID": CLIENT_ID,
        "FACTOR_CLIENT_SECRET": phone.secret,
        "FACTOR_FRAUD_ERROR": FRAUD,
        "SSL_CERT_FILE": str(certificate),
    }
