"""Perdure beside Temporal's dev server: the same load, both on a database file, in turn, on this machine, in one run.

    python bench/compare.py [--rounds 2] [--scale 1.0] [--only oneact seqact] [--alone]

The servers take turns within each scenario, so that what else the machine does falls on both. Printed are a table with
ratios, then StartWorkflowExecution's latency at half of Perdure's load, memory, and what an idle Perdure does.
Figures are the best round's: the machine's noise only ever slows things down.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from driver import cpu_and_rss
from servers import Server, drive

PORTS: Final = {"perdure": 17233, "temporal": 17333}
IDLE_S: Final = 10.0
SETTLE_S: Final = 3.0
LIST_FIGURES: Final = ("list_page_p50_ms", "list_filter_p50_ms", "count_group_p50_ms")


class Scenario(NamedTuple):
    """What the driver is asked for; the reference, being slow, gets a part of the operations."""

    name: str
    n: int
    warm: int
    c: int
    reference_share: float


SCENARIOS: Final = (
    Scenario("oneact", 2000, 200, 20, 0.1),
    Scenario("seqact", 100, 10, 1, 0.2),
    Scenario("start", 4000, 200, 20, 0.1),
    Scenario("signal1", 4000, 200, 20, 0.2),
    Scenario("signaln", 4000, 200, 20, 0.2),
    Scenario("update", 2000, 200, 20, 0.1),
    Scenario("list", 1, 0, 1, 1.0),
)


def best(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of throughputs the highest round, of list latencies the lowest of each."""
    if "per_s" in rounds[0]:
        return max(rounds, key=lambda figures: float(figures["per_s"]))
    return {name: min(float(figures[name]) for figures in rounds) for name in LIST_FIGURES}


def measure(scenario: Scenario, servers: Sequence[Server], rounds: int, scale: float) -> dict[str, dict[str, Any]]:
    """The best figures of each server, by its kind; they take turns."""
    found: dict[str, list[dict[str, Any]]] = {server.kind: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            share = scale * (1.0 if server.kind == "perdure" else scenario.reference_share)
            n, warm = max(1, int(scenario.n * share)), int(scenario.warm * share)
            found[server.kind].append(drive(server, scenario.name, n=n, warm=warm, c=scenario.c))
    return {kind: best(figures) for kind, figures in found.items()}


def ratio(ours: float, theirs: float | None) -> str:
    return f"{ours / theirs:8.1f}x" if theirs else f"{'-':>9}"


def print_scenario(scenario: Scenario, figures: dict[str, dict[str, Any]]) -> None:
    """A row of the table, or three for the lists."""
    ours, theirs = figures["perdure"], figures.get("temporal", {})
    if "per_s" not in ours:
        for name in LIST_FIGURES:
            mine, other = float(ours[name]), theirs.get(name)
            shown = f"{other:9.2f}" if other else f"{'-':>9}"
            print(f"{name.removesuffix('_p50_ms'):<12} p50 ms{'':9}{mine:9.2f} {shown} {ratio(other or 0.0, mine)}")
        return
    for label, name, inverse in (
        ("per s", "per_s", False),
        ("per CPU s", "per_cpu_s", False),
        ("p50 ms", "p50_ms", True),
        ("p99 ms", "p99_ms", True),
    ):
        mine, other = float(ours.get(name, 0.0)), theirs.get(name)
        shown = f"{other:9.1f}" if other else f"{'-':>9}"
        better = (ratio(other, mine) if other else ratio(1.0, None)) if inverse else ratio(mine, other)
        first = f"{scenario.name} -c {scenario.c}" if name == "per_s" else ""
        print(f"{first:<16} {label:<10} {mine:9.1f} {shown} {better}", flush=True)


def print_start_latency(server: Server, rate: float, scale: float) -> None:
    """Open loop at half of what the closed loop reached."""
    figures = drive(server, "start", n=max(50, int(scale * 4 * rate / 2)), warm=100, c=20, rate=rate / 2)
    p50, p99 = figures["p50_ms"], figures["p99_ms"]
    print(f"StartWorkflowExecution at half load ({rate / 2:.0f}/s): p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)


def counters(pid: int) -> dict[str, int]:
    """Read and write system calls and wake-ups of a process so far, all its threads; empty without /proc."""
    found = {"syscr": 0, "syscw": 0, "wake_ups": 0}
    try:
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for line in (thread / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    found["wake_ups"] += int(line.rpartition(":")[2])
    except OSError:
        return {}
    return found


def print_idle(server: Server, seconds: float) -> None:
    """What a server does when nobody asks it for anything. A query would show as reads, or at least as a wake-up."""
    time.sleep(SETTLE_S)
    before, (cpu_before, _) = counters(server.pid), cpu_and_rss(server.pid)
    time.sleep(seconds)
    after, (cpu_after, rss) = counters(server.pid), cpu_and_rss(server.pid)
    done = {name: after[name] - before[name] for name in after}
    print(
        f"idle {server.kind}: RSS {rss:.0f} MB; in {seconds:.0f} s {cpu_after - cpu_before:.2f} s of CPU, "
        f"{done.get('syscr', 0)} read and {done.get('syscw', 0)} write calls, "
        f"{done.get('wake_ups', 0)} wake-ups",
        flush=True,
    )


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """All of it, on databases in `folder`."""
    kinds = ("perdure",) if arguments.alone else ("perdure", "temporal")
    with_idle = Server("perdure", PORTS["perdure"], folder / "idle.db")
    try:
        print_idle(with_idle, arguments.idle)
    finally:
        with_idle.stop()
    servers: list[Server] = []
    try:
        servers += [Server(kind, PORTS[kind], folder / f"{kind}.db") for kind in kinds]
        driver = os.environ.get("PERDURE_BENCH_DRIVER") or "bench/driver.py"
        where = "on the same machine, servers on a file"
        print(f"\n{os.cpu_count()} cores, driver {driver} {where}, best of {arguments.rounds}")
        print(f"{'scenario':<16} {'':<10} {'perdure':>9} {'temporal':>9} {'better':>9}", flush=True)
        starts_per_s = 0.0
        for scenario in SCENARIOS:
            if not arguments.only or scenario.name in arguments.only:
                figures = measure(scenario, servers, arguments.rounds, arguments.scale)
                print_scenario(scenario, figures)
                if scenario.name == "start":
                    starts_per_s = float(figures["perdure"]["per_s"])
        print()
        if starts_per_s:
            print_start_latency(servers[0], starts_per_s, arguments.scale)
        for server in servers:
            print_idle(server, arguments.idle)
    finally:
        for server in servers:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2, help="how often each scenario is run on each server")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the operations")
    parser.add_argument("--only", nargs="*", default=(), choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--alone", action="store_true", help="leave the real server out")
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds of watching idle servers")
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        run(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
