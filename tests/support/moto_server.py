"""`python moto_server.py`: moto, which does one request after another, on a port that it prints.

It serves until its input ends.
"""

from __future__ import annotations

import sys
import threading

from bot.sandbox.aws_server import create_server

if __name__ == "__main__":
    server = create_server()
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
