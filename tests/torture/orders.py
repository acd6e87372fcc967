"""What the worker is told, and what the checker therefore expects. Seconds are of the torture's time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bot.sandbox.fake_slack import SlackStandIn

#: How old a request must be before MozDef takes a report about it.
HOLD_SECONDS: Final = 20
#: How far reports of one identifier are apart at the least. This is no setting.
APART_SECONDS: Final = 5

#: Short enough for both reminders and the deadline to come in a short run; long enough for most people to be
#: asked in time, though hardly a life is long enough to look a question up that is in doubt.
REMIND_AFTER_SECONDS: Final = 40
REMIND_TIMES: Final = 2
EXPIRE_AFTER_SECONDS: Final = 150

#: How many questions of one person are open at a time: enough for all, unless a flood is wanted.
OPEN_PER_PERSON: Final = 100
OPEN_IN_A_FLOOD: Final = 2

SECURITY_CHANNEL: Final = "C0SECURITY1"

#: The alerts that have cards. Those of all would be more than a channel takes: about one message a second.
CARDED_LABEL: Final = "ssh_access_sign_releng"

_POLICIES: Final = f"""
[default.security_channel]
no = false
notSure = false
wrongUser = false
timedOut = false
undeliverable = false
unproven = false

[alert.{CARDED_LABEL}.security_channel]
no = true
notSure = true
wrongUser = true
timedOut = true
undeliverable = true
unproven = true
"""

BOT_TOKEN: Final = "xoxb-torture"
APP_TOKEN: Final = "xapp-torture"
REGION: Final = "us-west-2"
ACCESS_KEY: Final = "AKIAOFTHETORTURE0001"
FACTOR_SECRET: Final = "secret-of-the-second-factor"
SECRET_KEY: Final = "secret-key-of-the-torture/0123456789abcdef"


def write_policies(folder: Path, *, factored: str = "", addresses: Sequence[str] = ()) -> dict[str, str]:
    """Write how alerts are handled; return the variable that says so.

    Those of a label may need a proof, by the subject that `people.toml` names for some of the addresses.
    """
    proved = f'\n[alert.{factored}]\nfactor = "required"\n' if factored else ""
    (folder / "alerts.toml").write_text(_POLICIES + proved)
    subjects = [f'"{each}" = "{subject_of(each)}"\n' for each in addresses if subject_of(each) != each]
    (folder / "people.toml").write_text("".join(["[factor]\n", *subjects]))
    return {"CONFIG_DIR": str(folder)}


def subject_of(address: str) -> str:
    """Return as whom the provider of the second factor knows somebody: `people.toml` names some."""
    name, _, domain = address.partition("@")
    return f"{name}.phone@{domain}" if name.endswith("3") else address


def environment(slack: SlackStandIn, sqs: str, queues: Sequence[str], *, log_level: str) -> dict[str, str]:
    """Return the worker's other variables: `sqs` is an address, `queues` are the URLs it gave.

    The queues are those for requests, for responses and for dead letters, in this order.
    """
    request, response, dead_letter = queues
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "REQUEST_QUEUE_URL": request,
        "RESPONSE_QUEUE_URL": response,
        "DEAD_LETTER_QUEUE_URL": dead_letter,
        "AWS_ENDPOINT_URL_SQS": sqs,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "MOZDEF_SYNC_SECONDS": str(HOLD_SECONDS),
        "REMIND_AFTER": f"{REMIND_AFTER_SECONDS}s",
        "REMIND_TIMES": str(REMIND_TIMES),
        "EXPIRE_AFTER": f"{EXPIRE_AFTER_SECONDS}s",
        "OPEN_PER_PERSON": str(OPEN_PER_PERSON),
        "SECURITY_CHANNEL": SECURITY_CHANNEL,
        "LOG_LEVEL": log_level,
    }
