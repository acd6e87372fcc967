"""What the worker could not know: Slack's answer was spoiled, it was killed, or it could store nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Final

from bot.sandbox.fake_slack import Message

from .history import History, Post

#: An answer that takes longer, in seconds of the torture's time, may come after its caller gave up.
_SLOW: Final = 10.0

#: A post may reach Slack so long after its sender was killed, in seconds of the torture's time. An answer may
#: take as long to its caller.
_ON_THE_WIRE: Final = 2.0


class Deaths:
    """When each worker was killed in a run."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._moments: defaultdict[str, list[float]] = defaultdict(list)  #: under "" those of all
        for end in sorted(history.ends, key=lambda each: each.at):
            if end.status == "SIGKILL":
                for worker in {end.worker, ""}:
                    self._moments[worker].append(end.at)

    def may_not_know(self, message: Message, identifier: str) -> bool:
        """Tell whether its worker may not have stored that this message about an alert was posted."""
        post = self.history.post_of(message)
        if identifier in self.history.timed_out or post.spoiled or post.answered_at - post.arrived_at > _SLOW:
            return True
        # Its answer came to a suspended machine.
        if self._still_at(post, post.answered_at + _ON_THE_WIRE):
            return True
        moments = self._moments[post.worker]
        next_death = bisect_left(moments, post.arrived_at - _ON_THE_WIRE)
        until = post.answered_at + self.history.settled_after
        for _, ended in self._still_at(post, until):
            until = max(until, ended + self.history.settled_after)
        for worker, began, ended in self.history.full_disks:
            if worker == post.worker and began <= until and ended >= post.arrived_at:
                return True
        return next_death < len(moments) and moments[next_death] <= until

    def stood_still(self, message: Message) -> float:
        """Return for how many seconds its worker was suspended before it could store that this was posted."""
        post = self.history.post_of(message)
        until = post.answered_at + self.history.settled_after
        return sum(ended - began for began, ended in self._still_at(post, until))

    def stood_still_before_storing(self, earlier: Message, later: Message) -> bool:
        """Tell whether a message's worker was suspended before it could store it; another posted later."""
        whose = [self.history.post_of(each).worker for each in (earlier, later)]
        return whose[0] != whose[1] and self.stood_still(earlier) > 0

    def stood_still_between(self, earlier: Message, later: Message) -> bool:
        """Tell whether the worker of a message was suspended while another one was posted before it."""
        at, whose = self.history.post_of(earlier).arrived_at, self.history.post_of(later).worker
        return any(
            worker == whose and began <= at <= ended for worker, began, ended in self.history.suspensions
        )

    def _still_at(self, post: Post, until: float) -> list[tuple[float, float]]:
        return [
            (began, ended)
            for worker, began, ended in self.history.suspensions
            if worker == post.worker and began <= until and ended >= post.arrived_at
        ]
