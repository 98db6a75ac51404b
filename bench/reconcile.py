"""`python bench/reconcile.py [--versions N]`: what the queries of the reconciler and of the list of the stuck cost.

Where the environment names no servers it starts its own, as `python -m devstack run -- python -m bench.reconcile`
does. How it measures is in `bench.sweeping`.
"""

import os
import sys
from pathlib import Path

# Run as a file, it would find bench/audit where it wants audit.
ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)


def main(argv: list[str]) -> int:
    """Measure, with servers of its own if need be; return the exit code."""
    if "DATABASE_URL" in os.environ:
        from bench.sweeping import command

        return command.main(argv)
    from devstack import run

    os.environ["PYTHONPATH"] = str(ROOT)
    return run.main([sys.executable, "-m", "bench.reconcile", *argv], None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
