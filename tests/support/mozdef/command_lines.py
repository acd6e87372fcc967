"""Lets a program be told what to do by lines of JSON, and answer each with another. On Python 3.6, too."""

import json
import signal
import sys
import traceback
from typing import Any, Callable, Dict

#: A command that takes longer ends the program, so that nobody waits for it for ever.
PATIENCE_SECONDS = 120


def serve(commands: Dict[str, Callable[..., Any]]) -> None:
    """Read `[name, {argument: value}]` until the end of standard input; write what the command returns."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what MozDef prints is no answer
    for line in sys.stdin:
        signal.alarm(PATIENCE_SECONDS)
        name, arguments = json.loads(line)
        try:
            answer = {"result": commands[name](**arguments)}
        except Exception:  # the caller raises it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        signal.alarm(0)
