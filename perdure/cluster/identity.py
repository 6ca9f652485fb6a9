"""What makes a store's processes one cluster: an id that is shown, and the key of its tokens. Made once, at the first
start.

It must not be regenerated: workers hold tokens over restarts.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from perdure.ids import IdSource
from perdure.store.api import CommitFailed, Store

_TABLE: Final = "cluster"
_KEY: Final = "identity"


@final
class ClusterIdentity:
    """The id that GetClusterInfo shows, and 32 secret bytes under which tokens are made."""

    __slots__ = ("cluster_id", "token_key")

    def __init__(self, cluster_id: str, token_key: bytes) -> None:
        self.cluster_id = cluster_id
        self.token_key = token_key


async def load_identity(store: Store, ids: IdSource) -> ClusterIdentity:
    """The store's identity; made and stored when there is none yet. Two processes that start at once agree on one."""
    found = await _stored(store)
    if found is not None:
        return found
    fresh = ClusterIdentity(ids.request_id(), _secret(ids))
    try:
        await store.put_record(_TABLE, _KEY, 0, msgspec.msgpack.encode((fresh.cluster_id, fresh.token_key)))
    except CommitFailed:
        found = await _stored(store)
        assert found is not None, "the identity was there a moment ago"
        return found
    return fresh


def _secret(ids: IdSource) -> bytes:
    """32 bytes with 244 bits of randomness, from the port that everything random comes through."""
    return bytes.fromhex((ids.request_id() + ids.request_id()).replace("-", ""))


async def _stored(store: Store) -> ClusterIdentity | None:
    for record in await store.list_records(_TABLE):
        if record.key == _KEY:
            cluster_id, token_key = msgspec.msgpack.decode(record.body, type=tuple[str, bytes])
            return ClusterIdentity(cluster_id, token_key)
    return None
