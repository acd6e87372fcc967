"""Pads the free values of a report so that MozDef does not mistake them for trigger words.

If any key or value of an event is a plugin's trigger word (`ldap`, `sshd`, `nagios_hostname` ...), in upper
or lower case, MozDef passes the event to that plugin, which may alter or drop it. No trigger word contains
white space, so a value without any is sent with a trailing space, which the reader of a body removes.
"""

from __future__ import annotations

from bot.triage.outcomes import is_own

#: The alerts for which MozDef's own action sends requests.
MOZDEF_ALERTS = frozenset(
    {
        "sensitive_host_session",
        "duo_bypass_codes_used",
        "duo_bypass_codes_generated",
        "ssh_access_sign_releng",
    }
)


def pad_alert(label: str) -> str:
    """Return an alert's label, padded unless it is one of `MOZDEF_ALERTS`."""
    return label if label in MOZDEF_ALERTS else pad(label)


def pad_reason(reason: str) -> str:
    """Return the reason of an outcome, padded unless it is one of our own."""
    return reason if is_own(reason) else pad(reason)


def pad(value: str) -> str:
    """Return a value with a trailing space if it has no white space; an empty one stays empty."""
    return f"{value} " if _is_one_word(value) else value


def unpad(value: str) -> str:
    """Return `value` without the padding: the inverse of the other functions."""
    return value[:-1] if value.endswith(" ") and _is_one_word(value) else value


def _is_one_word(value: str) -> bool:
    return bool(value) and not any(letter.isspace() for letter in value.rstrip(" "))
