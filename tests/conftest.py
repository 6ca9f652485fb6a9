"""Shared settings of all tests: property tests are reproducible and print what to repeat them with.

The seed is `PERDURE_TEST_SEED` (an int; by default a fixed one), printed in the header of every run; the `seed` fixture
hands it out. No fixture here may start a server: those live beside the tests that need them.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

_SEED = int(os.environ.get("PERDURE_TEST_SEED", "20260101"))

settings.register_profile("perdure", deadline=None, derandomize="PERDURE_TEST_SEED" not in os.environ, print_blob=True)
settings.load_profile("perdure")


def pytest_report_header() -> str:
    """A line that says how to repeat this run."""
    return f"seed: PERDURE_TEST_SEED={_SEED}"


@pytest.fixture
def seed() -> int:
    """The seed of this run."""
    return _SEED
