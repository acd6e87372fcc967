"""`triage-bot`, and `python -m bot`."""

import signal
import sys


def main() -> int:
    """Run the command line. Ctrl-C ends the process at once while it is still loading its modules."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bot.cli.parser import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
