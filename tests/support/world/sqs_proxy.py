"""Between the worker and SQS: entries of its batches fail, as the real one's do and moto's do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from world.aws_proxy import AwsProxy


@dataclass(frozen=True, kw_only=True)
class EntryFault:
    """Entries of a batch call that fail: those for which `strikes` says so."""

    action: str  #: such as `SendMessageBatch`
    strikes: Callable[[dict[str, Any]], bool]
    code: str
    is_senders: bool  #: SQS would refuse the same entry for ever


class SqsProxy(AwsProxy):
    """Hands everything on, but for the entries that are to fail."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.faults: list[EntryFault] = []
        #: What was called, and the ids of the entries that failed.
        self.failed: list[tuple[str, str]] = []

    def answer(self, action: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        call = json.loads(body)
        failed = [self._failure(action, entry) for entry in call.get("Entries", ())]
        if not any(failed):
            return self.pass_on(body, headers)
        self.failed += [(action, str(failure["Id"])) for failure in failed if failure]
        call["Entries"] = [
            entry for entry, failure in zip(call["Entries"], failed, strict=True) if not failure
        ]
        status, answer = self.pass_on(json.dumps(call).encode(), headers) if call["Entries"] else (200, b"{}")
        facts = json.loads(answer)
        facts["Failed"] = [*facts.get("Failed", ()), *filter(None, failed)]
        return status, json.dumps(facts).encode()

    def _failure(self, action: str, entry: dict[str, Any]) -> dict[str, Any] | None:
        for fault in self.faults:
            if fault.action == action and fault.strikes(entry):
                return {"Id": entry["Id"], "Code": fault.code, "SenderFault": fault.is_senders}
        return None
