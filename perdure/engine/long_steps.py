"""Steps with thousands of things to do, in pieces: others have a turn of the loop between them (decision 021).

The step is as pure as any other, and its chain waits for it. When the chain's draft changes meanwhile (one before it
was lost), what was made on it is thrown away and the input is stepped again, as if it had only now come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from perdure.machines.pieces import Pieces

T = TypeVar("T")


async def by_turns(pieces: Pieces[T], holds: Callable[[], bool]) -> T | None:
    """The result of the pieces, each in a turn of its own; None once what they are made from no longer holds."""
    while holds():
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
    return None
