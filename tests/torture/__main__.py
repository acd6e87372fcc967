"""`python -m tests.torture`: run, print the table, exit 1 if a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .fast_clock import PACE, SHARED_PACE
from .options import Options
from .sabotage import FACTOR_SABOTAGES
from .summary import render
from .trial import Trial


def main() -> int:
    """Run one trial; its folder (log and store) is kept where a promise was broken, or where it is named."""
    options, named = parse(sys.argv[1:])
    folder = named or Path(tempfile.mkdtemp(prefix="torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    print("$ python -m tests.torture " + shlex.join(sys.argv[1:]), flush=True)
    result = asyncio.run(Trial(options, folder).run())
    print(render(result))
    print(f"log and store: {folder}")
    return 1 if result.violations else 0


def parse(arguments: Sequence[str]) -> tuple[Options, Path | None]:
    """Return what these arguments say, and the folder if they name one."""
    parser = _parser()
    options = parser.parse_args(arguments)
    options.store = options.store or ("sqlite" if options.workers == 1 else "dynamodb")
    options.pace = options.pace or (PACE if options.store == "sqlite" else SHARED_PACE)
    if options.workers > 1 and options.store == "sqlite":
        parser.error("a SQLite store has one worker: --store dynamodb")
    wanted = {name: value for name, value in vars(options).items() if name != "folder"}
    return Options(**wanted), options.folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="stop killing after this many minutes")
    parser.add_argument(
        "--workers",
        type=int,
        choices=range(1, 5),
        default=1,
        help="how many share a table; every second one of them is killed; each has two of eight links",
    )
    parser.add_argument(
        "--store", choices=("sqlite", "dynamodb"), help="sqlite for one worker, else dynamodb"
    )
    parser.add_argument(
        "--dynamodb",
        metavar="URL",
        default="",
        help="a local DynamoDB that runs already, instead of a table in memory",
    )
    parser.add_argument(
        "--pace",
        type=float,
        help=f"seconds of the torture's time in one of ours: {PACE:g} for SQLite, else {SHARED_PACE:g}",
    )
    parser.add_argument("--fifo", action="store_true", help="the response queue is a FIFO queue")
    parser.add_argument("--factor", action="store_true", help="let some alerts need a second factor")
    parser.add_argument("--flood", action="store_true", help="let people have few questions open")
    parser.add_argument("--busy", action="store_true", help="judge a machine that has other work mildly")
    parser.add_argument("--without-look-up", action="store_true", help="break the worker: never look up")
    parser.add_argument("--outbox-after-ack", action="store_true", help="break it: report in a second step")
    parser.add_argument(
        "--sabotage", choices=FACTOR_SABOTAGES, default="", help="break its second factor: see --factor"
    )
    parser.add_argument("--folder", type=Path, help="where log and store are kept")
    parser.add_argument("--log-level", default="INFO")
    return parser


if __name__ == "__main__":
    sys.exit(main())
