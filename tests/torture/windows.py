"""The windows that people wait for once they have pressed a button."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bot.sandbox.fake_slack import SlackStandIn

from .click_retries import TRIES, wait_after

#: Seconds of ours for which somebody looks whether the window is there, and between two looks.
_SEEN_WITHIN: Final = 0.4
_LOOK: Final = 0.05


async def see_window(slack: SlackStandIn, user: str, begins: str) -> dict[str, Any] | None:
    """Wait a moment for the window whose private metadata begins so; None if no such window opens."""
    for _ in range(int(_SEEN_WITHIN / _LOOK)):
        view = slack.workspace.modals.seen_by(user)
        if view is not None and view["private_metadata"].startswith(begins):
            return view
        await asyncio.sleep(_LOOK)
    return None


async def send_window(
    slack: SlackStandIn,
    user: str,
    view: dict[str, Any],
    values: dict[str, Any],
    *,
    despite_errors: bool = False,
) -> bool:
    """Send what is in a window until it is acknowledged; return whether it was taken, without errors.

    `despite_errors`: it is sent again as well if the window shows an error.
    """
    for tries in range(1, TRIES + 1):
        try:
            click = await slack.submit_view(user=user, view_id=view["id"], values=values)
        except LookupError:  # a window that was asked for before came late, and took this one's place
            return False
        if click.acknowledged and not (click.errors and despite_errors):
            return not click.errors
        await asyncio.sleep(wait_after(tries))
    return False
