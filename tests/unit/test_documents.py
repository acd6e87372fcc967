"""The documents are consistent: links lead somewhere, the README is short, tables agree with the code."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote

import pytest
from documents import CHECKOUT, anchors, document, documents, links

README_LINES_MAX = 180

DOCUMENTS = documents()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    dead = [link for link in links(text) if "://" not in link and not _leads_somewhere(path, link)]

    assert dead == []


def test_there_are_links_to_follow() -> None:
    found = {path: list(links(path.read_text(encoding="utf-8"))) for path in DOCUMENTS}

    assert {"docs/install.md", "docs/architecture.md#promises-and-their-tests"} <= set(
        found[CHECKOUT / "README.md"]
    )
    assert not _leads_somewhere(CHECKOUT / "README.md", "docs/install.md#no-such-heading")
    assert not _leads_somewhere(CHECKOUT / "README.md", "docs/no-such-file.md")


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(document("README.md").splitlines()) <= README_LINES_MAX


def test_a_source_distribution_has_every_file_that_a_document_links_to() -> None:
    project = tomllib.loads(document("pyproject.toml"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    targets = {
        (path.parent / link.partition("#")[0]).resolve()
        for path in DOCUMENTS
        for link in links(path.read_text(encoding="utf-8"))
        if "://" not in link and not link.startswith("#")
    }

    named = [f"/{target.relative_to(CHECKOUT)}" for target in targets]

    assert "/.github/sandbox.png" in named
    assert [name for name in named if not any(fnmatch(f"{name}/", f"{each}/*") for each in included)] == []


def _leads_somewhere(path: Path, link: str) -> bool:
    name, _, anchor = unquote(link).partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.is_relative_to(CHECKOUT) or not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text(encoding="utf-8"))
