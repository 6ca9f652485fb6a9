"""Carries closed runs to the archive after the commit that owes them, and tells the run (DESIGN 1.10).

What is owed stands in the state of the run, so a crash repeats a write at worst, and retention waits for it. An archive
that cannot be written delays: the run is tried again after a pause, for as long as its namespace archives.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, final

from perdure.archival.api import ArchivedRun, ArchiveError, BadUri, Provider
from perdure.engine import rows
from perdure.engine.histories import HISTORY_BYTES_MAX, Histories, whole_events
from perdure.engine.ports import Namespaces
from perdure.engine.telling import tell
from perdure.errors import Unavailable
from perdure.ids import ChainKey
from perdure.machines.env import ARCHIVES_HISTORY, ARCHIVES_RECORD
from perdure.machines.pauses import pause
from perdure.machines.workflow.calls import ArchiveRun
from perdure.machines.workflow.exchange import CallUndelivered, RunArchived
from perdure.machines.workflow.inputs import Input
from perdure.store.api import StoreError
from perdure.visibility.info import execution_info

log = logging.getLogger(__name__)

RUNS_MAX: Final = 4
"""Runs under way at once: each is in memory whole."""
PAUSE_FIRST_S: Final = 1.0
PAUSE_MAX_S: Final = 60.0
"""Pauses before a run is tried again: doubling with each failure in a row of the whole archive."""


@final
class Archiving:
    """The archive's work of one owner on one event loop. Without a provider nothing is kept and nothing is owed."""

    def __init__(
        self,
        submit: Callable[[ChainKey, Input], Awaitable[object]],
        histories: Histories,
        namespaces: Namespaces,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.provider: Provider | None = None
        self._submit = submit
        self._histories = histories
        self._namespaces = namespaces
        self._spawn = spawn
        self._waiting: deque[ArchiveRun] = deque()
        self._held: set[str] = set()
        """Run ids of what waits, is under way, or pauses."""
        self._active = 0
        self._failures = 0

    def send(self, call: ArchiveRun) -> None:
        """Carry a run; one that is on its way already is dropped."""
        if call.sender.run_id in self._held:
            return
        self._held.add(call.sender.run_id)
        self._waiting.append(call)
        self._pump()

    def _pump(self) -> None:
        while self._waiting and self._active < RUNS_MAX:
            self._active += 1
            self._spawn(self._carry(self._waiting.popleft()))

    async def _carry(self, call: ArchiveRun) -> None:
        run_id = call.sender.run_id
        fact: Input = CallUndelivered(run_id, call.sender.item)
        try:
            await self._keep(call)
            fact = RunArchived(run_id)
            self._failures = 0
        except (ArchiveError, BadUri, StoreError, Unavailable) as error:
            log.warning("run %s of %s could not be archived: %s", run_id, call.sender.chain, error)
        except Exception:
            log.exception("run %s of %s could not be archived", run_id, call.sender.chain)
        finally:
            self._active -= 1
            self._pump()
        if isinstance(fact, CallUndelivered):
            await self._pause()
        while True:
            # What the run hears may make it send again.
            self._held.discard(run_id)
            if await tell(self._submit, call.sender.chain, fact):
                return
            self._held.add(run_id)
            await self._pause()

    async def _pause(self) -> None:
        self._failures += 1
        await asyncio.sleep(pause(self._failures - 1, PAUSE_FIRST_S, PAUSE_MAX_S))

    async def _keep(self, call: ArchiveRun) -> None:
        """Everything that is owed of the run and that its namespace still archives."""
        execution = call.execution
        info = execution.info
        namespace = self._namespaces.view(info.namespace_id)
        if namespace is None or self.provider is None:
            return
        if namespace.archive_paused:
            raise Unavailable("the archive is paused")
        run = ArchivedRun(info.namespace_id, info.workflow_id, info.run_id)
        if execution.operations.archiving & ARCHIVES_HISTORY and namespace.history_archive:
            body = await self._history(call)
            await self.provider.keep_history(namespace.history_archive, run, body)
        if execution.operations.archiving & ARCHIVES_RECORD and namespace.record_archive:
            record = rows.visibility_record(execution, namespace.search_attributes)
            await self.provider.keep_record(namespace.record_archive, run, execution_info(record, None))

    async def _history(self, call: ArchiveRun) -> bytes:
        execution = call.execution
        end = execution.next_event_id
        fragments = await self._histories.read(execution.branches, 1, end, HISTORY_BYTES_MAX)
        return whole_events(fragments, end)
