"""A folder with a Debian in it that has nothing installed yet, and somebody there who may use sudo."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

#: The user who installs the bot: not root, as on any cloud's Debian.
READER = "reader"

#: What a cloud's Debian has beyond the smallest one.
BEYOND_THE_SMALLEST = "ca-certificates,python3,sudo"

#: Where this machine says how packages are fetched (mirrors, proxies, certificates): the root does likewise.
FETCHING = (
    *("etc/apt", "etc/pip.conf", "etc/xdg/pip", "root/.config/pip", "root/.pip"),
    *("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt"),
)
_FETCHING_VARIABLE = re.compile("PIP_.*|.*_PROXY|.*_CA_BUNDLE|SSL_CERT_.*", re.IGNORECASE)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

#: Seconds for one command; the longest installs packages.
PATIENCE_SECONDS = 600

_EDITOR = """#!/bin/sh
# Somebody who adds to each file what lies ready for it.
for file; do
    for text in /srv/edits/*; do
        case "${file##*/}" in "${text##*/}"*) cat "$text" >>"$file" ;; esac
    done
done
"""

#: Of the arguments: the root, the user, the words. The mount is this program's alone and ends with it.
_INSIDE = 'mount -t proc proc "$1/proc" && exec chroot --userspec="$2:$2" "$1" "${@:3}"'

#: Of the arguments: the folder, the command. Leaves the folder that the command has changed to.
_IN_FOLDER = 'cd "$1" && eval "$2" && pwd >~/.folder'


class DebianRoot:
    """The root is a folder of this machine's, whose kernel and network it shares. No service runs in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = "~"
        self._fetching = {
            name: text for name, text in os.environ.items() if _FETCHING_VARIABLE.fullmatch(name)
        }

    def make(self) -> None:
        """Fetch and unpack it."""
        # It need not survive a power failure, and may share its disk with other tests.
        self.write("etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")
        suite = codename()
        options = ["--variant=minbase", f"--include={BEYOND_THE_SMALLEST}"]
        # In a mount namespace of its own: if it fails, /proc must not stay mounted in a folder to be deleted.
        _run("unshare", "--mount", "debootstrap", *options, suite, str(self.path), *_mirror(suite))
        (self.path / "etc/apt/sources.list").unlink(missing_ok=True)
        for name in FETCHING:
            self._copy(Path("/", name))
        self._settle()

    def run(self, command: str, *, offline: bool = False) -> str:
        """Run a command as the reader, where the last one left them; return what it printed.

        AssertionError if it fails. Offline it has no network, not even this machine's own.
        """
        network = ["unshare", "--net"] if offline else []
        ran = subprocess.run(  # noqa: S603 - the guide's commands
            network
            + self.program(READER, "/bin/bash", "-c", _IN_FOLDER, "bash", self._folder_now(), command),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, f"$ {command}\n{ran.stdout}exit code {ran.returncode}"
        return ran.stdout

    def program(self, user: str, *words: str) -> list[str]:
        return ["unshare", "--mount", "/bin/bash", "-c", _INSIDE, "bash", str(self.path), user, *words]

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        """Write a file of the root's; return where it is for us."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def lay_ready(self, stem: str, text: str) -> None:
        """Add this text to the file that begins like this whenever the reader edits it."""
        self.write(f"srv/edits/{stem}", text)

    def _folder_now(self) -> str:
        left = self.path / "home" / READER / ".folder"
        return left.read_text(encoding="utf-8").strip() if left.exists() else f"/home/{READER}"

    def _environment(self) -> dict[str, str]:
        return {
            **self._fetching,
            "PATH": PATH,
            "HOME": f"/home/{READER}",
            "LANG": "C.UTF-8",
            "EDITOR": "/usr/local/bin/reader-editor",
            "DEBIAN_FRONTEND": "noninteractive",
        }

    def _settle(self) -> None:
        _run("chroot", str(self.path), "useradd", "--create-home", "--shell=/bin/bash", READER)
        kept = " ".join([*self._fetching, "DEBIAN_FRONTEND"])
        rights = f'{READER} ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += "{kept}"\n'
        self.write("etc/sudoers.d/reader", rights, mode=0o440)
        self.write("usr/local/bin/reader-editor", _EDITOR, mode=0o755)
        # Answers yes to every prompt. Recommended packages must not be needed.
        options = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n'
        self.write("etc/apt/apt.conf.d/95reader", options)
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", mode=0o755)

    def _copy(self, source: Path) -> None:
        target = self.path / source.relative_to("/")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(source, target)


def codename() -> str:
    """Return the name of this machine's Debian."""
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\w+)$", release, re.MULTILINE)
    assert found, "this machine's release has no codename"
    return found[1]


def _mirror(suite: str) -> list[str]:
    """Return where this machine gets the suite from; empty: from wherever debootstrap does."""
    named = _run("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")
    pairs = (line.split(maxsplit=1) for line in named.splitlines())
    return next(([uri] for release, uri in pairs if release == suite), [])


def _run(*words: str) -> str:
    ran = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)  # noqa: S603 - Debian's
    assert ran.returncode == 0, f"{' '.join(words)}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    return ran.stdout
