"""`python tests/support/other_pythons.py`: unit and contract tests on each other Python of the classifiers.

One that is not on this machine, or does not start, is passed over.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from documents import CHECKOUT, document
from interpreters import find_python, make_environment

CLASSIFIER = "Programming Language :: Python :: "


def other_versions() -> list[str]:
    """Return the versions of the classifiers, such as `3.13`, but for that which runs this."""
    classifiers = tomllib.loads(document("pyproject.toml"))["project"]["classifiers"]
    versions = [each.removeprefix(CLASSIFIER) for each in classifiers if each.startswith(CLASSIFIER)]
    return [each for each in versions if each != f"{sys.version_info.major}.{sys.version_info.minor}"]


def run_tests(version: str, folder: Path) -> bool:
    """Run the tests on a version in an environment of its own; tell whether they passed."""
    found = find_python(version)
    if found is None:
        print(f"Python {version}: none that starts on the PATH or among pyenv's versions", flush=True)
        return True
    python = make_environment(found, folder, ("-e", f"{CHECKOUT}[dev]"))
    print(f"Python {version}: {found}", flush=True)
    tests = subprocess.run(  # noqa: S603 - our own tests
        [python, "-m", "pytest", "-q", "tests/unit", "tests/contract"], cwd=CHECKOUT, check=False
    )
    return tests.returncode == 0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="pythons-") as folder:
        passed = [run_tests(version, Path(folder) / version) for version in other_versions()]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
