"""This checkout beside another, in the same run: the measure of "no throughput lost".

    python bench/trees.py CHECKOUT [--only start oneact] [--rounds 3] [--scale 1.0]
    python bench/trees.py CHECKOUT --instructions [--only start oneact]

The other checkout has a virtual environment of its own (`make setup` there). Both servers are up, each on a SQLite file
with `synchronous=FULL`, and the driver turns to one after the other, so that what disturbs the machine disturbs both.
`--instructions` counts the instructions of the whole server with cachegrind instead (valgrind must be there): the
difference between a run of many and of few. A noisy machine does not move that figure by more than a hundredth or two.

PERDURE_BENCH_DRIVER names another driver (see `servers.py`); both servers meet the same one.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
from pathlib import Path
from typing import Final

from instructions import cachegrind, references
from servers import Server, drive

HERE: Final = Path(__file__).resolve().parents[1]
WORK: Final = {"start": 3000, "oneact": 1500, "signal1": 4000, "signaln": 4000, "update": 2000}
WARM: Final = 200
CLIENTS: Final = 20
COUNTED: Final = 300
COUNTED_CLIENTS: Final = 10
FEW: Final = 20


def throughput(trees: dict[str, Path], scenarios: list[str], rounds: int, scale: float, folder: Path) -> None:
    """Rates and CPU of both, round by round."""
    servers = {name: _server(name, tree, folder) for name, tree in trees.items()}
    try:
        for scenario in scenarios:
            rates: dict[str, list[float]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, server in servers.items():
                    figures = drive(server, scenario, n=int(WORK[scenario] * scale), warm=WARM, c=CLIENTS)
                    rates[name].append(figures["per_s"])
                    print(scenario, name, f"{figures['per_s']}/s", f"per CPU second {figures['per_cpu_s']}", flush=True)
            ratio = statistics.median(rates["here"]) / statistics.median(rates["other"])
            print(f"{scenario}: this checkout makes {ratio:.2f} times as many (medians of {rounds})", flush=True)
    finally:
        for server in servers.values():
            server.stop()


def instructions(trees: dict[str, Path], scenarios: list[str], folder: Path) -> None:
    """Millions of instructions of the server for each item."""
    for name, tree in trees.items():
        _server(f"{name}-first", tree, folder).stop()  # the first run of a checkout compiles it
    for scenario in scenarios:
        counts = {name: _counted(name, tree, scenario, folder) for name, tree in trees.items()}
        shown = ", ".join([f"{name} {count / 1e6:.3f} M" for name, count in counts.items()])
        print(f"{scenario}: {shown}, {counts['here'] / counts['other']:.3f} times as many", flush=True)


def _counted(name: str, tree: Path, scenario: str, folder: Path) -> float:
    few, many = [_references(f"{name}-{scenario}-{n}", tree, scenario, n, folder) for n in (0, COUNTED)]
    return (many - few) / COUNTED


def _references(name: str, tree: Path, scenario: str, n: int, folder: Path) -> int:
    log = folder / f"{name}.log"
    valgrind = cachegrind("--cachegrind-out-file=/dev/null", f"--log-file={log}")
    python = str(tree / ".venv" / "bin" / "python")
    server = _server(name, tree, folder, (*valgrind, python))
    try:
        drive(server, scenario, n=FEW + n, warm=50, c=COUNTED_CLIENTS)
    finally:
        server.stop()
    return references(log.read_text(encoding="utf-8"))


def _server(name: str, tree: Path, folder: Path, before: tuple[str, ...] = ()) -> Server:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = (*before, str(tree / ".venv" / "bin" / "perdure"))
    return Server("perdure", port, folder / f"{name}.db", program=program)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--instructions", action="store_true")
    arguments = parser.parse_args()
    trees = {"other": arguments.other.resolve(), "here": HERE}
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        if arguments.instructions:
            instructions(trees, arguments.only, Path(folder))
        else:
            throughput(trees, arguments.only, arguments.rounds, arguments.scale, Path(folder))


if __name__ == "__main__":
    main()
