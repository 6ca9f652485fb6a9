"""The page token of lists: the place of the last record given out, as opaque bytes (semantics 15.4).

It comes back from callers, so every byte of it is checked before it reaches a statement. It is bound to the namespace
and the kind that it was made for. It holds no filter: a token used with another query continues that query from the
same place.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from perdure.errors import InvalidArgument
from perdure.visibility.record import VisibilityRecord, order_key

_VERSION: Final = 2
_BYTES_MAX: Final = 256
_INT64: Final = 2**63

Place = tuple[int, int, bytes]
"""What `record.order_key` gives."""


def encode(last: VisibilityRecord) -> bytes:
    """The token that continues after `last`."""
    close, start, run = order_key(last)
    list_of = _list(last.namespace_id, last.kind)
    return json.dumps([_VERSION, close, start, run.hex(), list_of], separators=(",", ":")).encode("ascii")


def decode(token: bytes, namespace_id: str, kind: int) -> Place | None:
    """The place to continue after, None for the empty token.

    Raises InvalidArgument for bytes that are not ours, or ours for another namespace or kind.
    """
    if not token:
        return None
    wrong = InvalidArgument("unable to deserialize page token: not a token of this server")
    if len(token) > _BYTES_MAX:
        raise wrong
    try:
        parts = json.loads(token.decode("ascii"))
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(parts, list) or len(parts) != 5 or parts[0] != _VERSION:
        raise wrong
    close, start, run = parts[1], parts[2], parts[3]
    if parts[4] != _list(namespace_id, kind):
        raise wrong
    if type(close) is not int or type(start) is not int or not isinstance(run, str) or len(run) != 32:
        raise wrong
    if not (-_INT64 < close < _INT64 and -_INT64 < start < _INT64):
        raise wrong
    try:
        key = bytes.fromhex(run)
    except ValueError:
        raise wrong from None
    if len(key) != 16:
        raise wrong
    return close, start, key


def _list(namespace_id: str, kind: int) -> str:
    """A short name of the list that a token continues."""
    return hashlib.blake2b(f"{namespace_id}\0{kind}".encode("utf-8", "replace"), digest_size=6).hexdigest()
