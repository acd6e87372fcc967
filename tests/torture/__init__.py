"""The torture: the real worker is killed over and over while everything around it fails, and then judged.

`python -m tests.torture --kills 1000 --alerts 10000 --seed 1`: one worker and its SQLite file.
`python -m tests.torture --workers 3 --kills 1000 --alerts 10000 --seed 1`: three that share a table, of
which one is killed each second. `--factor`: some alerts need a second factor.
`--flood`: people may have few questions open.
"""

import sys
from pathlib import Path

# What tests share is imported by its own name, as pytest does it.
sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
