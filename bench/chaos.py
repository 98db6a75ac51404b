"""`python bench/chaos.py --minutes M --seed S`: break the stack at random, then see whether anything was lost.

Starts a stack of its own in a temporary folder, sends it documents of every kind, and meanwhile kills, freezes, empties
and fills whatever it is made of, by a plan that the seed decides (`--plan` prints it). Then it lets things settle and
checks every invariant from outside. The last line is one JSON object; the exit code is 0 only if everything holds.

`--scenario` breaks one thing in one way instead: `clamd-down`, `flushall`, `half-open`. How all this is done is in
`bench.breaking`.
"""

import sys
from pathlib import Path

# Run as a file, it would find bench/audit where it wants audit.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.breaking import command  # noqa: E402  (not to be found before)

if __name__ == "__main__":
    sys.exit(command.main(sys.argv[1:]))
