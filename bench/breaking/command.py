"""The command: its options, and the run that breaks things at random."""

import argparse
import json
import secrets
import threading
from collections.abc import Sequence

from bench.breaking import scenarios, stage
from bench.breaking.plan import Fault, plan
from bench.breaking.trial import Trial, judged


def main(argv: Sequence[str]) -> int:
    """Break, let settle, check. Returns 0 only if everything holds."""
    options = _parser().parse_args(argv)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    faults = plan(seed, options.minutes, stage.part_names(), options.only)
    if options.plan:
        for fault in faults:
            print(json.dumps(fault.told()))
        return 0
    print(f"seed {seed}", flush=True)
    if options.scenario:
        scenario = scenarios.BY_NAME[options.scenario]
        return judged(options, seed, scenario.act, settings=scenario.settings)
    return judged(options, seed, lambda trial: at_random(trial, faults))


def at_random(trial: Trial, faults: Sequence[Fault]) -> None:
    """Carry out the plan under uploads at a steady rate."""
    options, breaker = trial.options, trial.scene.breaker
    trial.tell(f"{len(faults)} faults in {options.minutes:g} minutes, {options.rate:g} uploads a second")
    breaking = threading.Thread(target=breaker.follow, args=(faults,), name="faults")
    breaking.start()
    try:
        trial.people.send(options.rate, options.minutes * 60)
    finally:
        breaking.join()
    trial.healed_at = breaker.last_ended
    trial.tell(f"the last fault is over; {len(trial.people.accounts)} uploads")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/chaos.py", description="Break the stack, and see what is lost.")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long it is broken (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the plan and the uploads (default: random, and printed)")
    parser.add_argument("--owners", type=int, default=6, help="how many people send (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=2.0, help="uploads a second (default: %(default)s)")
    parser.add_argument("--plan", action="store_true", help="print the plan of faults, and do nothing")
    parser.add_argument("--only", default="", help="only faults in whose words this stands, such as 'stall postgres'")
    parser.add_argument("--keep", action="store_true", help="keep the stack's folder even if all is well")
    parser.add_argument("--scenario", choices=sorted(scenarios.BY_NAME), help="break one thing in one way instead")
    return parser
