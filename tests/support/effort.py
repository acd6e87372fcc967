"""How much a test tries: a little each time, all of it in the slow run."""

from __future__ import annotations

from hypothesis import settings


def effort(quick: int, thorough: int) -> int:
    """Return how many examples a property gets in this run, where the usual number does not suit it."""
    return thorough if settings.get_current_profile_name() == "thorough" else quick
