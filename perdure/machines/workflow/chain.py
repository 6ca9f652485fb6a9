"""The state of a chain, the runs of one workflow id: its own row, and with that what a step sees of it (DESIGN 1.2)."""

from __future__ import annotations

from typing import final

from immutables import Map

from perdure.machines.persistent import EMPTY
from perdure.machines.workflow.execution import Execution


@final
class Chain:
    """The chain's own state: which run is current, and the version of its row. Never changed once made.

    The start request id of the current run stands in that run; those of earlier runs are keyed parts of the chain
    (`parts.PART_START_REQUEST`), so that neither grows with the number of runs.
    """

    __slots__ = ("current_run_id", "namespace_id", "run_count", "shared_branches", "version", "workflow_id")

    def __init__(
        self,
        namespace_id: str,
        workflow_id: str,
        current_run_id: str,
        version: int,
        run_count: int = 1,
        shared_branches: Map[bytes, int] | None = None,
    ) -> None:
        self.namespace_id = namespace_id
        self.workflow_id = workflow_id
        self.current_run_id = current_run_id
        """"" once the current run was deleted and older ones are left."""
        self.version = version
        self.run_count = run_count
        """Runs that are stored; the chain goes with the last."""
        self.shared_branches: Map[bytes, int] = EMPTY if shared_branches is None else shared_branches
        """How many runs name a history branch, where more than one does (resets)."""


@final
class ChainState:
    """What a step sees: the chain (None before its first start), its loaded runs, and what the engine looked up for
    it.
    """

    __slots__ = ("chain", "histories", "runs", "start_events", "start_requests")

    def __init__(
        self,
        chain: Chain | None,
        runs: Map[str, Execution],
        start_requests: Map[str, str],
        start_events: Map[str, bytes],
        histories: Map[str, bytes] | None = None,
    ) -> None:
        self.chain = chain
        self.runs = runs
        self.start_events = start_events
        """Serialized first events by run id, where the engine was asked for them."""
        self.histories: Map[str, bytes] = EMPTY if histories is None else histories
        """Whole histories by run id, for the one step that asked for them; b"" of a run that is gone."""
        self.start_requests = start_requests
        """Request ids that were asked for, of earlier runs' starts and (see `minted_ids.py`) of what other workflows
        sent: run id, or "" when known to be absent.
        """

    def with_runs(self, runs: Map[str, Execution]) -> ChainState:
        """The same with these runs."""
        return ChainState(self.chain, runs, self.start_requests, self.start_events, self.histories)

    def with_run(self, execution: Execution) -> ChainState:
        """The same with one more run, or another state of one."""
        return self.with_runs(self.runs.set(execution.info.run_id, execution))

    def with_history(self, run_id: str, body: bytes) -> ChainState:
        """The same with a run's whole history."""
        histories = self.histories.set(run_id, body)
        return ChainState(self.chain, self.runs, self.start_requests, self.start_events, histories)

    @property
    def current(self) -> Execution | None:
        """The current run, if it is loaded."""
        return self.runs.get(self.chain.current_run_id) if self.chain is not None else None
