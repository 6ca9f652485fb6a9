"""The command line of the crash programs that tell only what they found: how many kills, and of which seed."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

Run = Callable[[Path, int, int], Coroutine[Any, Any, list[str]]]
"""In a folder, with so many kills, of that seed; the findings."""


def main(run: Run, subject: str, description: str | None) -> int:
    """Run as the command line says and print what was found; the exit status. `subject` is what was killed amid."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0] if description else None)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="perdure-crash-") as temporary:
        findings = asyncio.run(run(Path(temporary), arguments.kills, seed))
    print(f"{arguments.kills} kills, {subject}, {len(findings)} findings")
    for finding in findings:
        print(finding)
    return 1 if findings else 0
