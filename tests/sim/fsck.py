"""The integrity check of a stored database (`perdure admin check`), on the disk of the simulation (W2-W8, W13, W14, W16
and W17 of reliability.md). It is asked whenever a server has died, while nothing repairs what it left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast, final

from perdure.admin.check import check
from perdure.ids import slot_of
from perdure.store.api import KEYED, Record
from perdure.store.inspect import Counter, Inspection, StoredChain, StoredFragment, StoredRun, StoredVisibility
from perdure.store.memory import MemoryDisk


@final
class DiskInspection:
    """What `Inspection` reads, read from a `MemoryDisk`."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._state = disk.state

    def schema(self) -> int:
        return 0

    def records(self, table: str) -> list[Record]:
        return [record for place, record in sorted(self._state.records.items()) if place[0] == table]

    def chains(self) -> Iterator[StoredChain]:
        for digest in sorted(self._state.chains):
            found = self.chain(digest)
            assert found is not None
            yield found

    def chain(self, digest: bytes) -> StoredChain | None:
        row = self._state.chains.get(digest)
        if row is None:
            return None
        return StoredChain(digest, slot_of(digest), row.version, row.current_run_id, row.core)

    def runs(self) -> Iterator[StoredRun]:
        for run_id in sorted(self._state.runs):
            found = self.run(run_id)
            assert found is not None
            yield found

    def run(self, run_id: bytes) -> StoredRun | None:
        row = self._state.runs.get(run_id)
        if row is None:
            return None
        return StoredRun(run_id, row.digest, slot_of(row.digest), row.version, row.alarm_ns, row.core)

    def parts(self, run_id: bytes) -> list[tuple[int, bytes, bytes]]:
        found = self._state.parts.get(run_id, {})
        return sorted([(kind, key, body) for (kind, key), body in found.items() if kind < KEYED])

    def history(self, branch_id: bytes) -> Iterator[StoredFragment]:
        for first, fragment in sorted(self._state.fragments.get(branch_id, {}).items()):
            if (branch_id, first) not in self._state.torn:
                yield StoredFragment(first, fragment.next_event_id, fragment.body)

    def branches(self) -> Iterator[bytes]:
        torn = self._state.torn
        for branch_id, found in sorted(self._state.fragments.items()):
            if any((branch_id, first) not in torn for first in found):
                yield branch_id

    def visibility(self, run_id: bytes) -> StoredVisibility | None:
        record = self._state.visibility.get(run_id)
        if record is None:
            return None
        return StoredVisibility(record.namespace_id, record.kind, record.workflow_id, record.status)

    def counters(self) -> tuple[dict[Counter, int], dict[Counter, int]]:
        return {}, {}

    def index_faults(self) -> tuple[int, int]:
        return 0, 0

    def unseen(self) -> list[bytes]:
        return [key for key in sorted(self._state.visibility) if key not in self._state.runs]

    def stray_parts(self) -> int:
        owners = [one for one in self._state.parts if one not in self._state.runs and one not in self._state.chains]
        return sum([len(self._state.parts[one]) for one in owners])


def problems(disk: MemoryDisk) -> list[str]:
    """What is wrong with what a disk holds, down to every event."""
    return check(cast("Inspection", DiskInspection(disk)), deep=True).problems
