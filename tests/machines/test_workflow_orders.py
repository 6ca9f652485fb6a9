"""Two orders of independent inputs agree: what happens to one pending thing does not depend on what happens to another.

After any life, every pair of inputs that can be given then is given in both orders. Inputs that write no event must
leave the very same state; those that write events leave the same but for event ids and times.
"""

from __future__ import annotations

from itertools import combinations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.api import failures, workflow
from perdure.api import history as api
from perdure.errors import ServiceError
from perdure.machines import task_queue
from perdure.machines.workflow import alarm, machine
from perdure.machines.workflow.activity_inputs import (
    ActivityHeartbeat,
    ActivityTarget,
    ActivityTaskCompleted,
    ActivityTaskFailed,
    ActivityTaskStarted,
)
from perdure.machines.workflow.chain import ChainState
from perdure.machines.workflow.inputs import Input, Signal
from perdure.machines.workflow.operator_inputs import (
    ActivitySelection,
    PauseActivity,
    ResetActivity,
    UnpauseActivity,
    UpdateActivityOptions,
    UpdateOptions,
)
from tests.machines.audit import frozen
from tests.machines.builders import env_at, payloads
from tests.machines.test_workflow_properties import CALLS, PHASES, TUNABLE, Call, Tale, tuned

PAIRS_MAX = 60


def silent_inputs(tale: Tale) -> dict[str, Input]:
    """Inputs that write no event, by the thing that they are about."""
    found: dict[str, Input] = {}
    run_id = tale.run_id
    for pending in tale.execution.activities.values():
        name = f"activity {pending.scheduled_event_id}"
        target = ActivityTarget("", pending.scheduled_event_id, pending.attempt)
        chosen = ActivitySelection(activity_id=pending.activity_id)
        if pending.started_time:
            found[name] = ActivityHeartbeat(run_id, target, payloads('"beat"'), "worker")
            continue
        operations: tuple[Input, ...] = (
            PauseActivity("", chosen, "operator", "why", "pause"),
            UnpauseActivity("", chosen, True, True, 0),
            ResetActivity("", chosen, True, False, False, 0),
            UpdateActivityOptions("", chosen, tuned(pending.scheduled_event_id), TUNABLE[1:4], False),
        )
        found[name] = operations[pending.scheduled_event_id % len(operations)]
    for task in tale.offers:
        if task.queue.type != task_queue.WORKFLOW:
            fact = ActivityTaskStarted(run_id, task.scheduled_event_id, task.attempt, task.stamp, "poll", "worker")
            found[f"activity {task.scheduled_event_id}"] = fact
    return found


def telling_inputs(tale: Tale) -> dict[str, Input]:
    """Inputs that write events."""
    run_id = tale.run_id
    found: dict[str, Input] = {
        "signal one": Signal(run_id, api.WorkflowExecutionSignaledEventAttributes(signal_name="one"), "new one"),
        "signal two": Signal(run_id, api.WorkflowExecutionSignaledEventAttributes(signal_name="two"), "new two"),
        "options": UpdateOptions(run_id, workflow.WorkflowExecutionOptions(), ("priority",), "operator"),
    }
    for pending in tale.execution.activities.values():
        target = ActivityTarget("", pending.scheduled_event_id, pending.attempt)
        if pending.started_time and pending.scheduled_event_id % 2:
            found[str(pending.scheduled_event_id)] = ActivityTaskCompleted(run_id, target, payloads('"x"'), "worker")
        elif pending.started_time:
            cause = failures.application_failure("no", "T", True)
            found[str(pending.scheduled_event_id)] = ActivityTaskFailed(run_id, target, cause, None, "worker")
    return found


def after(tale: Tale, facts: tuple[Input, Input]) -> tuple[ChainState, list[bool]]:
    """The state after both, and which of them were taken."""
    state, taken = tale.state, []
    for fact in facts:
        try:
            state = machine.step(tale.key, state, fact, env_at(tale.now, tale.limits)).state
        except ServiceError:
            taken.append(False)
        else:
            taken.append(True)
    return state, taken


def whole(state: ChainState, run_id: str) -> dict[str, object]:
    """All of a run, field by field, and when it needs attention next."""
    run = state.runs[run_id]
    fields = {name: frozen(getattr(run, name)) for name in type(run).__slots__ if name not in ("encoded", "deadlines")}
    return fields | {"next alarm": alarm.volatile_alarm(run)}


def essence(state: ChainState, run_id: str) -> object:
    """A run without ids and times of events."""
    run = state.runs[run_id]
    return (
        run.status,
        sorted(run.activities),
        sorted(run.timers),
        (run.signal_count, run.activity_count, run.timer_count),
        run.task is None,
        run.next_event_id + len(run.buffered),
        sorted(frozen(run.signal_ids)),  # type: ignore[call-overload]
    )


@settings(max_examples=40, deadline=None, derandomize=True, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(start=st.tuples(st.integers(0, 40), st.integers(0, 40)), calls=st.lists(CALLS, min_size=20, max_size=60))
def test_two_orders_of_independent_inputs_agree(start: tuple[int, int], calls: list[Call]) -> None:
    tale = Tale()
    tale.client_start(*start)
    for call in calls:
        tale.play(call)
    if not tale.execution.running:
        return
    for one, other in list(combinations(silent_inputs(tale).values(), 2))[:PAIRS_MAX]:
        (left, took), (right, took_back) = after(tale, (one, other)), after(tale, (other, one))
        assert took == took_back[::-1]
        assert whole(left, tale.run_id) == whole(right, tale.run_id)
    for one, other in list(combinations(telling_inputs(tale).values(), 2))[:PAIRS_MAX]:
        (left, took), (right, took_back) = after(tale, (one, other)), after(tale, (other, one))
        assert took == took_back[::-1]
        assert essence(left, tale.run_id) == essence(right, tale.run_id)
