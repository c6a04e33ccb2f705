"""Replay one seed, or run many: ``python -m tests.simulation.run --seed 7 --trace`` / ``--count 2000``.

With ``--mutation NAME`` one rule is broken, and a seed that notices it must fail."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.checker import Violation
from tests.simulation.mutations import MUTATIONS
from tests.simulation.node import SimulatedMachine
from tests.simulation.world import World

_MUTATIONS = {mutation.__name__: mutation for mutation in MUTATIONS}


def main() -> int:
    """Exit status 1 when a seed fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the (first) seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument(
        "--size", type=int, default=0, help="how many nodes, instead of what the seed decides"
    )
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument(
        "--mutation", choices=sorted(_MUTATIONS), metavar="NAME", help="a wrong machine of mutations.py"
    )
    arguments = parser.parse_args()
    machine = _MUTATIONS.get(arguments.mutation, SimulatedMachine)
    failed = []
    steps = applied = acknowledged = discarded = 0
    started = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        world = World(seed, machine, trace=arguments.trace, size=arguments.size)
        try:
            world.run()
        except Violation as violation:
            failed.append(seed)
            print(f"seed {seed}: {violation}")
        finally:
            steps += world.steps
            applied += sum(map(len, world.checker.held.values()))
            acknowledged += len(world.checker.acknowledged)
            discarded += world.checker.discarded_with_excuse
            if world.trace:
                print("\n".join(world.trace))
    seconds = time.monotonic() - started
    print(
        f"{arguments.count} seeds, {steps} steps, {applied} operations on disks at the end,"
        f" {acknowledged} acknowledged, {discarded} discarded with an excuse, {seconds:.1f} s;"
        f" failed: {failed or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
