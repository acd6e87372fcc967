"""Checks the credentials that systemd passes to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.cli.checks.findings import Finding, Verdict

if TYPE_CHECKING:
    from bot.settings.credentials import Credentials

SUBJECT = "systemd credentials"

#: The bit of a file's mode that lets everybody read it.
_READABLE_BY_OTHERS = 0o004


def check_credentials(credentials: Credentials) -> Finding:
    """Judge the credentials in the folder. Unreadable files are among the settings' problems already."""
    if credentials.folder is None:
        return _ok_finding(
            "none here; to check the service's, run CREDENTIALS_DIRECTORY=/etc/triage-bot triage-bot check"
        )
    if credentials.unused:
        return _warning_finding(
            f"ignored, because also set elsewhere: {', '.join(credentials.unused)}",
            "keep each token in one place: remove it from the environment file, or remove the credential",
        )
    if open_files := _list_open_files(credentials):
        return _warning_finding(
            f"everybody can read {' '.join(open_files)}", f"chmod 600 {' '.join(open_files)}"
        )
    found = ", ".join(variable.lower() for variable in credentials.values) or "none"
    return _ok_finding(f"{found}, in {credentials.folder}")


def _list_open_files(credentials: Credentials) -> list[str]:
    paths = [credentials.folder / name.lower() for name in credentials.values] if credentials.folder else []
    return [str(path) for path in paths if path.stat().st_mode & _READABLE_BY_OTHERS]


def _ok_finding(detail: str) -> Finding:
    return Finding(subject=SUBJECT, verdict=Verdict.OK, detail=detail)


def _warning_finding(detail: str, remedy: str) -> Finding:
    return Finding(subject=SUBJECT, verdict=Verdict.WARNING, detail=detail, remedy=remedy)
