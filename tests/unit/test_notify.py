from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from world.service_manager import ServiceManager

from bot.settings.settings import Purpose, load_settings
from bot.worker.watchdog import Notifier, Progress

NOTHING = {"STORE_URL": "sqlite:///bot.db"}


def test_facts_go_out_in_one_datagram_a_line_each(tmp_path: Path) -> None:
    manager = ServiceManager(tmp_path)

    Notifier(manager.address).tell(READY=1, STATUS="serving, as it should")

    assert manager.told() == [{"READY": "1", "STATUS": "serving, as it should"}]
    manager.close()


def test_an_abstract_address_is_understood() -> None:
    name = uuid4().hex
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")

        Notifier(f"@{name}").tell(WATCHDOG=1)

        assert manager.recv(100) == b"WATCHDOG=1"


def test_a_manager_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    Notifier("").tell(READY=1)
    Notifier(str(tmp_path / "nobody")).tell(READY=1)

    assert list(tmp_path.iterdir()) == []


def test_a_loop_is_stalled_only_when_its_time_is_over() -> None:
    progress = Progress("poller")

    fresh = progress.stalled
    progress.mark(timedelta(seconds=-1))

    assert not fresh
    assert progress.stalled


def test_the_watchdog_s_time_counts_only_for_the_process_that_it_is_meant_for(tmp_path: Path) -> None:
    given = {**NOTHING, "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "60000000"}

    ours = load_settings(Purpose.STORE, environ=given, directory=tmp_path)
    theirs = load_settings(Purpose.STORE, environ={**given, "WATCHDOG_PID": "1"}, directory=tmp_path)
    unset = load_settings(Purpose.STORE, environ=NOTHING, directory=tmp_path)

    assert (ours.notify_socket, ours.watchdog) == ("/run/notify", timedelta(minutes=1))
    assert theirs.watchdog is None
    assert (unset.notify_socket, unset.watchdog) == ("", None)
