"""`python -m tests.differential.fuzz`: the same random stories on Temporal's dev server and on Perdure.

Prints each seed whose stories differ, with the fewest steps that show it. `--seed N` tells one story.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from ..servers import PERDURE, REAL, Server
from ..wire import Connection
from .hunt import Finding, Pair, hunt, shrink
from .plan import STEPS, Plan

PARALLEL = 6
"""Stories under way; they wait about as much as they compute."""


def main() -> int:
    """Hunt, shrink and print. Status 1 when two stories differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.fuzz", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds")
    parser.add_argument("--first", type=int, default=int(time.time()) % 1_000_000, help="the first seed")
    parser.add_argument("--seed", type=int, help="one seed only, its story printed")
    parser.add_argument("--steps", help="with --seed: only these steps, as 0,3,7")
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument("--shrink", type=int, default=2, help="how many findings are shrunk; it takes a minute each")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(REAL, Path(folder) / "temporal.log") as real,
        Server(PERDURE, Path(folder) / "perdure.log") as ours,
    ):
        pair = Pair(Connection(real.target), Connection(ours.target))
        if options.seed is not None:
            steps = tuple(int(step) for step in options.steps.split(",")) if options.steps else tuple(range(STEPS))
            return tell_one(pair, Plan(options.seed, steps))
        return tell_many(pair, options)


def tell_one(pair: Pair, plan: Plan) -> int:
    """One story in full, and what differs."""
    real, ours = pair.tell(plan)
    print("\n".join(real.lines))
    if real.lines == ours.lines:
        return 0
    print("".join(f"{line}\n" for line in difference_of(pair, plan)))
    return 1


def difference_of(pair: Pair, plan: Plan) -> list[str]:
    """The difference, told again."""
    finding = pair.check(plan)
    return finding.difference.splitlines() if finding else ["told again, the stories agree"]


def tell_many(pair: Pair, options: argparse.Namespace) -> int:
    """Many stories; the shortest form of each that differs."""
    seeds = range(options.first, options.first + options.seeds)
    print(f"seeds {seeds.start} to {seeds.stop - 1}")

    def report(seed: int, finding: Finding | None) -> None:
        print("." if finding is None else f"\n{seed} differs\n{finding.difference}", end="", flush=True)

    began = time.monotonic()
    found = hunt(pair, seeds, options.parallel, report)
    print(f"\n{len(seeds) - len(found)} of {len(seeds)} seeds agree, {time.monotonic() - began:.0f} s")
    for number, finding in enumerate(found):
        show(shrink(pair, finding) if number < options.shrink else finding)
    return 1 if found else 0


def show(finding: Finding) -> None:
    """A difference, and how to see it again."""
    steps = ",".join(map(str, finding.plan.steps))
    print(
        f"\n==== seed {finding.plan.seed}: python -m tests.differential.fuzz --seed {finding.plan.seed} --steps {steps}"
    )
    print(*finding.verbs, sep="\n")
    print(finding.difference)


if __name__ == "__main__":
    sys.exit(main())
