"""Writes a CycloneDX bill of materials of the production set to standard output.

    .venv/bin/python config/make_sbom.py > sbom.json

It describes what is installed beside the Python that runs it: the distributions that pyproject.toml names,
and those that they need in turn, without the extras. The same set gives the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHECKOUT = Path(__file__).resolve().parents[1]

#: CycloneDX 1.6 (ECMA-424).
SPEC_VERSION = "1.6"

_NAMESPACE = UUID("7d8a2c46-31f1-5b0c-9a52-0d7a1c5b8e11")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*(?:;(.*))?")

#: A licence that is written out in the metadata is no name.
_LONGEST_NAME = 60


def bill_of_materials() -> dict[str, Any]:
    """Return the document. `PackageNotFoundError` if something that pyproject.toml names is not installed."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first = sorted(_names(project["dependencies"]))
    found = _reached(first)
    root = _root(project)
    content = {
        "metadata": {"component": root},
        "components": [_component(each) for _, each in sorted(found.items())],
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": [_purl(found[name]) for name in first]},
            *(_dependencies(each, found) for _, each in sorted(found.items())),
        ],
    }
    serial = uuid5(_NAMESPACE, json.dumps(content, sort_keys=True))
    header = {"bomFormat": "CycloneDX", "specVersion": SPEC_VERSION, "serialNumber": f"urn:uuid:{serial}"}
    return {**header, "version": 1, **content}


def _reached(first: Iterable[str]) -> dict[str, Distribution]:
    """Return the distributions that these names lead to, by their names."""
    found = {name: distribution(name) for name in first}
    waiting = list(found.values())
    while waiting:
        for name in _names(waiting.pop().requires or ()):
            if name not in found and (needed := _installed(name)):
                found[name] = needed
                waiting.append(needed)
    return found


def _names(requirements: Iterable[str]) -> Iterator[str]:
    """Yield the normalised names of requirements that no extra asks for."""
    for requirement in requirements:
        matched = _REQUIREMENT.match(requirement)
        if matched and "extra" not in (matched[2] or ""):
            yield _normalised(matched[1])


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> Distribution | None:
    # A requirement of another Python or system is not here.
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _root(project: dict[str, Any]) -> dict[str, Any]:
    source = (CHECKOUT / "bot" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'__version__ = "([^"]+)"', source)
    purl = f"pkg:pypi/{project['name']}@{version}"
    return {
        "type": "application",
        "bom-ref": purl,
        "name": project["name"],
        "version": version,
        "licenses": [{"license": {"id": project["license"]}}],
        "purl": purl,
    }


def _component(installed: Distribution) -> dict[str, Any]:
    licence = _licence(installed)
    return {
        "type": "library",
        "bom-ref": _purl(installed),
        "name": _normalised(installed.name),
        "version": installed.version,
        "scope": "required",
        **({"licenses": [licence]} if licence else {}),
        "purl": _purl(installed),
    }


def _licence(installed: Distribution) -> dict[str, Any] | None:
    metadata = installed.metadata
    if "License-Expression" in metadata:
        return {"expression": metadata["License-Expression"]}
    (name, *_) = metadata.get_all("License") or [""]
    if not name or "\n" in name or len(name) > _LONGEST_NAME:
        classifiers = metadata.get_all("Classifier") or []
        name = next((each.split(" :: ")[-1] for each in classifiers if each.startswith("License ::")), "")
    return {"license": {"name": name}} if name else None


def _purl(installed: Distribution) -> str:
    return f"pkg:pypi/{_normalised(installed.name)}@{installed.version}"


def _dependencies(installed: Distribution, found: dict[str, Distribution]) -> dict[str, Any]:
    needed = sorted({name for name in _names(installed.requires or ()) if name in found})
    return {"ref": _purl(installed), "dependsOn": [_purl(found[name]) for name in needed]}


if __name__ == "__main__":
    json.dump(bill_of_materials(), sys.stdout, indent=2)
    sys.stdout.write("\n")
