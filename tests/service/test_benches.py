"""The benchmarks run, at a small size: their figures are read by people, on a quiet machine (`make bench`).

No figure is judged here: a timed test is red on a busy machine and says nothing on a quick one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]

BENCHES: Final = {
    "visibility": (["bench/visibility.py", "--n", "10000"], "10,000 executions"),
    "batch": (["-m", "bench.batch", "--workflows", "200"], "200"),
    "schedules": (["-m", "bench.schedules", "--idle", "200", "--firing", "5", "--seconds", "2"], "200"),
    "pauses": (["-m", "bench.pauses", "--only", "DescribeTaskQueue", "--above", "0"], "DescribeTaskQueue"),
    "update": (
        ["bench/compare.py", "--only", "update", "--alone", "--rounds", "1", "--scale", "0.1", "--idle", "0.1"],
        "update",
    ),
}
"""Arguments of the interpreter, and a word that its report must have."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_runs(name: str) -> None:
    arguments, word = BENCHES[name]

    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert word in done.stdout
