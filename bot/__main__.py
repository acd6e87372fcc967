"""`triage-bot`, and `python -m bot`."""

import gc
import signal
import sys


def main() -> int:
    """Run the command line. Ctrl-C ends the process at once while it is still loading its modules."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # it would scan the modules, which live as long as the process
    from bot.cli.parser import main as run

    gc.freeze()
    gc.enable()
    return run()


if __name__ == "__main__":
    sys.exit(main())
