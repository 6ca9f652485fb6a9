"""`perdure admin …`: what can be learned of a store without a server.

Parses and prints; `perdure.admin` finds out. The store is the first argument, a SQLite file or the DSN of a PostgreSQL
database, and is only ever read.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Final

from perdure.cli.flags import Flag, Kind, Parsed
from perdure.errors import ServiceError
from perdure.store.api import StoreError
from perdure.store.inspect import Inspection, inspect

PROBLEMS_SHOWN: Final = 1_000
"""Problems that are printed one by one; the rest is counted."""

Look = Callable[[Inspection, Parsed], int]

NAMESPACE: Final = Flag("namespace", Kind.TEXT, "Namespace, by name or id.", "n", "default")
WORKFLOW: Final = Flag("workflow-id", Kind.TEXT, "Workflow id.", "w")
RUN: Final = Flag("run-id", Kind.TEXT, "Run id; the current run unless given.", "r")


def run(parsed: Parsed, look: Look) -> int:
    """Open the store, look, close; 1 when it cannot be read or does not have what was asked for."""
    try:
        with inspect(parsed.words[0]) as store:
            store.schema()
            return look(store, parsed)
    except (StoreError, ServiceError) as error:
        print(f"perdure: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - damaged bytes break the decoders' assumptions in any way
        damage = f"{type(error).__name__}: {error}"
        print(f"perdure: what was asked for cannot be read: {damage} (see admin check)", file=sys.stderr)
        return 1


def check(store: Inspection, parsed: Parsed) -> int:
    """Whether everything fits together; 2 when not."""
    from perdure.admin.check import check as checked_of

    checked = checked_of(store, parsed.switch("deep"))
    counts = {"chains": checked.chains, "runs": checked.runs, "entities": checked.entities, "events": checked.events}
    if parsed.text("output") in ("json", "jsonl"):
        print(json.dumps({**counts, "problems": checked.problems}, indent=2))
    else:
        for problem in checked.problems[:PROBLEMS_SHOWN]:
            print(problem)
        if len(checked.problems) > PROBLEMS_SHOWN:
            print(f"… and {len(checked.problems) - PROBLEMS_SHOWN} more")
        looked = ", ".join([f"{count} {what}" for what, count in counts.items()])
        print(f"{looked}: {f'{len(checked.problems)} problems' if checked.problems else 'no problem'}")
    return 2 if checked.problems else 0


def stats(store: Inspection, parsed: Parsed) -> int:
    """How much of what there is."""
    from perdure.admin.stats import stats as stats_of

    found = stats_of(store)
    if parsed.text("output") in ("json", "jsonl"):
        print(json.dumps(found, indent=2))
        return 0
    for table, count in found["rows"].items():
        print(f"{table:<12} {count:>12,}")
    print(f"{'history':<12} {found['historyBytes']:>12,} bytes")
    for one in found["entities"]:
        print(f"{one['namespace']}: {one['count']:,} {one['kind']} {one['status']}")
    return 0


def export_history(store: Inspection, parsed: Parsed) -> int:
    """A run's history as the SDKs' replayers read it."""
    from perdure.admin import find
    from perdure.admin.export import exported

    found = find.execution(store, parsed.text("namespace"), parsed.text("workflow-id"), parsed.text("run-id"))
    print(exported(store, found))
    return 0


def dump(store: Inspection, parsed: Parsed) -> int:
    """An entity's state, every field of it."""
    from perdure.admin import find
    from perdure.admin.dump import dumped

    print(dumped(store, find.key(store, parsed.text("namespace"), parsed.text("kind"), parsed.text("id"))))
    return 0


def explain(store: Inspection, parsed: Parsed) -> int:
    """What an execution waits for, in words."""
    from perdure.admin import find
    from perdure.admin.explain import explain as lines_of

    found = find.execution(store, parsed.text("namespace"), parsed.text("workflow-id"), parsed.text("run-id"))
    lines = lines_of(found, time.time_ns())
    if parsed.text("output") in ("json", "jsonl"):
        print(json.dumps(lines, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines))
    return 0
