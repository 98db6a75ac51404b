"""A minute of faults, as the seed has it: nothing is lost, doubled, out of order or left unexplained."""

import json
import random
import subprocess
import sys

import pytest

from devstack.places import ROOT

MINUTES = 1.0


@pytest.mark.all_only("breaks a stack of its own for a minute")
@pytest.mark.timeout(600)
def test_a_minute_of_random_faults_loses_nothing() -> None:
    seed = random.SystemRandom().randrange(10**6)
    again = [sys.executable, "bench/chaos.py", "--minutes", f"{MINUTES:g}", "--seed", str(seed)]
    print(" ".join(again))
    run = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, check=False, timeout=540)
    told = json.loads(run.stdout.splitlines()[-1]) if run.stdout.rstrip().endswith("}") else {}
    assert run.returncode == 0, f"seed {seed}\n{run.stdout[-6000:]}\n{run.stderr[-6000:]}"
    assert told["ok"]
    assert told["faults"] > 10, told
    assert told["uploads"] > 50, told
