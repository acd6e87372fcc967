"""Free values of a report, written so that MozDef takes none of them for a word of its own.

MozDef hands an event in which any key or value, in whatever case, is a plugin's trigger word (`ldap`, `sshd`,
`nagios_hostname` ...) to that plugin, which may spoil or lose it. No trigger word has white space in it, so a
value without any goes out with one trailing space, and whoever reads a body takes it off again.
"""

from __future__ import annotations

from bot.triage.outcomes import is_own

#: The alerts that MozDef's own action asks about.
MOZDEF_ALERTS = frozenset(
    {
        "sensitive_host_session",
        "duo_bypass_codes_used",
        "duo_bypass_codes_generated",
        "ssh_access_sign_releng",
    }
)


def padded_alert(label: str) -> str:
    """Return an alert's label as it goes out."""
    return label if label in MOZDEF_ALERTS else padded(label)


def padded_reason(reason: str) -> str:
    """Return the reason of an outcome as it goes out."""
    return reason if is_own(reason) else padded(reason)


def padded(value: str) -> str:
    """Return a name or a note as it goes out; an empty one stays empty."""
    return f"{value} " if _is_one_word(value) else value


def unpadded(value: str) -> str:
    """Return what went out as `value` as it was before: the inverse of the others."""
    return value[:-1] if value.endswith(" ") and _is_one_word(value) else value


def _is_one_word(value: str) -> bool:
    return bool(value) and not any(letter.isspace() for letter in value.rstrip(" "))
