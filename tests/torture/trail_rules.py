"""The rules about what can be proved: the reports of an alert are one chain of hashes. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .case import Case, without_repeats
from .promises import Findings, Promise

#: Stands for the hash before where that is lost.
_UNKNOWN = "unknown"


def chain(case: Case) -> Findings:
    """Judge that each report has the hash of what it says, and names that of the report before.

    After a restore the worker may not know what it reported, and says so; never does it name another report.
    """
    before = ""
    for receipt in without_repeats(case.receipts):
        told = json.loads(receipt.sent.body)["details"]["triagebot"]
        if told.get("hash") != hash_of(receipt.identifier, told):
            yield Promise.UNPROVED, f"sequence {receipt.sequence} has not the hash of what it says"
        previous = told.get("previous", "")
        if previous not in (before, _UNKNOWN) and not case.restored_at:
            yield Promise.UNPROVED, f"sequence {receipt.sequence} follows {previous!r}, not {before!r}"
        before = told.get("hash", "")


def hash_of(identifier: str, told: dict[str, Any]) -> str:
    """Return the hash that a report must have."""
    covered = {name: value for name, value in told.items() if name != "hash"}
    canonical = json.dumps(
        {"identifier": identifier, "triagebot": covered}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()
