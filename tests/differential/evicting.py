"""Perdure with nothing in memory that need not be there: the command line of `perdure`, for one kind of test.

Each chain is dropped as soon as it is at rest, so that every step reads it from the store, and of each collection only
one entry stands in the run's row, so that the others are rows of their own.
"""

from __future__ import annotations

import sys

from perdure import app
from perdure.cli import main
from perdure.machines.workflow import codec


def without_memory() -> int:
    """Run the command line."""
    app.CACHE_BYTES = 1
    codec.INLINE_ENTRIES_MAX = 1
    return main()


if __name__ == "__main__":
    sys.exit(without_memory())
