"""`make demo` tells its story to the end; without a terminal it prints lines and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.processes import child_environment

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
DEMO_S = 40.0
"""What a reader may be asked to wait."""


@pytest.mark.slow
def test_the_demo_ends_right() -> None:
    """The server is killed in it, and each step of the order ran once."""
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
        env=child_environment(),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(".")[0].strip() for line in lines] == [str(number) for number in range(1, len(lines) + 1)]
    assert "reserve 1x, charge 1x, pack 1x, ship 1x" in done.stdout
    assert "SIGKILL" in done.stdout
    assert done.stderr == ""
