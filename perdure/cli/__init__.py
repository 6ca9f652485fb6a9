"""The `perdure` command: finds the command that the words name and runs it; the commands live beside it.

It imports almost nothing, because `server start-dev` must answer its first request half a second after the shell
started it: a command's module is imported when its words are there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (`sys.argv` by default) and return the exit status; errors go to standard error."""
    from perdure.cli.commands import run

    return run(list(sys.argv[1:] if arguments is None else arguments))
