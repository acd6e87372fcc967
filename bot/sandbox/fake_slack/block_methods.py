"""The method blocks.validate: what Slack would refuse in blocks, a message or a view, without showing it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.fake_slack import limits
from bot.sandbox.fake_slack.calls import SlackError, invalid_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot.sandbox.fake_slack.calls import Call
    from bot.sandbox.fake_slack.workspace import Json

_PROBLEM: Final = re.compile(r"\[ERROR\] (.*) \[json-pointer:(.*)\]", re.DOTALL)


def validate(call: Call) -> Json:
    """Judge one of blocks, message and view, a JSON text. `SlackError` invalid_…, with all `errors`."""
    given = [kind for kind in _JUDGES if call.parameters.get(kind) is not None]
    if len(given) != 1 or not isinstance(call.parameters[given[0]], str):
        raise invalid_arguments(
            "invalid_arguments", ["[ERROR] expected one of blocks, message, view as JSON"]
        )
    [kind] = given
    problems = _JUDGES[kind](call.structure(kind, otherwise="invalid_arguments"))
    if problems:
        raise SlackError(f"invalid_{kind}", errors=[_explain(problem, kind) for problem in problems])
    return {}


def _problems_of_message(message: Any) -> list[str]:
    if not isinstance(message, dict):
        return ["[ERROR] must be an object [json-pointer:]"]
    text, blocks = message.get("text", ""), message.get("blocks", [])
    if not isinstance(text, str) or len(text) > limits.POST_TEXT_LIMIT:
        return [f"[ERROR] must be less than {limits.POST_TEXT_LIMIT + 1} characters [json-pointer:/text]"]
    return _problems_of_blocks(blocks)


def _problems_of_blocks(blocks: Any) -> list[str]:
    problems = limits.problems_of_blocks(blocks)
    if not problems and limits.length_of_text(blocks) > limits.BLOCKS_TEXT_LIMIT:
        most = limits.BLOCKS_TEXT_LIMIT
        return [f"[ERROR] must be less than {most + 1} characters in all [json-pointer:/blocks]"]
    return problems


def _explain(problem: str, kind: str) -> Json:
    """Return a problem in this method's form; its pointer starts at the argument that was given."""
    found = _PROBLEM.fullmatch(problem)
    message, pointer = found.groups() if found else (problem, "")
    pointer = pointer if kind == "message" else pointer.removeprefix(f"/{kind}")
    return {"pointer": pointer, "code": "failed_constraint", "message": message, "constraint": None}


_JUDGES: Final[Mapping[str, Callable[[Any], list[str]]]] = {
    "blocks": _problems_of_blocks,
    "message": _problems_of_message,
    "view": limits.problems_of_view,
}
