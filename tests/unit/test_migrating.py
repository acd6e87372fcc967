"""What `triage-bot migrate` shows of two stores."""

from __future__ import annotations

import argparse
import json

from bot.cli.output.migration import render_result
from bot.store.migration.inventory import Comparison, Count
from bot.store.migration.migrate import MigrationResult

EQUAL = Comparison(
    kind="reports sent",
    source=Count(rows=1234, checksum="ab" * 32),
    target=Count(rows=1234, checksum="ab" * 32),
)
NOTHING = Comparison(
    kind="reports parked",
    source=Count(rows=0, checksum="0" * 64),
    target=Count(rows=0, checksum="0" * 64),
)
DIFFERENT = Comparison(
    kind="questions asked",
    source=Count(rows=2, checksum="cd" * 32),
    target=Count(rows=2, checksum="ef" * 32),
)


def options(*, as_json: bool = False) -> argparse.Namespace:
    return argparse.Namespace(target="dynamodb://questions", json=as_json)


def test_equal_stores_are_shown_with_what_comes_next() -> None:
    verdict = MigrationResult(comparisons=[EQUAL, NOTHING], differs=None)

    assert render_result(verdict, options()).splitlines() == [
        "KIND            FILE   TABLE  CHECKSUM OF FILE  CHECKSUM OF TABLE",
        "reports sent    1,234  1,234  abababababababab  abababababababab   equal",
        "reports parked  0      0      -                 -                  equal",
        "Everything matches. Set STORE_URL=dynamodb://questions, and never start a worker on the file again.",
    ]


def test_as_many_rows_of_another_content_are_different() -> None:
    verdict = MigrationResult(comparisons=[DIFFERENT], differs="9Zo02m4B7gIfixq3c4Xh")

    shown = render_result(verdict, options())

    assert shown.endswith("questions asked  2     2      cdcdcdcdcdcdcdcd  efefefefefefefef   DIFFERENT")


def test_programs_get_the_whole_checksums() -> None:
    shown = json.loads(
        render_result(MigrationResult(comparisons=[DIFFERENT], differs="x"), options(as_json=True))
    )

    assert shown == [
        {
            "kind": "questions asked",
            "equal": False,
            "file": {"rows": 2, "checksum": "cd" * 32},
            "table": {"rows": 2, "checksum": "ef" * 32},
        }
    ]
