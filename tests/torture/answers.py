"""Whether the reports of an alert are explained by what people pressed, and the other way round. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .history import Press

#: How many reported choices are explained so far, and the choice that counts in the end.
_State = tuple[int, str]


def why_unexplained(
    presses: Sequence[Press], reported: Sequence[str], *, silent: str = ""
) -> tuple[str, str] | None:
    """Return what is wrong, `unreported` or `forged`, with its evidence; None if all fits.

    `presses` are the honest ones in their order, `reported` the choices of the human reports in theirs. A
    press that Slack calls failed may have been taken or not; one that was acknowledged was taken, and is
    reported unless it repeats the choice before it, or is the one that is `silent`.
    """
    states: set[_State] = {(0, "")}
    for press in presses:
        if press.choice == silent:
            taken = {(explained, silent) for explained, _ in states}
        else:
            taken = {after for state in states for after in _take(state, press.choice, reported)}
        states = taken if press.acknowledged else taken | states
        if not states:
            return "unreported", f"press {press.number} ({press.choice}) was acknowledged; {_list(reported)}"
    if all(explained < len(reported) for explained, _ in states):
        return "forged", f"{_list(reported)}, pressed: {[press.choice for press in presses]}"
    return None


def _take(state: _State, choice: str, reported: Sequence[str]) -> list[_State]:
    explained, last = state
    if choice == last:
        return [state]
    if explained < len(reported) and reported[explained] == choice:
        return [(explained + 1, choice)]
    return []


def _list(reported: Sequence[str]) -> str:
    return f"reported: {list(reported)}"
