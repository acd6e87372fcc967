"""Whose look-up is next, while Slack takes but so many."""

from __future__ import annotations

from datetime import timedelta

from fakes import NOON

from bot.triage.people_queue import LookUpQueue, Waiting


def row(name: str, label: str = "flood", *, minute: int = 0, wanted: str = "") -> Waiting:
    return Waiting(
        ref=name, wanted=wanted or f"{name}@example.com", label=label, since=NOON + timedelta(minutes=minute)
    )


def filled(limit: int | None = None, *, first: bool = False, **counts: int) -> LookUpQueue:
    """Return a queue in which so many wait of each label."""
    queue = LookUpQueue(**({"limit": limit} if limit else {}))
    for label, count in counts.items():
        fill(queue, label, count, first=first)
    return queue


def fill(queue: LookUpQueue, label: str, count: int, *, first: bool = False) -> None:
    for number in range(count):
        queue.add(row(f"{label}-{number}", label, minute=number), first=first)


def turns(queue: LookUpQueue) -> list[str]:
    """Take all; return whose turns they were."""
    taken = []
    while rows := queue.take():
        taken.append(rows[0].ref)
    return taken


def test_the_newest_and_the_oldest_of_a_label_take_turns() -> None:
    assert turns(filled(flood=5)) == ["flood-4", "flood-0", "flood-3", "flood-1", "flood-2"]


def test_labels_take_turns_however_long_their_lines_are() -> None:
    first = [ref.split("-")[0] for ref in turns(filled(flood=1000, quiet=3, rare=1))[:8]]

    assert first == ["flood", "quiet", "rare", "flood", "quiet", "flood", "quiet", "flood"]


def test_a_label_that_comes_again_and_again_does_not_starve_another() -> None:
    queue, taken = filled(flood=10), []
    for number in range(6):
        queue.add(row(f"again-{number}", "again", minute=number))
        taken.append(queue.take()[0].label)

    assert taken == ["flood", "again"] * 3


def test_whoever_was_met_lately_goes_first_and_the_longest_waiting_of_them() -> None:
    queue = filled(flood=3)
    fill(queue, "met", 3, first=True)

    assert turns(queue)[:4] == ["met-0", "met-1", "met-2", "flood-2"]


def test_all_questions_for_an_address_leave_with_the_first_of_them() -> None:
    queue = filled(flood=3)
    for label in ("flood", "other"):
        queue.add(row(f"ada-{label}", label, minute=9, wanted="ada@example.com"))
    queue.add(row("ada-met", wanted="ada@example.com"), first=True)

    assert [each.ref for each in queue.take()] == ["ada-met", "ada-flood", "ada-other"]
    assert turns(queue) == ["flood-2", "flood-0", "flood-1"]
    assert len(queue) == 0


def test_a_question_waits_once_and_keeps_its_place() -> None:
    queue = filled(flood=2)
    fill(queue, "flood", 2)

    assert turns(queue) == ["flood-1", "flood-0"]


def test_when_too_many_wait_the_middle_of_the_longest_line_leaves_or_the_last_who_was_met_lately() -> None:
    queue = filled(limit=10, quiet=2, flood=1000)

    assert len(queue) == 10
    assert turns(queue)[:5] == ["quiet-1", "flood-999", "quiet-0", "flood-0", "flood-998"]
    assert len(queue._by_wanted) == len(queue._lines) == 0
    assert turns(filled(limit=3, first=True, met=5)) == ["met-0", "met-1", "met-2"]
