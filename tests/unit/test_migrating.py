"""What `triage-bot migrate` shows of two stores."""

from __future__ import annotations

import argparse
import json

from bot.cli.output.migration import render_result
from bot.store.migration.inventory import Comparison, Count
from bot.store.migration.migrate import MigrationResult


def comparison(kind: str, rows: int, file: str, table: str) -> Comparison:
    return Comparison(
        kind=kind, source=Count(rows=rows, checksum=file), target=Count(rows=rows, checksum=table)
    )


EQUAL = comparison("reports sent", 1234, "ab" * 32, "ab" * 32)
NOTHING = comparison("reports parked", 0, "0" * 64, "0" * 64)
DIFFERENT = comparison("questions asked", 2, "cd" * 32, "ef" * 32)


def shown(*comparisons: Comparison, differs: str | None, as_json: bool = False) -> str:
    options = argparse.Namespace(target="dynamodb://questions", json=as_json)
    return render_result(MigrationResult(comparisons=comparisons, differs=differs), options)


def test_equal_stores_are_shown_with_what_comes_next() -> None:
    assert shown(EQUAL, NOTHING, differs=None).splitlines() == [
        "KIND            FILE   TABLE  CHECKSUM OF FILE  CHECKSUM OF TABLE",
        "reports sent    1,234  1,234  abababababababab  abababababababab   equal",
        "reports parked  0      0      -                 -                  equal",
        "Everything matches. Set STORE_URL=dynamodb://questions, and never start a worker on the file again.",
    ]


def test_as_many_rows_of_another_content_are_different_and_programs_get_the_whole_checksums() -> None:
    line = "questions asked  2     2      cdcdcdcdcdcdcdcd  efefefefefefefef   DIFFERENT"
    assert shown(DIFFERENT, differs="9Zo02m4B7gIfixq3c4Xh").endswith(line)

    file, table = {"rows": 2, "checksum": "cd" * 32}, {"rows": 2, "checksum": "ef" * 32}
    assert json.loads(shown(DIFFERENT, differs="x", as_json=True)) == [
        {"kind": "questions asked", "equal": False, "file": file, "table": table}
    ]
