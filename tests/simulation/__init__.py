"""The simulation: the real program on a virtual clock, so that what it finds can be found again.

`python -m tests.simulation --seed 1`: one run of 30 alerts and 3 lives. The same seed
writes the same log in every process. `--seeds 1000` tries a thousand seeds, from that one on.
`--ci` derives its seeds from the source, so each change of the source tries others. The slow
tests run the seeds that once failed.
"""

import sys
from pathlib import Path

# The torture beside it, whose rules and stand-ins it shares, is imported by its own name: as pytest does it.
sys.path.append(str(Path(__file__).resolve().parents[1]))
