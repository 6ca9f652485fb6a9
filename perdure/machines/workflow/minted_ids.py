"""Request ids that the server itself mints for what one workflow sends to another (DESIGN 1.2, 1.10).

They are functions of what they stand for, so they need no place in the sender's state and are the same after a crash.
At the receiver they belong to the chain and are remembered beside the request ids of starts, under a prefix.
"""

from __future__ import annotations

import hashlib

from perdure.ids import uuid4, uuid_text

_PREFIX = "external/"
_RESET = "reset/"


def writer(branches: tuple[tuple[bytes, int], ...], event_id: int) -> str:
    """The id of the run that wrote an event which a run of these branches has: its own, or that of a run from which
    resets have made it.

    It stands for the run wherever the event is an identity: children are asked for once, whichever run goes on.
    """
    for branch, last in branches:
        if not last or event_id <= last:
            return uuid_text(branch)
    raise AssertionError("the last branch is open")


def child_start(run_id: str, initiated_event_id: int) -> str:
    """The request id of a child's start, in the form that the reference gives it (event version 0)."""
    return f"{run_id}:{initiated_event_id}:0"


def external(run_id: str, initiated_event_id: int) -> str:
    """The request id of a signal or a cancel request to another workflow: it looks random and is not."""
    digest = hashlib.blake2b(f"{run_id}\0{initiated_event_id}".encode(), digest_size=16).digest()
    return uuid4(int.from_bytes(digest, "big"))


def remembered_as(request_id: str) -> str:
    """The name under which the receiver's chain remembers the request id of an external signal or cancel request."""
    return _PREFIX + request_id


def reset_remembered_as(request_id: str) -> str:
    """The name under which a chain remembers the request id of a reset."""
    return _RESET + request_id
