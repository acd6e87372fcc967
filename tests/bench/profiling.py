"""`python -m tests.bench profile`: where the worker's time goes, sampled by py-spy (`pip install py-spy`)."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .arena import Arena, BenchFailed
from .certificates import make_certificates
from .contestants import OURS, cores
from .runs import CONCURRENCY, WARM_UP

#: Samples a second.
_RATE: Final = 250

#: Lines of each list.
_LINES: Final = 40


def profile_worker(options: argparse.Namespace) -> int:
    """Sample steady cycles, one at a time, answered one by one, and a flood; write lists into a folder."""
    options.output.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, cores()[1])
    works: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "cycles": ("cycles", {"count": options.cycles, "concurrency": CONCURRENCY}),
        "alone": ("cycles", {"count": options.cycles // 5, "concurrency": 1}),
        "answered": ("clicks", {"count": options.cycles, "interval": 0}),
        "flood": ("flood", {"count": options.flood}),
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        certificates = make_certificates(Path(folder))
        for name, (word, arguments) in works.items():
            with Arena(OURS, certificates) as arena:
                arena.start()
                arena.order("cycles", count=WARM_UP, concurrency=CONCURRENCY)
                stacks = options.output / f"{name}.stacks"
                seconds = _sampled(arena, stacks, word, arguments)
            text = "\n".join(_lists(stacks.read_text(encoding="utf-8").splitlines()))
            (options.output / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
            print(f"{name}: {seconds:.2f} s of processor\n{text}\n")
    return 0


def _sampled(arena: Arena, stacks: Path, word: str, arguments: Mapping[str, Any]) -> float:
    """Do some work under py-spy; return the seconds of processor that it took the worker.

    Only who holds the interpreter is sampled: a thread that waits for a job would count as busy otherwise.
    """
    sampler = subprocess.Popen(  # noqa: S603 - found by its name
        [
            *(_py_spy(), "record", "--gil", "--format", "raw", "--rate", str(_RATE)),
            *("--output", str(stacks), "--pid", str(arena.process.pid)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return arena.cpu_of(word, **arguments)
    finally:
        sampler.send_signal(signal.SIGINT)
        sampler.wait()


def _py_spy() -> str:
    places = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    found = shutil.which("py-spy", path=places)
    if found is None:
        raise BenchFailed("py-spy is not installed: pip install py-spy")
    return found


def _lists(stacks: list[str]) -> Iterator[str]:
    """Yield the functions that took most by themselves, and those that took most with all they called."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        functions = [re.sub(r":\d+\)$", ")", frame) for frame in frames.split(";")]
        own[functions[-1]] += int(count)
        for function in set(functions):
            whole[function] += int(count)
    for words, counts in (("by themselves", own), ("with all they call", whole)):
        yield f"  functions {words}"
        yield from (f"    {count / own.total():6.1%}  {name}" for name, count in counts.most_common(_LINES))
