"""The bench: the real worker and what its user might have written instead, against the same stand-ins.

`python -m tests.bench --help`
"""

import sys
from pathlib import Path

# What tests share is imported by its own name, as pytest does it.
sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
