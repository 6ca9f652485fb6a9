"""Work in pieces: a pure computation that stops now and then, so that whoever drives it may let others have a turn.

It is a generator that yields nothing, is sent nothing, and returns its result: where it stops changes only how long one
piece of it takes. It must not look at anything that changes between two pieces.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")

Pieces: TypeAlias = Generator[None, None, T]

PIECE: Final = 250
"""Commands, timers or stored items of one piece, where one takes ten to forty microseconds."""


def whole(pieces: Pieces[T]) -> T:
    """The result, without a stop."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
