"""The texts that people read, as the package has them: a test names them instead of repeating them."""

from __future__ import annotations

import re
from typing import Any

from bot.settings.messages import load_messages
from bot.slack.render.rich_text import fill

WORDING = load_messages()


def as_read(template: str, **values: Any) -> str:
    """Return a template as a person reads it, without its markup."""
    return "".join(each.get("text") or each["fallback"] for each in fill(template, **values))


def fixed_words(template: str) -> str:
    """Return the longest part of a template without a placeholder, as a person reads it."""
    return max(re.split(r"{\w+}", as_read(template)), key=len).strip()
