"""The two programs of docs/without-mozdef.md, run as they stand there, with the real worker between them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from documents import code_blocks, document, section
from world import World, until
from world.worker import bare_environment

GUIDE = document("docs/without-mozdef.md")


def test_what_the_guide_sends_is_asked_and_what_it_reads_is_the_answer(
    create_world: Callable[..., World], tmp_path: Path
) -> None:
    world = create_world(**_settings())
    world.start()
    environment = {**world.settings, **bare_environment(tmp_path)}

    _run(_program("Send a request"), environment)
    [question] = until(world.slack.all_questions, what="the question is in Slack")
    world.slack.press(question, "notSure")
    with _running(_program("Read a report"), environment) as line_of:
        category, identifier, outcome, event_id = line_of().split()
        until(lambda: world.waiting(world.responses.url) == (0, 0), what="the report is deleted")

    [listed] = json.loads(world.worker.command("list", "--json").stdout)
    assert (category, identifier, outcome) == ("triagebot", listed["identifier"], "notSure")
    [report] = world.known_row(identifier)["reports"]
    assert (report["eventId"], report["response"]) == (event_id, "notSure")


def test_each_program_has_about_ten_lines() -> None:
    lengths = [len(_program(chapter).splitlines()) for chapter in ("Send a request", "Read a report")]

    assert max(lengths) <= 12


def _settings() -> dict[str, str]:
    """Return the settings that the guide gives."""
    [text] = (text for language, text in code_blocks(GUIDE) if language == "ini")
    return dict(line.split("=", 1) for line in text.splitlines())


def _program(chapter: str) -> str:
    [text] = (text for language, text in code_blocks(section(GUIDE, chapter)) if language == "python")
    return text


def _run(program: str, environment: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)  # noqa: S603 - the guide's


@contextmanager
def _running(program: str, environment: Mapping[str, str]) -> Iterator[Callable[[], str]]:
    """Run a program that never ends; yield what returns its next line."""
    with subprocess.Popen(  # noqa: S603 - the guide's
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline
        finally:
            process.kill()
