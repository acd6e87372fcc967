"""What `systemctl` would do with the bot's unit. No systemd runs in the root, so its part is played here.

In the root, a `systemctl` hands its words to this, from the reader or from a package's scripts. The
unit's ExecStart is started with the unit's environment, credentials and state folder, as a user of its own,
and counts as started when the worker says that it is ready. The unit's restrictions are not applied:
tests/integration tries those.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer
from threading import Thread

from world.service_manager import ServiceManager
from world.waiting import until

from installation.debian_root import PATH, DebianRoot

UNIT = "triage-bot"

#: One of those that DynamicUser= picks from.
USER = 61_234

_CREDENTIALS = "run/credentials/triage-bot.service"
_EDITED = f"run/systemd/system/{UNIT}.service.d/override.conf"

#: Seconds for the worker to stop; the unit gives it no more.
STOPPING_SECONDS = 15

#: Its presence says that systemd runs.
BOOTED = "run/systemd/system"

_SOCKET = "run/systemd/asked"
_SYSTEMCTL = f"""#!/usr/bin/python3
import json, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("/{_SOCKET}")
    asked.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    code, text = json.loads(asked.makefile().read())
print(text, end="")
sys.exit(code)
"""

#: Where the version of what the package has installed stands.
PROGRAM = "usr/lib/triage-bot/lib/python3.11/site-packages/bot/__init__.py"


class Service:
    """The unit in one root: installed or not, running or not."""

    def __init__(self, root: DebianRoot) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._log = root.path.with_name("worker.log")
        #: What the reader writes where `systemctl` opens an editor.
        self.written = ""
        #: Each start and stop, with the version that was installed then.
        self.history: list[tuple[str, str]] = []
        (root.path / BOOTED).mkdir(parents=True)
        root.write("usr/bin/systemctl", _SYSTEMCTL, mode=0o755)
        self._server = _Server(str(root.path / _SOCKET), self)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.stop()

    def systemctl(self, *words: str) -> str:
        """Do what these words say; return what it prints. AssertionError if nobody here can."""
        options = {word for word in words if word.startswith("-")}
        match [word.removesuffix(".service") for word in words if word not in options]:
            case ("enable" | "start", name) if name == UNIT and ("--now" in options or "start" in words):
                self._note("start")
                self._start()
            case ("stop", name) if name == UNIT:
                self._note("stop")
                self.stop()
            case ("restart", name) if name == UNIT:
                self.stop()
                self._start()
            case ("show", name) if name == UNIT and {"--property=ActiveState", "--value"} == options:
                return "active\n" if self.is_running else "inactive\n"
            case ("daemon-reload",) | ("reenable", _):
                pass  # the unit is read at each start, and nothing boots
            case ("edit", name) if name == UNIT and "--runtime" in options:
                self._root.write(_EDITED, self.written)
            case _:
                raise AssertionError(f"nobody plays systemctl {shlex.join(words)} here")
        return ""

    def _note(self, what: str) -> None:
        program = self._root.path / PROGRAM
        text = program.read_text(encoding="utf-8") if program.exists() else ""
        self.history.append((what, "".join(re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE))))

    def stop(self) -> None:
        """Stop the worker, if it runs. AssertionError if it does not end as it should."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOPPING_SECONDS) == 0, self.log

    def _start(self) -> None:
        unit = self._unit()
        (program,) = unit["ExecStart"]
        (folder,) = unit["WorkingDirectory"]
        listening = self._root.path / "run/systemd/notify-folder"
        listening.mkdir(parents=True, exist_ok=True)
        manager = ServiceManager(listening)
        _give(listening)
        self._make_state(self._root.path / "var/lib" / unit["StateDirectory"][0])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the unit's
                self._root.program(str(USER), "/usr/bin/env", f"--chdir={folder}", *shlex.split(program)),
                env={**self._environment(unit), "NOTIFY_SOCKET": "/run/systemd/notify-folder/notify"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._await_ready(manager)

    def _await_ready(self, manager: ServiceManager) -> None:
        process = self._process
        assert process is not None
        until(
            lambda: process.poll() is not None or any("READY" in facts for facts in manager.told()),
            what="the worker is ready or ends",
        )
        manager.close()
        Path(manager.address).unlink()
        if process.poll() is not None:
            self._process = None
            raise AssertionError(f"the worker ended with {process.returncode}\n{self.log}")

    def _unit(self) -> dict[str, list[str]]:
        """Return the settings of the unit and its drop-ins; an empty one forgets those before it."""
        own, package = (
            self._root.path / folder for folder in ("etc/systemd/system", "usr/lib/systemd/system")
        )
        unit = next(file for file in (own / f"{UNIT}.service", package / f"{UNIT}.service") if file.exists())
        files = [unit, *sorted(own.glob(f"{UNIT}.service.d/*.conf"))]
        edited = self._root.path / _EDITED
        found: dict[str, list[str]] = {}
        for file in [*files, *([edited] if edited.exists() else [])]:
            for name, value in re.findall(r"^(\w+)=(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE):
                found[name] = [*found.get(name, []), value] if value else []
        return found

    def _environment(self, unit: dict[str, list[str]]) -> dict[str, str]:
        environment = {"PATH": PATH, "LANG": "C.UTF-8"}
        lines = [word for line in unit["Environment"] for word in shlex.split(line)]
        for name in unit["EnvironmentFile"]:
            file = self._root.path / name.removeprefix("-").removeprefix("/")
            lines += file.read_text(encoding="utf-8").splitlines()
        environment |= dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
        self._hand_over(unit["LoadCredential"])
        folder = unit["StateDirectory"][0]
        return {
            **environment,
            "STATE_DIRECTORY": f"/var/lib/{folder}",
            "CREDENTIALS_DIRECTORY": f"/{_CREDENTIALS}",
        }

    def _hand_over(self, credentials: list[str]) -> None:
        folder = self._root.path / _CREDENTIALS
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        for name, _, source in (each.partition(":") for each in credentials):
            file = self._root.path / source.removeprefix("/")
            text = file.read_text(encoding="utf-8") if file.exists() else "\n"
            self._root.write(f"{_CREDENTIALS}/{name}", text, mode=0o400)
        _give(folder)

    def _make_state(self, folder: Path) -> None:
        # With DynamicUser= the folder itself is out of everybody's reach, and this is a link to it.
        private = folder.parent / "private"
        private.mkdir(mode=0o700, exist_ok=True)
        (private / folder.name).mkdir(mode=0o700, exist_ok=True)
        if not folder.is_symlink():
            folder.symlink_to(f"private/{folder.name}")
        _give(private / folder.name)
        # systemd lets the worker see through; here it may at least pass.
        private.chmod(0o711)


class _Server(UnixStreamServer):
    def __init__(self, address: str, service: Service) -> None:
        super().__init__(address, _Handler)
        self.service = service


class _Handler(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        words: Sequence[str] = json.loads(self.rfile.readline())
        try:
            answer = 0, self.server.service.systemctl(*words)
        except AssertionError as error:
            answer = 1, f"{error}\n"
        self.wfile.write(json.dumps(answer).encode())


def _give(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
