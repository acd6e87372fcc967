"""What the reading commands ask of a store, whether the worker answers them or the command itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.views import question_view

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from bot.control import Handler
    from bot.triage.ports import Archive

#: Questions that `list` shows, unless it is told otherwise.
LIST_LIMIT = 50


def reading_handlers(archive: Archive) -> Mapping[str, Handler]:
    """Return the handlers of `list` (argument `limit`) and `show` (argument `identifier`)."""

    async def list_questions(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        for question in await archive.list_questions(limit=int(arguments.get("limit", LIST_LIMIT))):
            yield question_view(question)

    async def show_question(arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        identifier = str(arguments["identifier"])
        question = await archive.find(identifier)
        if question is not None:
            yield question_view(question, await archive.reports_of(identifier))

    return {"list": list_questions, "show": show_question}
