"""The modals that people have open: a stack per person, who sees the top one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

#: A root view and the two that Slack lets an app push on top of it.
MOST_VIEWS: Final = 3


class StackFullError(Exception):
    """The person already has as many views open as Slack allows: three."""


class Modals:
    """Every open modal. `changed(user, view)` is called with the view that the person now sees, or None."""

    def __init__(self, changed: Callable[[str, dict[str, Any] | None], None]) -> None:
        self._stacks: dict[str, list[dict[str, Any]]] = {}
        self._changed = changed

    def open(self, user: str, view: Mapping[str, Any]) -> None:
        """Show a modal as the root of a new stack, which replaces the person's previous one."""
        self._stacks[user] = [dict(view)]
        self._tell(user)

    def push(self, user: str, view: Mapping[str, Any]) -> None:
        """Push a view onto the person's stack; `StackFullError` if it has three already."""
        stack = self._stacks.setdefault(user, [])
        if len(stack) >= MOST_VIEWS:
            raise StackFullError
        stack.append(dict(view))
        self._tell(user)

    def replace(self, view: Mapping[str, Any]) -> None:
        """Replace the open view that has the same id; `LookupError` if it is not open."""
        user = self.owner(view["id"])
        stack = self._stacks[user]
        index = next(index for index, one in enumerate(stack) if one["id"] == view["id"])
        stack[index] = dict(view)
        self._tell(user)

    def close(self, user: str) -> None:
        """Close the top view, so that the one below is visible again. `LookupError` if none is open."""
        self._stacks[user].pop()
        self._tell(user)

    def clear(self, user: str) -> None:
        """Close all of the person's views. `LookupError` if they never had one."""
        self._stacks[user].clear()
        self._tell(user)

    def seen_by(self, user: str) -> dict[str, Any] | None:
        """Return the modal that the person sees; None if there is none."""
        stack = self._stacks.get(user)
        return stack[-1] if stack else None

    def view(self, view_id: str) -> dict[str, Any]:
        """Return an open view, visible or below another; `LookupError` if none has that id."""
        found = (view for stack in self._stacks.values() for view in stack if view["id"] == view_id)
        return _first(found, view_id)

    def of_external_id(self, external_id: str) -> dict[str, Any] | None:
        """Return the open view with this external_id; None if there is none."""
        views = (view for stack in self._stacks.values() for view in stack)
        return next((view for view in views if external_id and view["external_id"] == external_id), None)

    def owner(self, view_id: str) -> str:
        """Return the id of the person who has that view open; `LookupError` if nobody has."""
        owners = (user for user, stack in self._stacks.items() if any(one["id"] == view_id for one in stack))
        return _first(owners, view_id)

    def _tell(self, user: str) -> None:
        self._changed(user, self.seen_by(user))


def _first(found: Iterator[T], view_id: str) -> T:
    for one in found:
        return one
    raise LookupError(f"no modal {view_id} is open")
