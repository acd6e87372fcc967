"""What Slack does when a modal is submitted: its own check of the fields, then the app's reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.fake_slack.calls import SlackError
from bot.sandbox.fake_slack.modals import StackFullError
from bot.sandbox.fake_slack.views import check_view, make_view, new_view_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bot.sandbox.fake_slack.installation import Installation
    from bot.sandbox.fake_slack.workspace import Json

#: The longest text of an input without its own `max_length`, in characters.
_LONGEST_INPUT: Final = 3_000


#: Where the state of an input has its value.
_VALUES: Final = {"plain_text_input": "value", "users_select": "selected_user"}


class WrongReplyError(Exception):
    """The app acknowledged with something that Slack does not understand."""


def complete_values(view: Json, values: Mapping[str, Any]) -> Json:
    """Return the state of every input of the view, by block and action; inputs not in `values` are null."""
    return state_of(view, {}) | dict(values)


def state_of(view: Json, filled: Mapping[str, Mapping[str, str]]) -> Json:
    """Return what was filled in, by block and action, as Slack sends it: an empty input is null."""
    return {
        block["block_id"]: {
            element["action_id"]: {
                "type": element["type"],
                _VALUES[element["type"]]: filled.get(block["block_id"], {}).get(element["action_id"]) or None,
            }
        }
        for block in _inputs(view)
        if (element := block["element"])
    }


def find_mistakes(view: Json, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the mistakes that Slack reports without asking the app: a sentence per block_id."""
    return {
        block["block_id"]: mistake
        for block in _inputs(view)
        if (mistake := _mistake(block, _text_of(block, values)))
    }


def take_reply(installation: Installation, user: str, *, view: Json, reply: Json | None) -> dict[str, str]:
    """Carry out the app's acknowledgement on the submitted view; return the errors in it, by block_id.

    `WrongReplyError` if Slack would not understand it: the modal stays, and the person can try again.
    """
    action = (reply or {}).get("response_action")
    modals = installation.workspace.modals
    if action == "errors":
        return _errors(view, (reply or {}).get("errors"))
    if action == "clear":
        modals.clear(user)
    elif action in ("update", "push"):
        _show(installation, user, view=view, reply=reply or {})
    elif action is None:
        _close(installation, user, view)
    else:
        raise WrongReplyError(f"no such response_action: {action}")
    return {}


def _inputs(view: Json) -> Iterator[Json]:
    return (block for block in view["blocks"] if block["type"] == "input")


def _text_of(block: Json, values: Mapping[str, Any]) -> str:
    given = values.get(block["block_id"], {}).get(block["element"]["action_id"], {})
    return given.get(_VALUES[block["element"]["type"]]) or ""


def _mistake(block: Json, text: str) -> str | None:
    element = block["element"]
    if not text.strip():
        return None if block.get("optional") else "Please fill in this field."
    if len(text) < (fewest := element.get("min_length", 0)):
        return f"Please write at least {fewest} characters."
    if len(text) > (most := element.get("max_length", _LONGEST_INPUT)):
        return f"Please write at most {most} characters."
    return None


def _errors(view: Json, errors: Any) -> dict[str, str]:
    known = {block["block_id"] for block in _inputs(view)}
    if not isinstance(errors, dict) or not errors or errors.keys() - known:
        raise WrongReplyError("errors must name blocks of type input, and at least one")
    if not all(isinstance(words, str) and words for words in errors.values()):
        raise WrongReplyError("each error must be some text")
    return dict(errors)


def _show(installation: Installation, user: str, *, view: Json, reply: Json) -> None:
    """Replace the submitted view with another, or push one on top of it."""
    modals = installation.workspace.modals
    try:
        given = check_view(reply.get("view"), kind="modal")
        if reply["response_action"] == "push":
            modals.push(user, make_view(installation, given, view_id=new_view_id(), below=view))
        else:
            modals.replace(make_view(installation, given, view_id=view["id"]))
    except (SlackError, StackFullError, LookupError) as error:
        raise WrongReplyError(str(error)) from error


def _close(installation: Installation, user: str, view: Json) -> None:
    """Close the submitted view, unless the app has shown another one in the meantime."""
    seen = installation.workspace.modals.seen_by(user)
    if seen is not None and seen["id"] == view["id"]:
        installation.workspace.modals.close(user)
