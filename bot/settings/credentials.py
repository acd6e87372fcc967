"""Secrets that systemd passes as files in a folder (see Credentials in systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Variables that may also be credentials. The file's name is the variable's in lower case.
SECRET_VARIABLES = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "FACTOR_CLIENT_SECRET", "FACTOR_CLIENT_KEY")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """The credentials in the folder. `values` are by variable, without empty and missing files."""

    folder: Path | None = None  #: None: there is none
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    problems: tuple[str, ...] = ()  #: a sentence for each file that cannot be read
    unused: tuple[str, ...] = ()  #: variables whose credential is ignored, because they are set elsewhere


def read_credentials(folder: Path | None, values: Mapping[str, str]) -> Credentials:
    """Return the credentials in a folder; None: there is none.

    `values` are the variables that are set: they take precedence over a credential. Raises nothing:
    unreadable files are among the `problems`.
    """
    if folder is None:
        return Credentials()
    found, problems = {}, []
    for variable in SECRET_VARIABLES:
        try:
            found[variable] = (folder / variable.lower()).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            # A codec's error shows part of the file, which may be the token.
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            path = folder / variable.lower()
            expected = "a file that contains only the secret"
            if isinstance(error, PermissionError):
                expected = "a user who may read it: run the command with sudo"
            problems.append(f"the credential {path} cannot be read ({why}); expected {expected}")
    return Credentials(
        folder=folder,
        values={variable: text for variable, text in found.items() if text},
        problems=tuple(problems),
        unused=tuple(variable for variable, text in found.items() if text and variable in values),
    )
