"""The texts that people read, as the package has them: a test names them instead of repeating them."""

from __future__ import annotations

from bot.settings.messages import load_messages

WORDING = load_messages()
