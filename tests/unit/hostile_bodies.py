"""Bodies and texts as an attacker, a broken program or bad luck may write them, drawn fast from one seed."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

from bot.triage.model import Confidence

#: What a text may do to whoever shows it.
PIECES = (
    "<!channel>", "<!here|you>", "<!subteam^S1>", "<@U0ADA>", "<#C1|general>",
    "<https://evil.example|your bank>",
    "<http://evil.example>", "<mailto:eve@evil.example|you>", "&lt;!channel&gt;", "&amp;lt;", "&", "<",
    ">", "<!", "<@",
    "https://evil.example", "*bold*", "_it_", "~no~", "`code`", "```", ":smile:", "{user}", "{summary}",
    "{0}", "%s",
    "\u202e", "\u2066", "\u2069", "\u200b", "\u200d", "\ufeff", "\u00ad", "\x00", "\x07", "\x1b[31m",
    "\x7f", "\x85",
    "\r\n", "\r", "\n", "\n\n\n", "\t", "\u2028", "\u2029", "\u00a0", "\u3000", "\ud800", "\udfff",
    "\ud83d\ude00",
    "\ue000", "\U000e0001", "\U000e0041", "\U0010ffff", "\ufffe", "\u0378", "e\u0301",
    "\u0301\u0301\u0301", "ﷺ", "ﬃ",
    "日本語", "עברית", "العربية", "🙂", "👩‍👩‍👧", "'; DROP TABLE question; --",
    '"', "\\", "\\u0000", "../../etc/passwd",
    "${HOME}", "{{7*7}}", "<img src=x onerror=alert(1)>", "-----BEGIN", "x" * 60, "&" * 40, "<" * 40,
    " " * 50,
)  # fmt: skip

#: Values of which no field should be made.
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**40, "", " ", "N/A", [], {}, ["ada@example.com"], {"email": "ada@example.com"},
    "x" * 255, "x" * 256, "é" * 255, "ada@example.com\n", "a@b", "a@b.c", "@", "ada@exämple.com",
    "lowest ", "LOWEST",
    "a" * 240 + "@example.com", "a" * 243 + "@example.com", "ada@example.com,eve@example.com", "\x00",
    "\ud800",
)  # fmt: skip

#: Bodies that are no request at all.
STRANGE = (
    "", " ", "null", "true", "0", '"text"', "[]", "{}", "[[[[", "{" * 5000, "[" * 100_000, "9" * 5000, "-",
    "NaN",
    '{"identifier": NaN}', '{"identifier": Infinity}', "\x00", "\ufeff{}", "e30=", "e30", "====",
    "A" * 999, "é" * 99,
    '{"identifier":"a","identifier":"b"}', '{"identifier":"\\ud800"}', "<xml/>", "\ud800",
    '{"user":"\\u0000"}',
)  # fmt: skip

#: The share of texts that are far too long: they take the most time.
LONG_SHARE = 0.01

TIMES = ("2026-11-24T03:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\ud800", None, 1)

FIELDS = ("identifier", "alert", "summary", "user", "identityConfidence")


class HostileBodies:
    """Draws one body, or one text, after another."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def draw(self) -> str:
        """Return a body: mostly JSON of the five fields with something done to it."""
        lot = self._dice.random()
        if lot < 0.05:
            return self._dice.choice(STRANGE)
        body = json.dumps(self._fields(), ensure_ascii=self._dice.random() < 0.5)
        if lot < 0.25:
            return self._damaged(body)
        if lot < 0.35:
            return base64.b64encode(body.encode(errors="replace")).decode()
        return body

    def text(self) -> str:
        """Return a text of hostile pieces, of any length from none to far too long."""
        pieces = self._dice.choices(PIECES, k=self._dice.choice((0, 1, 1, 2, 2, 3, 3, 5, 5, 8, 20)))
        pieces += [chr(self._dice.randrange(0x110000)) for _ in range(self._dice.choice((0, 0, 1, 5)))]
        self._dice.shuffle(pieces)
        return "".join(pieces) * (150 if self._dice.random() < LONG_SHARE else 1)

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "identifier": self._dice.choice(("9Zo02m4B7gIfixq3c4Xh", self.text()[:255] or "a")),
            "alert": self._dice.choice(("duo_bypass_codes_used", self.text()[:255] or "a")),
            "summary": self.text() or "a",
            "user": self._address(),
            "identityConfidence": self._dice.choice(list(Confidence)),
        }
        if self._dice.random() < 0.2:
            fields |= {"occurredAt": self._dice.choice(TIMES), "facts": self._facts()}
        if self._dice.random() < 0.3:
            fields[self._dice.choice(FIELDS)] = self._dice.choice(VALUES)
        if self._dice.random() < 0.1:
            del fields[self._dice.choice(FIELDS)]
        if self._dice.random() < 0.1:
            fields[self.text()[:50]] = self._dice.choice(VALUES)
        return fields

    def _facts(self) -> list[Any]:
        facts: list[Any] = [
            {"name": self.text()[:40], "value": self.text()} for _ in range(self._dice.choice((0, 1, 8, 9)))
        ]
        return [*facts, self._dice.choice(VALUES)]

    def _address(self) -> str:
        name = "".join(
            self._dice.choices("abcABC019.!#$%'*+/=?^_{|}~-", k=self._dice.choice((1, 5, 60, 235)))
        )
        return f"{name}@{self._dice.choice(('example.com', 'a.b.c.example.org', 'x-y.example'))}"

    def _damaged(self, body: str) -> str:
        """Cut, double or swap some characters, as a bad wire does."""
        start = self._dice.randrange(len(body))
        end = min(len(body), start + self._dice.choice((1, 1, 3, 50)))
        middle = self._dice.choice(
            ("", body[start:end] * 2, self._dice.choice(PIECES), body[start:end][::-1])
        )
        return body[:start] + middle + body[end:]
