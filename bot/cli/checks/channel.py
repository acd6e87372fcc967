"""What the fate of the worker's last card says of the security channel. Nothing is asked, nothing posted."""

from __future__ import annotations

from bot.cli.checks.findings import Finding, Verdict

SUBJECT = "security channel"

_REMEDIES = {
    "not_in_channel": "invite the bot: write `/invite @` and its name in the channel",
    "channel_not_found": "correct SECURITY_CHANNEL (the id at the end of the channel's About page); a private"
    " channel needs the bot as a member: write `/invite @` and its name there",
    "is_archived": "unarchive the channel, or name another one in SECURITY_CHANNEL",
    "restricted_action": "let the bot post there: the channel's settings > Posting permissions",
}


def no_channel() -> Finding:
    """Return the finding that no channel is set."""
    return Finding(subject=SUBJECT, verdict=Verdict.OK, detail="none is set: no cards (SECURITY_CHANNEL)")


def not_tried(channel: str, why: str) -> Finding:
    """Return the finding that nobody knows yet whether cards arrive."""
    return Finding(subject=SUBJECT, verdict=Verdict.OK, detail=f"{channel}: not tried yet, {why}")


def check_channel(channel: str, trouble: str | None) -> Finding:
    """Judge the channel by what kept the last card back: a code of Slack's or a sentence.

    Empty: the card was shown; None: no card was tried yet.
    """
    if trouble is None:
        return not_tried(channel, "no card was due since the worker's start")
    if not trouble:
        return Finding(subject=SUBJECT, verdict=Verdict.OK, detail=f"{channel}: the last card arrived")
    remedy = _REMEDIES.get(trouble, "see the worker's log for card.refused and card.delayed")
    detail = f"{channel}: the last card did not arrive ({trouble})"
    return Finding(subject=SUBJECT, verdict=Verdict.FAILED, detail=detail, remedy=remedy)
