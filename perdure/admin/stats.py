"""How much of what a store holds."""

from __future__ import annotations

from typing import Any

from perdure.admin import find
from perdure.api import enums
from perdure.ids import Kind
from perdure.store.inspect import Inspection


def stats(store: Inspection) -> dict[str, Any]:
    """Rows by table, bytes of history, and entities by namespace, kind and status."""
    names = find.namespaces(store)
    entities = [
        {
            "namespace": names.get(namespace_id, namespace_id),
            "kind": _kind(kind),
            "status": _status(status),
            "count": count,
        }
        for namespace_id, kind, status, count in store.statuses()
    ]
    return {
        "rows": store.counts(),
        "historyBytes": store.history_bytes(),
        "namespaces": len(names),
        "epochs": [{"firstSlot": first, "lastSlot": last, "epoch": epoch} for first, last, epoch in store.epochs()],
        "entities": sorted(entities, key=lambda one: (str(one["namespace"]), one["kind"], one["status"])),
    }


def _kind(kind: int) -> str:
    return Kind(kind).name.lower().replace("_", "-") if kind in set(Kind) else str(kind)


def _status(status: int) -> str:
    if status not in enums.WorkflowExecutionStatus.values():
        return str(status)
    name = enums.WorkflowExecutionStatus.Name(status)  # type: ignore[arg-type]  # wire numbers are plain ints
    return str(name).removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()
