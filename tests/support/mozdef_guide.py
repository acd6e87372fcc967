"""MozDef's guide as its reader takes it: the commands, lines and programs that it gives."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from documents import CHECKOUT, code_blocks, document, section

GUIDE = "config/mozdef/README.md"

#: Where the guide has MozDef, and the Python that MozDef runs on.
MOZDEF = "/opt/mozdef/envs/mozdef"
PYTHON = "/opt/mozdef/envs/python/bin/python"


def guide_block(chapter: str, words: str) -> str:
    """Return the one code block of a chapter that has these words in it. AssertionError if it is not one."""
    text = re.sub(r"^   ", "", section(document(GUIDE), chapter), flags=re.MULTILINE)  # out of the steps
    found = [content for _, content in code_blocks(text) if words in content]
    assert len(found) == 1, f"{len(found)} blocks of {chapter!r} have {words!r}"
    return found[0]


def guide_commands(chapter: str, words: str, *places: tuple[str, str | Path]) -> str:
    """Return a block of commands with places of the guide's replaced by the reader's own.

    AssertionError if a place is not in it once.
    """
    commands = guide_block(chapter, words)
    for place, own in places:
        assert commands.count(place) == 1, f"{place} is not in it once:\n{commands}"
        commands = commands.replace(place, str(own))
    return commands


def run_commands(commands: str, *, folder: Path, environment: Mapping[str, str]) -> str:
    """Run commands in a folder; return what they print. AssertionError if one fails."""
    done = subprocess.run(  # noqa: S603 - our own guide's
        ["bash", "-euc", commands],  # noqa: S607 - wherever it is
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def copy_drop_in(mozdef: Path) -> None:
    """Do what the guide says to copy the drop-in into a MozDef."""
    commands = guide_commands("2. Ask", '"$MOZDEF/alerts/actions/"', (MOZDEF, mozdef))
    run_commands(commands, folder=CHECKOUT, environment={"PATH": "/usr/bin:/bin"})


def name_action(mozdef: Path) -> None:
    """Name the drop-in in MozDef's list of actions, as the guide does. AssertionError if there is no list."""
    path = mozdef / "alerts" / "lib" / "config.py"
    block = guide_block("2. Ask", "ALERT_ACTIONS = [")
    text, lists = re.subn(
        r"^ALERT_ACTIONS = \[.*?^\]\n", lambda _: block, path.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert lists == 1, f"{path} does not have the list once"
    path.write_text(text)
