"""How many bytes the inputs that wait for one entity hold: their number alone would allow gigabytes.

Only what has to wait is weighed, so an input that runs at once costs nothing. What an input refers to is counted as far
as it can be large: messages and bytes, also in its tuples and dicts.
"""

from __future__ import annotations

from typing import Final

from perdure.api import Message, enums
from perdure.errors import ResourceExhausted

WAITING_BYTES_MAX: Final = 16 << 20
"""Of the inputs that wait for one entity beside the one whose turn it is: eight of the largest payloads. Others are
refused until they have had their turn, as too many are."""


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
