"""Kills the server with SIGKILL at random moments under load, restarts it on the same file, and then looks for lies.

    python tests/crash/run.py [--kills 100] [--seed N] [--keep FOLDER]

Exit status 1 and the findings if anything that was acknowledged is lost, doubled or unlawful. SIGKILL leaves the page
cache alone: that the disk has it too is shown by `test_sync.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from perdure.admin.check import check
from perdure.api import history as api
from perdure.api import workflowservice as rpc
from perdure.store.inspect import inspect
from tests.crash.caller import NAMESPACE
from tests.crash.checker import attributes_of, audit
from tests.crash.kin import KinLoad
from tests.crash.kin_checker import judge as judge_family
from tests.crash.load import Load, result_of
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc

UP_S_MAX: Final = 0.7
"""A server lives for a random time below this before it is killed."""
KILLED_EARLY_SHARE: Final = 0.1
"""Servers that are killed before they have opened their file, or while they do."""
EARLY_S_MAX: Final = 0.3
CLIENTS: Final = 12
POLLERS: Final = 4
KIN_CLIENTS: Final = 3
PAGE_SIZES: Final = (0, 1, 7)
OURS: Final = "WorkflowType = 'Crash'"
CLOSED: Final = f"{OURS} AND ExecutionStatus = 'Completed'"


class Outcome(NamedTuple):
    """What a run found."""

    kills: int
    workflows: int
    families: int
    events: int
    answers: dict[str, int]
    restart_s_max: float
    findings: list[str]

    def __str__(self) -> str:
        answers = ", ".join(f"{code} {count}" for code, count in sorted(self.answers.items()))
        return (
            f"{self.kills} kills, {self.workflows} acknowledged workflows and {self.families} families "
            f"with {self.events} events; "
            f"slowest restart {self.restart_s_max:.2f} s; answers: {answers}; {len(self.findings)} findings"
        )


async def run(folder: Path, kills: int, seed: int, show: bool = False) -> Outcome:
    """Load, kill and restart, then audit what the server says and what its file holds."""
    dice = random.Random(seed)
    server = ServerProcess(folder / "stderr.log", folder / "state.db")
    restart_s = [server.start()]
    load = Load(server.port, seed, CLIENTS, POLLERS)
    kin = KinLoad(server.port, seed + 1, KIN_CLIENTS)
    try:
        load.begin()
        kin.begin()
        for kill in range(1, kills + 1):
            await asyncio.sleep(dice.uniform(0.0, UP_S_MAX))
            server.kill()
            if dice.random() < KILLED_EARLY_SHARE:
                server.spawn()
                await asyncio.sleep(dice.uniform(0.0, EARLY_S_MAX))
                server.kill()
            server.spawn()
            restart_s.append(await asyncio.to_thread(server.await_banner))
            if (error := load.failed() or kin.failed()) is not None:
                raise error
            if show:
                print(f"\r{kill}/{kills} kills, {len(load.acknowledged)} workflows ", end="", flush=True)
        await asyncio.gather(load.finish(), kin.finish())
        findings, events = await judge(load)
        kin_findings, kin_events = await judge_kin(kin)
        findings += kin_findings
        findings += await phantoms(server.port, load)
        if "Traceback" in server.errors():
            findings.append("the server wrote a traceback: " + server.errors()[-2000:])
        server.stop()
        with inspect(str(folder / "state.db")) as store:
            findings += check(store).problems
    finally:
        await load.close()
        await kin.close()
        server.__exit__(None, None, None)
    answers = dict(load.answers + kin.answers)
    workflows = len(load.acknowledged)
    return Outcome(kills, workflows, len(kin.families), events + kin_events, answers, max(restart_s), findings)


async def judge(load: Load) -> tuple[list[str], int]:
    """What is wrong with the histories, and how many events they have."""
    findings, count = list(load.violations), 0
    for number, (workflow_id, acknowledged) in enumerate(load.acknowledged.items()):
        events = await load.history(workflow_id, PAGE_SIZES[number % len(PAGE_SIZES)])
        count += len(events)
        findings += [f"{workflow_id}: {finding}" for finding in audit(events, acknowledged, result_of(events))]
    return findings, count


async def judge_kin(load: KinLoad) -> tuple[list[str], int]:
    """What is wrong between the chains of each family, and how many events they have."""
    findings, count = list(load.violations), 0
    for workflow_id, family in load.families.items():
        runs: dict[str, list[api.HistoryEvent]] = {}
        following = family.first_run_id
        while following:
            runs[following] = await load.history(workflow_id, 0, following)
            following = getattr(attributes_of(runs[following][-1]), "new_execution_run_id", "")
        for run_id in family.reset.run_ids if family.reset is not None else ():
            runs[run_id] = await load.history(workflow_id, 0, run_id)
        kid = await load.history(f"{workflow_id}-kid", 0)
        count += sum(map(len, (kid, *runs.values())))
        findings += [f"{workflow_id}: {finding}" for finding in judge_family(family, runs, kid)]
    return findings, count


async def phantoms(port: int, load: Load) -> list[str]:
    """B2, B23: the list shows each workflow that was started, once and closed, and no other."""
    listed: list[str] = []
    async with Rpc(port) as client:
        request = rpc.ListWorkflowExecutionsRequest(namespace=NAMESPACE, query=CLOSED)
        while True:
            reply = await client.call(request, rpc.ListWorkflowExecutionsResponse)
            listed += [execution.execution.workflow_id for execution in reply.executions]
            if not reply.next_page_token:
                break
            request.next_page_token = reply.next_page_token
        count = await client.call(
            rpc.CountWorkflowExecutionsRequest(namespace=NAMESPACE, query=OURS), rpc.CountWorkflowExecutionsResponse
        )
    findings = []
    if sorted(listed) != sorted(load.acknowledged):
        findings.append(f"B2, B23 listed {len(listed)} closed workflows of {len(load.acknowledged)}")
    if count.count != len(load.acknowledged):
        findings.append(f"B2, B23 counted {count.count} workflows of {len(load.acknowledged)}")
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=Path, help="a folder for the database and the log, which then stay")
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="perdure-crash-") as temporary:
        folder = arguments.keep or Path(temporary)
        outcome = asyncio.run(run(folder, arguments.kills, seed, show=True))
    print(f"\n{outcome}; {time.monotonic() - began:.0f} s")
    for finding in outcome.findings[:50]:
        print(finding)
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
