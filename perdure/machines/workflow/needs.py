"""What the engine looks up before a step, so that the step may stay pure: runs, first events and whole histories, and
parts that are fetched by key (DESIGN 1.4).

A step is asked again until it lacks nothing; each look-up adds to the `ChainState`. It may be more than the step will
use, never less: the step would take what it was not given for absent.
"""

from __future__ import annotations

from typing import final

from perdure.api import enums
from perdure.machines.workflow import reset, updates
from perdure.machines.workflow.alarm import ALARM_SLACK
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.exchange import ChildClosed, ParentClosed
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import AlarmRang, Input, RequestCancel, Signal
from perdure.machines.workflow.minted_ids import external, remembered_as, reset_remembered_as
from perdure.machines.workflow.operator_inputs import Reset
from perdure.machines.workflow.parts import COMPLETED_UPDATES_SPILLED, SIGNAL_IDS_SPILLED
from perdure.machines.workflow.start_inputs import Start
from perdure.machines.workflow.task_inputs import WorkflowTaskCompleted
from perdure.machines.workflow.update_inputs import AdmitUpdate, PollUpdate, UpdateAbandoned


@final
class Needs:
    """What the engine must look up before the step (DESIGN 1.4): keyed parts and first events of runs."""

    __slots__ = ("history", "run_id", "signal_id", "start_event_of", "start_request", "state", "update_id")

    def __init__(
        self,
        run_id: str,
        signal_id: str = "",
        start_request: str = "",
        start_event_of: str = "",
        state: bool = False,
        history: bool = False,
        update_id: str = "",
    ) -> None:
        self.run_id = run_id
        self.update_id = update_id
        self.signal_id = signal_id
        self.start_request = start_request
        self.start_event_of = start_event_of
        self.state = state
        """The run itself."""
        self.history = history
        """All of the run's history; nothing of its chain may be in flight when it is read."""


def needs(state: ChainState, fact: Input, now: int) -> Needs | None:
    """The next thing that `step` would miss, or None when it can run."""
    if state.chain is None:
        return None
    if isinstance(fact, Reset):
        known_as = reset_remembered_as(fact.request_id)
        if known_as not in state.start_requests:
            return Needs(state.chain.current_run_id, start_request=known_as)
        if state.start_requests[known_as]:
            return None
        lacking = reset.wanted(state, fact)
        return None if lacking is None else Needs(lacking[0], state=not lacking[1], history=lacking[1])
    execution = state.runs.get(fact.run_id or state.chain.current_run_id)
    if isinstance(fact, ChildClosed) and (execution is None or not execution.running):
        # A reset may have put another run in the place of the one that is named.
        replaced_by = state.chain.current_run_id
        return Needs(replaced_by, state=True) if replaced_by and replaced_by not in state.runs else None
    sent = _sent_request(state, fact)
    if sent:
        wanted = remembered_as(sent)
        return None if wanted in state.start_requests else Needs(state.chain.current_run_id, start_request=wanted)
    if isinstance(fact, Start):
        current = state.current
        wanted = fact.request.request_id
        if current is not None and wanted != current.info.create_request_id and wanted not in state.start_requests:
            return Needs(current.info.run_id, start_request=wanted)
        missing = _first_effect(state, fact)
        if missing is not None:
            return missing
        signal = fact.signal
    else:
        signal = fact if isinstance(fact, Signal) else None
    if execution is None:
        return None
    update_id = _unknown_update(execution, fact)
    if update_id:
        return Needs(execution.info.run_id, update_id=update_id)
    if signal is not None and execution.parts_unread & SIGNAL_IDS_SPILLED and signal.request_id:
        if signal.request_id not in execution.signal_ids:
            return Needs(execution.info.run_id, signal_id=signal.request_id)
        return None
    if not execution.running:
        return None
    run_id = execution.info.run_id
    if run_id not in state.start_events and _may_be_followed(execution, fact, now):
        return Needs(run_id, start_event_of=run_id)
    return None


def _first_effect(state: ChainState, fact: Start) -> Needs | None:
    """The run that a start with this request id made or met, and whether it brought that run's signal."""
    run_id = state.start_requests.get(fact.request.request_id, "")
    if not run_id or run_id in state.histories:
        return None
    run = state.runs.get(run_id)
    if run is None:
        return Needs(run_id, state=True)
    update_id = _unknown_update(run, fact)
    if update_id:
        return Needs(run_id, update_id=update_id)
    signal = fact.signal
    if signal is not None and run.parts_unread & SIGNAL_IDS_SPILLED and signal.request_id not in run.signal_ids:
        return Needs(run_id, signal_id=signal.request_id)
    return None


def _unknown_update(execution: Execution, fact: Input) -> str:
    """The id of an update that may have completed, which only the store can tell; "" when there is none."""
    if not execution.parts_unread & COMPLETED_UPDATES_SPILLED:
        return ""
    wanted: list[str] = []
    if isinstance(fact, AdmitUpdate | PollUpdate | UpdateAbandoned):
        wanted.append(fact.update_id)
    elif isinstance(fact, Start) and fact.update is not None:
        wanted.append(fact.update.update_id)
    elif isinstance(fact, WorkflowTaskCompleted):
        wanted.extend([message.protocol_instance_id for message in fact.request.messages])
    for update_id in wanted:
        if update_id not in execution.completed_updates and updates.find_pending(execution, update_id) is None:
            return update_id
    return ""


def _sent_request(state: ChainState, fact: Input) -> str:
    """The request id of what another workflow sends, which the whole chain remembers; "" for anything else."""
    if isinstance(fact, Signal | RequestCancel):
        return fact.request_id if fact.origin is not None else ""
    if isinstance(fact, ParentClosed):
        return external(fact.parent.run_id, fact.parent.initiated_event_id)
    return ""


def _may_be_followed(execution: Execution, fact: Input, now: int) -> bool:
    """Whether this input may end the run and begin one that takes something from this run's first event."""
    cron = bool(execution.info.cron_schedule)
    retries = cron or execution.info.retry is not None
    if not (retries or execution.start_linked):
        return False
    if isinstance(fact, WorkflowTaskCompleted):
        for command in fact.request.commands:
            if retries and command.command_type == enums.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
                return True
            if cron and command.command_type == enums.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
                return True
            if execution.start_linked and command.command_type == (
                enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION
            ):
                return True
        return False
    expiration = execution.info.run_expiration
    return retries and isinstance(fact, AlarmRang) and 0 < expiration <= now + ALARM_SLACK
