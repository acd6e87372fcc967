"""The command line of the bench."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .contestants import CONTESTANTS
from .measures import PARTS

#: Command → what `--quick` makes of it: everything is done, nothing is measured well.
_QUICKLY: Final[Mapping[str | None, Mapping[str, Any]]] = {
    None: {
        "rounds": 1,
        "cycles": 20,
        "flood": 20,
        "clicks": 5,
        "memory_cycles": 40,
        "idle_seconds": 0.5,
    },
    "growth": {"rounds": 1, "cycles": 20, "sizes": [0, 1000]},
    "workers": {"rounds": 1, "workers": 2, "requests": 10, "flood": 30, "limit": [20.0, 1.0]},
    "texts": {"texts": 20},
}


def read_options() -> argparse.Namespace:
    """Read the command line; exits 2 if it is wrong. `command` is None or one that `__main__` knows."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure the worker beside a plain Bolt app and the floor; 1: a promise is broken.",
    )
    commands = parser.add_subparsers(dest="command", title="other measurements")
    growth = commands.add_parser("growth", help="what many alerts in the store cost")
    workers = commands.add_parser("workers", help="what three workers on one table do")
    texts = commands.add_parser("texts", help="what hostile texts cost")
    profile = commands.add_parser("profile", help="where the worker's time goes, by py-spy")
    for each in (parser, growth, workers, texts):
        each.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    _add_comparison(parser)
    growth.add_argument("--sizes", type=int, nargs="+", default=[0, 10_000, 1_000_000], help="ascending")
    growth.add_argument("--rounds", type=int, default=3)
    growth.add_argument("--cycles", type=int, default=500, help="of a round")
    growth.add_argument("--folder", type=Path, help="where there is room for the stores (2 GB a million)")
    _add_workers(workers)
    texts.add_argument("--texts", type=int, default=1000)
    texts.add_argument("--seed", type=int, default=2026)
    profile.add_argument("--output", type=Path, default=Path("profile"), metavar="FOLDER")
    profile.add_argument("--cycles", type=int, default=2000)
    profile.add_argument("--flood", type=int, default=2000)
    options = parser.parse_args()
    if options.quick:
        vars(options).update(_QUICKLY.get(options.command, {}))
    return options


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    words = [*(each.name for each in CONTESTANTS), *PARTS]
    parser.add_argument("--only", action="append", choices=words, default=[], help="a contestant or a part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=1000, help="of a round")
    parser.add_argument("--flood", type=int, default=2000, help="requests at once")
    parser.add_argument("--clicks", type=int, default=200, help="timed, idle and in a flood")
    parser.add_argument("--memory-cycles", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=65.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the medians")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=3, help="that are measured beside one")
    parser.add_argument("--requests", type=int, default=100, help="for each worker, to see how many it asks")
    parser.add_argument("--concurrency", type=int, default=2, help="that each may have under way meanwhile")
    parser.add_argument("--flood", type=int, default=300, help="requests at once, for all of them together")
    parser.add_argument(
        "--limit",
        type=float,
        nargs=2,
        default=[100.0, 10.0],
        metavar=("MESSAGES", "SECONDS"),
        help="what Slack takes then",
    )
