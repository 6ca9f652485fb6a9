"""An entity's stored state as JSON: every field of the machines' values, for people who look for a fault.

The form follows the code and is no interface.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.admin import find
from perdure.ids import ChainKey, Kind
from perdure.store.inspect import Inspection

DEPTH_MAX = 40
"""Deeper nesting is cut: states are shallow, and heaps of deadlines are not interesting."""

_DERIVED = frozenset({"encoded", "deadlines", "owed"})
"""Fields that say nothing of their own."""


def dumped(store: Inspection, key: ChainKey) -> str:
    """A chain with all its runs, or an entity of one row. Raises NotFound."""
    chain = find.chain_of(store, key)
    if find.is_entity(chain):
        row = store.run(chain.digest)
        assert row is not None, "an entity has its row"
        found = find.entity(chain, row)
        content: dict[str, Any] = {
            "kind": Kind(found.kind).name,
            "namespaceId": found.namespace_id,
            "id": found.id,
            "version": row.version,
            "alarm": row.alarm_ns,
            "state": plain(found.state),
        }
    else:
        content = {
            "chain": plain(find.decoded_chain(chain)),
            "slot": chain.slot,
            "runs": [
                {"alarm": row.alarm_ns, "version": row.version, "state": plain(find.decoded_run(store, row))}
                for row in store.runs_of(chain.digest)
            ],
        }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def plain(value: Any, depth: int = 0) -> Any:
    """A value of the machines as JSON has it; bytes as text where they are text, else as base64."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth > DEPTH_MAX:
        return "…"
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(one, depth + 1) for one in value]
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: plain(getattr(value, name), depth + 1) for name in sorted(names) if name not in _DERIVED}


def _key(key: Any) -> str:
    return key if isinstance(key, str) else _text(key) if isinstance(key, bytes) else str(key)


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
    return text if text.isprintable() else base64.b64encode(value).decode()
