"""Secrets as systemd hands them over: files in a folder that it names (systemd.exec(5), Credentials)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables that may also come as a credential. Its file has the variable's name in small letters.
SECRET_VARIABLES = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What is in the folder. `values` are by variable; a file that is empty or missing gives none."""

    folder: Path | None = None  #: None: there is none
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()  #: a sentence for each file that cannot be read
    unused: tuple[str, ...] = ()  #: variables whose credential does not count: they are set elsewhere


def read_credentials(surroundings: Mapping[str, str], values: Mapping[str, str]) -> Credentials:
    """Return the credentials of the folder that the surroundings name.

    `values` are the variables that are set, there or elsewhere: a credential counts only where none is.
    """
    if not surroundings.get("CREDENTIALS_DIRECTORY"):
        return Credentials()
    folder = Path(surroundings["CREDENTIALS_DIRECTORY"])
    found, problems = {}, []
    for variable in SECRET_VARIABLES:
        try:
            found[variable] = (folder / variable.lower()).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(_unreadable(folder / variable.lower(), error))
    return Credentials(
        folder=folder,
        values={variable: text for variable, text in found.items() if text},
        problems=tuple(problems),
        unused=tuple(variable for variable, text in found.items() if text and variable in values),
    )


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> str:
    # What is in the file may be the token all the same: the codec's error shows a part of it.
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
    return f"the credential {path} cannot be read ({why}); expected a file with the token alone"
