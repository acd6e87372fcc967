"""How a frozen question is changed: an alert's way takes a dozen changes, of some forty fields each."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["changed"]

if TYPE_CHECKING:  # where it is the dataclasses' own, whose arguments are checked
    from dataclasses import replace as changed

    from bot.triage.model import Question
else:

    def changed(question: Question, **fields: object) -> Question:
        """Return a question with other values in some fields, which must be fields of a question.

        `dataclasses.replace` does the same field by field, and takes seven times as long.
        """
        twin = object.__new__(type(question))
        twin.__dict__.update(question.__dict__, **fields)
        return twin
