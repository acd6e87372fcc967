"""The world around one worker, for tests: Slack, the queues, MozDef, and the worker as a real process."""

from world.slack import ADA, ALAN, GRACE, KATHERINE, SlackSide, buttons, newcomer, paragraphs
from world.waiting import PATIENCE_SECONDS, eventually, until
from world.worker import WorkerProcess
from world.world import World, alert

__all__ = [
    "ADA",
    "ALAN",
    "GRACE",
    "KATHERINE",
    "PATIENCE_SECONDS",
    "SlackSide",
    "WorkerProcess",
    "World",
    "alert",
    "buttons",
    "eventually",
    "newcomer",
    "paragraphs",
    "until",
]
