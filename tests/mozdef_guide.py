"""MozDef's guide as its reader takes it: the commands that it tells to run."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]

#: The step that copies the files.
COPYING = """
```
MOZDEF=/opt/mozdef/envs/mozdef
cp config/mozdef/triage_bot_sqs.py config/mozdef/triage_bot_sqs.json config/mozdef/triage_request.py \\
  "$MOZDEF/alerts/actions/"
```
"""

_FENCED = re.compile(r"^([ \t]*)```(?:sh|bash)?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"^MOZDEF=.*$", re.MULTILINE)


def guide_commands(guide: str, *, mozdef: Path) -> str:
    """Return the one block of a guide that copies into MozDef's actions, for a MozDef in this folder.

    AssertionError if the guide has none, more than one, or one that does not say where MozDef is.
    """
    blocks = [textwrap.dedent(text) for _, text in _FENCED.findall(guide)]
    (copying,) = [block for block in blocks if '"$MOZDEF/alerts/actions/"' in block] or [""]
    assert copying, "the guide copies nothing to $MOZDEF/alerts/actions/"
    commands, places = _PLACE.subn(lambda _: f"MOZDEF='{mozdef}'", copying)
    assert places == 1, "the guide does not say MOZDEF= in the step that copies"
    return commands


def copy_drop_in(mozdef: Path) -> None:
    """Do what the guide says to copy the drop-in into a MozDef."""
    commands = guide_commands(COPYING, mozdef=mozdef)
    subprocess.run(["bash", "-euc", commands], cwd=CHECKOUT, check=True)  # noqa: S603, S607 - our own guide's
