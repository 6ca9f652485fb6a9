"""Prints what a server does: `python -m tests.differential --only NAME --target 127.0.0.1:7233`.

For developers who want to see the real server's answer to a scenario. Without a target it starts a server of its own:
the real one, or Perdure with `--perdure`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .runner import by_settings, collect, run
from .servers import PERDURE, REAL, Server
from .wire import Connection

PARALLEL = 12


@contextmanager
def connected(target: str, perdure: bool, settings: tuple[str, ...]) -> Iterator[Connection]:
    """A connection to the target, or to a server started for this run."""
    if target:
        yield Connection(target)
        return
    program = PERDURE if perdure else REAL
    with tempfile.TemporaryDirectory() as folder, Server(program, Path(folder) / "server.log", settings) as server:
        yield Connection(server.target)


def main() -> int:
    """Run the chosen scenarios and print their transcripts. Status 1 when a name is unknown."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--only", default="", help="run scenarios whose name contains this")
    parser.add_argument("--target", default="", help="HOST:PORT of a running server")
    parser.add_argument("--perdure", action="store_true", help="without --target: start Perdure, not Temporal")
    parser.add_argument("--list", action="store_true", help="print the names and their rules")
    options = parser.parse_args()
    chosen = {name: scenario for name, scenario in collect().items() if options.only in name}
    if not chosen:
        print(f"no scenario has {options.only!r} in its name", file=sys.stderr)
        return 1
    if options.list:
        for name, scenario in chosen.items():
            print(f"{name}: {(scenario.__doc__ or '').strip().splitlines()[0]}")
        return 0
    for settings, names in by_settings(list(chosen)).items():
        with connected(options.target, options.perdure, settings) as connection, ThreadPoolExecutor(PARALLEL) as pool:
            runs = [pool.submit(run, chosen[name], name, connection) for name in names]
            for pending in runs:
                done = pending.result()
                print(f"==== {done.name} ({done.fields} fields)", *done.lines, "", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
