"""Runs Temporal's own sdk-python suite against this server and compares with what Temporal's dev server passes.

    SDK_PYTHON=CHECKOUT python tests/conformance/run.py [--tier 1] [--jobs 2] [--select WORD ...]

The suite's runner and its baseline lie outside the repository, in `../shared/conformance` (or where
PERDURE_CONFORMANCE says), and the suite's sources are never committed: SDK_PYTHON names a checkout or a bare
repository of `temporalio/sdk-python`. What is prepared stays in a folder of the system's temporary directory, or in
PERDURE_CONFORMANCE_WORK. Exit status 1 when fewer than `--least` of the required cases pass.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT_S: Final = 30
LEAST: Final = 250
"""Of the tier-1 cases that Temporal's dev server passes, how many must pass here."""


def suite() -> Path:
    """The suite's runner. Exits with advice where there is none."""
    folder = Path(os.environ.get("PERDURE_CONFORMANCE") or ROOT.parent / "shared" / "conformance")
    script = folder / "sdk_python_suite.py"
    if not script.exists():
        raise SystemExit(f"no {script.name} in {folder}: set PERDURE_CONFORMANCE to the folder that has it")
    return script


def prepare(script: Path, work: Path) -> None:
    """Make the work folder, once."""
    if (work / "prepared.json").exists():
        return
    sources = os.environ.get("SDK_PYTHON")
    if not sources:
        raise SystemExit("set SDK_PYTHON to a checkout or a bare repository of temporalio/sdk-python")
    command = [sys.executable, str(script), "prepare", "--sdk-python", sources, "--work", str(work)]
    subprocess.run(command, check=True, env=environment())


def environment() -> dict[str, str]:
    """Ours, with byte code cached: the sandbox imports each test file anew for every worker."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def passed(results: Path, baseline: Path, tier: str) -> tuple[int, int]:
    """How many required cases pass, and how many are required."""
    with baseline.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    required = {row["node"] for row in rows if row["outcome"] == "passed" and tier in (row["tier"], "all")}
    with results.open(encoding="utf-8", newline="") as file:
        found = {row["node"] for row in csv.DictReader(file, delimiter="\t") if row["outcome"] == "passed"}
    return len(required & found), len(required)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tier", choices=("0", "1", "2", "3", "all"), default="1")
    parser.add_argument("--jobs", type=int, default=2, help="shards at a time; two suit two cores")
    parser.add_argument("--timeout", type=int, default=TIMEOUT_S, help="seconds per test")
    parser.add_argument("--least", type=int, default=LEAST, help="required cases that must pass")
    parser.add_argument("--select", nargs="+", default=[], metavar="WORD", help="files, node ids, or words for -k")
    arguments = parser.parse_args()
    script = suite()
    default_work = Path(tempfile.gettempdir()) / "perdure-conformance"
    work = Path(os.environ.get("PERDURE_CONFORMANCE_WORK") or default_work)
    prepare(script, work)
    results = work / "results.tsv"
    program = os.environ.get("PERDURE_PROGRAM") or str(Path(sys.executable).with_name("perdure"))
    command = [sys.executable, str(script), "run", "--work", str(work), "--dev-server", program, "--retry-failed"]
    command += ["--tier", arguments.tier, "--jobs", str(arguments.jobs), "--timeout", str(arguments.timeout)]
    command += ["--out", str(results), *(["--select", *arguments.select] if arguments.select else [])]
    subprocess.run(command, check=False, env=environment())
    compare = [sys.executable, str(script), "compare", "--results", str(results), "--tier", arguments.tier]
    subprocess.run([*compare, *(["--only-run"] if arguments.select else [])], check=False, env=environment())
    count, required = passed(results, script.with_name("sdk-python-baseline.tsv"), arguments.tier)
    print(f"{count} of {required} required cases of tier {arguments.tier} pass")
    return 0 if arguments.select or count >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
