"""Checks the credentials that systemd passes to the service."""

from __future__ import annotations

import stat

from bot.cli.checks.findings import Finding
from bot.settings.credentials import Credentials

SUBJECT = "systemd credentials"


def check_credentials(credentials: Credentials) -> Finding:
    """Judge the credentials in the folder. Unreadable files are among the settings' problems already."""
    if credentials.folder is None:
        how = "to check the service's, run CREDENTIALS_DIRECTORY=/etc/triage-bot triage-bot check"
        return Finding.ok(SUBJECT, f"none here; {how}")
    if credentials.unused:
        detail = f"ignored, because also set elsewhere: {', '.join(credentials.unused)}"
        remedy = "remove it from the environment file, or remove the credential"
        return Finding.warning(SUBJECT, detail, f"keep each token in one place: {remedy}")
    paths = [credentials.folder / name.lower() for name in credentials.values]
    exposed = " ".join(str(path) for path in paths if path.stat().st_mode & stat.S_IROTH)
    if exposed:
        return Finding.warning(SUBJECT, f"everybody can read {exposed}", f"chmod 600 {exposed}")
    found = ", ".join(path.name for path in paths) or "none"
    return Finding.ok(SUBJECT, f"{found}, in {credentials.folder}")
