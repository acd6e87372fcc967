"""A certified OpenID provider (npm's oidc-provider) in a process of its own: see `ciba/server.mjs`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from line_process import LineProcess

PROGRAM = Path(__file__).parent / "ciba"

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="node or npm is missing"
)


class CibaProvider(LineProcess):
    def __init__(self, folder: Path, certificate: Path) -> None:
        key = ECKey.generate_key("P-256", auto_kid=True)
        self.certificate = certificate
        self.client_key = json.dumps(key.as_dict(private=True))
        public = folder / "client.jwks"
        public.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        super().__init__(
            *("node", str(install() / "server.mjs"), certificate, certificate, public),
            folder=folder,
            environment=dict(os.environ),
            log_file=folder / "provider.log",
        )

    @property
    def issuer(self) -> str:
        return str(self.tell({})["issuer"])

    def device(self, action: str, code: str) -> str:
        """Approve, deny or expire on the device that shows this code; return whose device it is."""
        return str(self.tell({"action": action, "code": code})["account"])


def install() -> Path:
    """Return the folder that has the program with the packages of its lock, kept from run to run."""
    lock = (PROGRAM / "package-lock.json").read_bytes()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "triage-bot-tests" / f"ciba-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PROGRAM / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own words
        (folder / "complete").touch()
    shutil.copy(PROGRAM / "server.mjs", folder)
    return folder
