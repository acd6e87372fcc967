"""A stand-in for Slack: Web API, Socket Mode and response URLs of one workspace, on 127.0.0.1."""

from __future__ import annotations

from bot.sandbox.fake_slack.cast import SECURITY_CHANNEL, default_workspace
from bot.sandbox.fake_slack.server import SlackStandIn
from bot.sandbox.fake_slack.socket_mode import SocketMode
from bot.sandbox.fake_slack.workspace import Conversation, Message, Person, Workspace, WorkspaceEvent

__all__ = [
    "SECURITY_CHANNEL",
    "Conversation",
    "Message",
    "Person",
    "SlackStandIn",
    "SocketMode",
    "Workspace",
    "WorkspaceEvent",
    "default_workspace",
]
