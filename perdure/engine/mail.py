"""Mail for an entity: inputs in their turn, and who waits for their outcomes.

How many bytes may wait for one entity has a limit: the number of inputs alone would allow gigabytes. Only what has to
wait is weighed, so an input that runs at once costs nothing. What an input refers to is counted as far as it can be
large: messages and bytes, also in its tuples and dicts.
"""

from __future__ import annotations

import asyncio
from typing import Final, Generic, TypeVar, final

from perdure.api import Message, enums
from perdure.errors import ResourceExhausted

Fact = TypeVar("Fact")

WAITING_BYTES_MAX: Final = 16 << 20
"""Of the inputs that wait for one entity beside the one whose turn it is: eight of the largest payloads. Others are
refused until they have had their turn, as too many are."""


@final
class Letter(Generic[Fact]):
    """An input and who waits for its outcome (nobody, for an alarm's). `size` is the bytes that it was weighed at."""

    __slots__ = ("fact", "future", "size")

    def __init__(self, fact: Fact, future: asyncio.Future[object] | None, size: int = 0) -> None:
        self.fact = fact
        self.future = future
        self.size = size

    def resolve(self, outcome: object) -> None:
        """Give the outcome to the waiting caller, if there still is one."""
        future = self.future
        if future is not None and not future.done():
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def admitted(waiting: int, fact: object, what: str) -> int:
    """Bytes of a fact that has to wait behind `waiting` bytes. Raises ResourceExhausted when that is too much."""
    size = _weight(fact)
    if size and waiting + size > WAITING_BYTES_MAX:
        raise ResourceExhausted(
            f"requests of more than {WAITING_BYTES_MAX} bytes wait for one {what}",
            enums.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
        )
    return size


def _weight(value: object) -> int:
    if isinstance(value, Message):
        return value.ByteSize()
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, tuple):
        return sum([_weight(one) for one in value])
    if isinstance(value, dict):
        return sum([_weight(one) for one in value.values()])
    names = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    return sum([_weight(getattr(value, name, None)) for name in names])
