"""Starts Python under the restrictions of a systemd unit, as far as they can be had without systemd.

`python confinement.py UNIT FOLDER ARGUMENT…`, as root. What follows runs as nobody in particular, without
a capability or a way to get one, with a file system that is read-only but for FOLDER, and with the unit's
filter of system calls (through libseccomp, which systemd uses too). It replaces this process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

#: One of those that DynamicUser= picks from.
USER = 61_234

PLACE = Path("/mnt")
CHECKOUT = Path(__file__).resolve().parents[2]

CLONE_NEWNS, CLONE_NEWIPC = 0x00020000, 0x08000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, SYS_MOUNT_SETATTR = -100, 0x8000, 1, 442
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, LAST_CAPABILITY = 24, 38, 40
PROT_WRITE, PROT_EXEC = 2, 4
ANY_NAMESPACE = 0x7E020080

ALLOW, LOG_ERRNO = 0x7FFF0000, 0x00050000
MASKED_EQUAL, EQUAL, GREATER_EQUAL = 7, 4, 5

#: Calls of the sets that another setting of the unit restricts by what they are given.
BY_ARGUMENT = frozenset("socket mmap mprotect pkey_mprotect clone clone3 unshare setns".split())

libc = ctypes.CDLL(None, use_errno=True)


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """A filter of system calls: what no rule names is refused with EPERM."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._filter = ctypes.c_void_p(self._library.seccomp_init(LOG_ERRNO | errno.EPERM))

    def add(self, action: int, call: str, *comparisons: tuple[int, int, int, int]) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        rules = (Comparison * len(comparisons))(*(Comparison(*each) for each in comparisons))
        done = self._library.seccomp_rule_add_array(self._filter, action, number, len(comparisons), rules)
        # Negative numbers are calls that this machine does not have; a rule may be there already.
        if done and number >= 0 and done not in (-errno.EEXIST, -errno.EDOM):
            raise OSError(-done, f"{call}: {os.strerror(-done)}")

    def load(self) -> None:
        checked(self._library.seccomp_load(self._filter), "seccomp_load")


def checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno() or -result
        raise OSError(number, f"{what}: {os.strerror(number)}")


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Return the values of each setting of a unit, a line each."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def calls_of(lines: list[str]) -> set[str]:
    """Return the system calls that `SystemCallFilter=` allows: the first line allows, `~` takes back."""
    calls: set[str] = set()
    for line in lines:
        names = line.removeprefix("~").split()
        named = set().union(*(calls_named(name) for name in names))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def calls_named(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(  # noqa: S603 - a name out of the unit
        ["systemd-analyze", "syscall-filter", name],  # noqa: S607 - wherever it is
        check=True,
        capture_output=True,
        text=True,
    )
    members = [line.strip() for line in shown.stdout.splitlines() if line.startswith("    ")]
    return set().union(*(calls_named(member) for member in members if not member.startswith("#")))


def make_places(folder: Path) -> None:
    """Make all read-only but the folder, and hide what is closed to others, but for the program itself."""
    checked(libc.unshare(CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount(str(folder), str(folder), "", MS_BIND)
    needed = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)}
    closed = {top for path in needed if (top := topmost_closed(path))}
    for number, top in enumerate(sorted(closed)):
        open_up(top, [path for path in needed if path.is_relative_to(top)], PLACE / str(number))
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible,subset=pid")
    set_attributes("/", AT_RECURSIVE, set_=MOUNT_ATTR_RDONLY)
    set_attributes(str(folder), 0, clear=MOUNT_ATTR_RDONLY)


def topmost_closed(path: Path) -> Path | None:
    """Return the first folder on the way to `path` that its owner alone may enter."""
    ways = [*reversed(path.parents), path]
    return next((each for each in ways if not each.stat().st_mode & stat.S_IXOTH), None)


def open_up(top: Path, needed: list[Path], copy: Path) -> None:
    """Put an empty folder in the place of `top`, with nothing in it but what is needed, at the same path."""
    if not PLACE.is_mount():
        mount("tmpfs", str(PLACE), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    copy.mkdir()
    mount(str(top), str(copy), "", MS_BIND | MS_REC)
    mount("tmpfs", str(top), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for path in needed:
        path.mkdir(parents=True, exist_ok=True)
        mount(str(copy / path.relative_to(top)), str(path), "", MS_BIND | MS_REC)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [word.encode() for word in (source, target, kind)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def set_attributes(path: str, flags: int, *, set_: int = 0, clear: int = 0) -> None:
    attributes = (ctypes.c_uint64 * 4)(set_, clear, 0, 0)
    done = libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, ctypes.byref(attributes), ctypes.sizeof(attributes)
    )
    checked(done, f"mount_setattr {path}")


def drop_privileges() -> None:
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.umask(0o077)
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def filter_of(unit: dict[str, list[str]]) -> Filter:
    """Return the filter of the unit's sets, and of the settings that systemd turns into filters."""
    wanted = Filter()
    for call in calls_of(unit["SystemCallFilter"]) - BY_ARGUMENT:
        wanted.add(ALLOW, call)
    for family in unit["RestrictAddressFamilies"][0].split():
        number = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}[family]
        wanted.add(ALLOW, "socket", (0, EQUAL, number, 0))
    assert unit["MemoryDenyWriteExecute"] == unit["RestrictNamespaces"] == ["yes"]
    for protection in (0, PROT_WRITE, PROT_EXEC):
        wanted.add(ALLOW, "mmap", (2, MASKED_EQUAL, PROT_WRITE | PROT_EXEC, protection))
    for call in ("mprotect", "pkey_mprotect"):
        wanted.add(ALLOW, call, (2, MASKED_EQUAL, PROT_EXEC, 0))
    for call in ("clone", "unshare"):
        wanted.add(ALLOW, call, (0, MASKED_EQUAL, ANY_NAMESPACE, 0))
    # Its flags are out of a filter's sight: told that it is not there, the C library takes `clone`.
    wanted.add(LOG_ERRNO | errno.ENOSYS, "clone3")
    return wanted


def main() -> None:
    unit, folder, *arguments = sys.argv[1:]
    wanted = filter_of(settings_of(Path(unit)))
    make_places(Path(folder))
    drop_privileges()
    os.chdir(folder)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "STATE_DIRECTORY": folder}
    wanted.load()
    os.execve(sys.executable, [sys.executable, "-P", *arguments], environment)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
