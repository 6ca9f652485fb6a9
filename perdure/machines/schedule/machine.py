"""The machine of a schedule (semantics 13): one step for each fact, an alarm for the next occurrence.

At every step that changes something it looks at what has become due since the last one, then does what the fact says,
takes some of the backfills, and lets the overlap policies decide. What it decides to start is owed until its answer is
known, and counts as running until then, so that nothing is started twice or beside something else.

Pure: the time comes with `env`; ids come from the state, so that an effect is the same at every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from perdure.api import enums, failure
from perdure.api.schedule import Schedule as Definition
from perdure.api.schedule import SchedulePatch
from perdure.api.times import duration_ns, timestamp_ns
from perdure.clock import SECOND
from perdure.errors import FailedPrecondition, NotFound, WorkflowExecutionAlreadyStarted
from perdure.ids import ChainKey, Kind
from perdure.machines.closing_report import ExecutionClosed
from perdure.machines.entity import AlarmRang, Listing, Step
from perdure.machines.env import Env
from perdure.machines.schedule import buffer, effects, show
from perdure.machines.schedule.inputs import Create, Delete, Patch, StartAnswered, StopAnswered, Update
from perdure.machines.schedule.spec import compiled, just_before
from perdure.machines.schedule.state import (
    REQUESTS_KEPT,
    SKIP,
    Backfill,
    Running,
    Schedule,
    Starting,
    Taken,
    decode,
    encode,
)

NOT_FOUND: Final = "schedule not found"
RECENT_MAX: Final = 10
"""Actions that are remembered."""
NOTES_MAX: Final = 3000
"""Characters of a note that a failure writes: ids and what a person reads of a message."""
RETENTION: Final = 7 * 86_400 * SECOND
"""How long a schedule stays that will never act again."""
CATCHUP_WINDOW: Final = 365 * 86_400 * SECOND
CATCHUP_WINDOW_MIN: Final = 10 * SECOND
_MILLISECOND: Final = 1_000_000

_FAILED: Final = int(enums.WORKFLOW_EXECUTION_STATUS_FAILED)
_TIMED_OUT: Final = int(enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT)
_COMPLETED: Final = int(enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
_RUNNING: Final = int(enums.WORKFLOW_EXECUTION_STATUS_RUNNING)

Handler = Callable[[Schedule, Any, int], bool]
"""Changes the step's copy as a fact says, at a time; False when the fact is an old one and nothing is to happen."""


@final
class ScheduleMachine:
    """One kind of entity for the engine's runner (`machines/entity.py`)."""

    kind = Kind.SCHEDULE

    def step(self, key: ChainKey, before: Schedule | None, fact: object, env: Env) -> Step[Schedule]:
        """See `entity.Machine`."""
        if isinstance(fact, Create):
            return _create(key, before, fact, env)
        if before is None:
            raise NotFound(NOT_FOUND)
        if isinstance(fact, Delete):
            return Step(None)
        after = before.copy()
        if not isinstance(fact, AlarmRang | ExecutionClosed | StartAnswered | StopAnswered):
            # What is due by now is judged by what the schedule was until now.
            _act(after, env.now)
        if not _HANDLERS[type(fact)](after, fact, env.now):
            return Step(before)
        if not isinstance(fact, StopAnswered):
            _act(after, env.now)
        if isinstance(fact, AlarmRang) and 0 < _expires(after) <= env.now:
            return Step(None)
        return Step(before if after == before else after)

    def alarm(self, state: Schedule) -> int:
        """See `entity.Machine`."""
        times = [state.backfill_at, _expires(state), _next(state)]
        return min([time for time in times if time], default=0)

    def owed(self, state: Schedule) -> list[effects.StartWorkflow | effects.StopWorkflow]:
        """See `entity.Machine`."""
        return effects.owed(state)

    def encode(self, state: Schedule) -> bytes:
        """See `entity.Machine`."""
        return encode(state)

    def decode(self, body: bytes) -> Schedule:
        """See `entity.Machine`."""
        return decode(body)

    def listing(self, state: Schedule) -> Listing:
        """See `entity.Machine`."""
        return Listing(
            _RUNNING,
            state.created,
            type=show.HIDDEN_TYPE,
            memo=show.listed_memo(state),
            search_attributes=show.listed_attributes(state),
        )


def _act(state: Schedule, now: int) -> None:
    buffer.take_due(state, now)
    buffer.backfill(state, now)
    buffer.drain(state, now)
    buffer.pace(state, now)
    _forget_actions(state)


def _next(state: Schedule) -> int:
    """The next occurrence that the schedule may act on, 0 for none."""
    if state.paused or state.exhausted:
        return 0
    coming = state.coming(1)
    return coming[0].actual if coming else 0


def _expires(state: Schedule) -> int:
    """When a schedule that has nothing left to do is removed, 0 as long as it may do something."""
    if state.paused or state.backfills or state.waiting or state.starting or state.stopping or _next(state):
        return 0
    last = state.recent[-1].taken if state.recent else 0
    return max(last, state.created, state.updated) + RETENTION


# -- user verbs --------------------------------------------------------------------------------------------------------


def _create(key: ChainKey, before: Schedule | None, fact: Create, env: Env) -> Step[Schedule]:
    if before is not None:
        if before.request_id == fact.request_id:
            return Step(before, 1)
        raise WorkflowExecutionAlreadyStarted(f'schedule "{key.id}" is already registered', "", "", "")
    state = Schedule()
    state.schedule_id = key.id
    state.seed = f"{key.namespace_id}-{key.id}"
    state.incarnation = env.run_id()
    state.request_id = fact.request_id
    state.created = state.processed = env.now
    state.memo = fact.memo
    state.search_attributes = fact.search_attributes
    _define(state, fact.definition)
    if fact.patch is not None:
        _apply(state, fact.patch, env.now)
    _act(state, env.now)
    return Step(state, 1)


def _define(state: Schedule, definition: Definition) -> None:
    """Take over spec, action, policies and state of a definition, whole."""
    state.spec = definition.spec.SerializeToString(deterministic=True)
    state.forget_times()
    has_action = definition.action.HasField("start_workflow")
    action = definition.action.SerializeToString() if has_action else b""
    if not state.actions or state.action != action:
        state.generation += 1
        state.actions += ((state.generation, action),)
    start = definition.action.start_workflow
    state.workflow_id, state.workflow_type = start.workflow_id, start.workflow_type.name
    policies = definition.policies
    state.overlap = int(policies.overlap_policy) or SKIP
    window = CATCHUP_WINDOW
    if policies.HasField("catchup_window"):
        window = max(duration_ns(policies.catchup_window), CATCHUP_WINDOW_MIN)
    state.catchup_window = window
    state.pause_on_failure = policies.pause_on_failure
    state.keep_workflow_id = policies.keep_original_workflow_id
    state.notes, state.paused = definition.state.notes, definition.state.paused
    state.limited, state.remaining = definition.state.limited_actions, definition.state.remaining_actions


def _update(state: Schedule, fact: Update, now: int) -> bool:
    if not _fresh(state, fact.request_id):
        return False
    if fact.token and fact.token != state.token:
        raise FailedPrecondition("mismatched conflict token")
    _define(state, fact.definition)
    state.processed = just_before(compiled(state.spec), state.seed, state.processed, now)
    state.updated = now
    state.token += 1
    if fact.memo is not None:
        state.memo = fact.memo
    if fact.search_attributes is not None:
        state.search_attributes = fact.search_attributes
    return True


def _patch(state: Schedule, fact: Patch, now: int) -> bool:
    if not _fresh(state, fact.request_id):
        return False
    _apply(state, fact.patch, now)
    return True


def _apply(state: Schedule, patch: SchedulePatch, now: int) -> None:
    if patch.HasField("trigger_immediately"):
        trigger = patch.trigger_immediately
        time = timestamp_ns(trigger.scheduled_time) if trigger.HasField("scheduled_time") else now
        buffer.add(state, time, time, int(trigger.overlap_policy), True)
    for request in patch.backfill_request:
        if len(state.backfills) >= buffer.BACKFILLS_MAX:
            state.dropped += 1
            continue
        # The start is inclusive.
        first = timestamp_ns(request.start_time) - _MILLISECOND
        state.backfills += (Backfill(first, timestamp_ns(request.end_time), int(request.overlap_policy)),)
    if patch.pause:
        state.paused, state.notes = True, patch.pause
        state.token += 1
    if patch.unpause:
        state.paused, state.notes = False, patch.unpause
        state.token += 1


def _fresh(state: Schedule, request_id: str) -> bool:
    """Whether a request is a new one; it is remembered."""
    if not request_id:
        return True
    if request_id in state.requests:
        return False
    state.requests = (*state.requests[-REQUESTS_KEPT + 1 :], request_id)
    return True


def _forget_actions(state: Schedule) -> None:
    """Older actions are kept as long as a start needs them."""
    if len(state.actions) > 1:
        needed = {state.generation, *[start.generation for start in state.starting]}
        state.actions = tuple([one for one in state.actions if one[0] in needed])


# -- answers -----------------------------------------------------------------------------------------------------------


def _rang(state: Schedule, fact: AlarmRang, now: int) -> bool:
    return True


def _start_answered(state: Schedule, fact: StartAnswered, now: int) -> bool:
    start = _find(state, fact.number) if fact.incarnation == state.incarnation else None
    if start is None:
        return False
    if fact.run_id:
        _record(state, start, fact.run_id, now)
    else:
        state.starting = tuple([one for one in state.starting if one is not start])
    return True


def _find(state: Schedule, number: int) -> Starting | None:
    return next((start for start in state.starting if start.number == number), None)


def _record(state: Schedule, start: Starting, run_id: str, now: int) -> None:
    """The action was taken."""
    state.starting = tuple([one for one in state.starting if one is not start])
    state.action_count += 1
    taken = Taken(start.number, start.actual, now, start.workflow_id, run_id, _RUNNING)
    state.recent = (*state.recent[-RECENT_MAX + 1 :], taken)
    if start.alone:
        state.running += (Running(start.number, start.workflow_id, run_id),)


def _stop_answered(state: Schedule, fact: StopAnswered, now: int) -> bool:
    left = tuple([stop for stop in state.stopping if stop.number != fact.number])
    if fact.incarnation != state.incarnation or len(left) == len(state.stopping):
        return False
    state.stopping = left
    return True


def _closed(state: Schedule, fact: ExecutionClosed, now: int) -> bool:
    """A workflow has ended for good. It may be told before the answer to its start, and more than once."""
    incarnation, _, text = fact.token.rpartition("-")
    if incarnation != state.incarnation:
        return False
    number = int(text)
    start = _find(state, number)
    if start is not None:
        _record(state, start, fact.first_run_id, now)
    alone = any(one.number == number for one in state.running)
    if not alone and not any(one.number == number and one.status == _RUNNING for one in state.recent):
        return False
    state.running = tuple([one for one in state.running if one.number != number])
    state.stopping = tuple([one for one in state.stopping if one.workflow_id != fact.workflow_id])
    state.recent = tuple([one._replace(status=fact.status) if one.number == number else one for one in state.recent])
    if alone:
        _carry(state, fact)
    _pause_on_failure(state, fact)
    return True


def _carry(state: Schedule, fact: ExecutionClosed) -> None:
    """The next workflow is given the last result, and the failure if the last one failed."""
    if fact.status == _COMPLETED:
        state.failure = b""
        state.result = fact.result or state.result
    elif fact.failure:
        state.failure = fact.failure


def _pause_on_failure(state: Schedule, fact: ExecutionClosed) -> None:
    if not state.pause_on_failure or state.paused or fact.status not in (_FAILED, _TIMED_OUT):
        return
    state.paused = True
    state.token += 1
    if fact.status == _FAILED:
        message = failure.Failure.FromString(fact.failure).message
        state.notes = f"paused due to workflow failure: {fact.workflow_id}: {message}"[:NOTES_MAX]
    else:
        state.notes = f"paused due to workflow timeout: {fact.workflow_id}"


_HANDLERS: Final[dict[type, Handler]] = {
    AlarmRang: _rang,
    Update: _update,
    Patch: _patch,
    StartAnswered: _start_answered,
    StopAnswered: _stop_answered,
    ExecutionClosed: _closed,
}
