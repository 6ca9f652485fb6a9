"""Long work in slices: other callers have their turn of the loop between them.

What is walked through may change between two slices, so walk through a copy. A caller that gives up ends the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

SLICE: Final = 500
"""Elements of one slice, where looking at one takes some ten microseconds."""


async def slices(elements: Sequence[T], size: int = SLICE) -> AsyncIterator[Sequence[T]]:
    """The elements in slices, with a turn of the loop behind each but the last."""
    for start in range(0, len(elements), size):
        if start:
            await asyncio.sleep(0)
        yield elements[start : start + size]
