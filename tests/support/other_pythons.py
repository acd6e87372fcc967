"""`python tests/support/other_pythons.py`: unit and contract tests on each other Python of the classifiers.

One that is not on this machine, or does not start, is passed over.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from documents import CHECKOUT, document
from interpreters import find_python, make_environment

CLASSIFIER = "Programming Language :: Python :: "


def other_versions() -> list[str]:
    """Return the versions of the classifiers, such as `3.13`, but for that which runs this."""
    classifiers = tomllib.loads(document("pyproject.toml"))["project"]["classifiers"]
    versions = [each.removeprefix(CLASSIFIER) for each in classifiers if each.startswith(CLASSIFIER)]
    return [each for each in versions if each != f"{sys.version_info.major}.{sys.version_info.minor}"]


def install(version: str, folder: Path) -> Path | None:
    """Install this program for a version of Python; return that Python, or None if there is none."""
    found = find_python(version)
    return found and make_environment(found, folder, ("-e", f"{CHECKOUT}[dev]"))


def run_tests(python: Path) -> bool:
    tests = subprocess.run(  # noqa: S603 - our own tests
        [python, "-m", "pytest", "-q", "tests/unit", "tests/contract"], cwd=CHECKOUT, check=False
    )
    return tests.returncode == 0


def main() -> int:
    passed = True
    versions = other_versions()
    with tempfile.TemporaryDirectory(prefix="pythons-") as folder, ThreadPoolExecutor() as threads:
        # An installation keeps one core busy; the tests keep all of them busy.
        pythons = threads.map(install, versions, [Path(folder) / version for version in versions])
        for version, python in zip(versions, list(pythons), strict=True):
            if python is None:
                print(f"Python {version}: none that starts on the PATH or among pyenv's versions", flush=True)
                continue
            print(f"Python {version}", flush=True)
            passed &= run_tests(python)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
