"""Pause, unpause, reset and new options for pending activities (semantics 5.7).

None of these writes an event or wakes the workflow: they change unrecorded state. A raised stamp makes matching drop
the task it holds; an attempt that waits is scheduled anew and owed again. What a run of the activity on a worker does
is not stopped: its heartbeats tell it.
"""

from __future__ import annotations

from perdure.api import activity as activities
from perdure.api import command as commands
from perdure.api import common, enums
from perdure.api.times import duration_ns, duration_of
from perdure.errors import FailedPrecondition, InvalidArgument, NotFound
from perdure.machines import priorities, queue_names, retry
from perdure.machines.env import Env
from perdure.machines.workflow import activity_task, pause_info
from perdure.machines.workflow.activity_info import options_of
from perdure.machines.workflow.commands.activity import check_names, timeouts_of
from perdure.machines.workflow.commands.batch import CommandRejected
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.operator_inputs import (
    ActivitySelection,
    PauseActivity,
    ResetActivity,
    UnpauseActivity,
    UpdateActivityOptions,
)
from perdure.machines.workflow.pending_activity import Activity
from perdure.machines.workflow.run_operations import Pause
from perdure.machines.workflow.target import find_running

NO_SUCH_ACTIVITY = "Can't find pending activity with such ID. Invalid activityID or activity already completed"

Options = activities.ActivityOptions


def paused(step: Step, verb: PauseActivity) -> None:
    """PauseActivity: attempts that wait are held back, one that runs is told by its heartbeats."""
    draft, chosen = _chosen(step, verb.run_id, verb.selection)
    pause = Pause(draft.env.now, verb.identity, verb.reason, verb.request_id)
    shown = _paused(draft)
    for pending in chosen:
        if pending.pause is not None:
            if pending.pause.request_id == verb.request_id:
                continue
            raise FailedPrecondition("activity is already paused")
        changed = pending.copy()
        changed.pause = pause
        if not pending.started_time:
            changed.stamp += 1
            changed.offered = False
        activity_task.replace(draft, pending, changed)
    _show_pauses(draft, shown)


def unpaused(step: Step, verb: UnpauseActivity) -> None:
    """UnpauseActivity: what is not paused is left alone; an attempt that waited is offered again, after the jitter."""
    draft, chosen = _chosen(step, verb.run_id, verb.selection)
    shown = _paused(draft)
    for pending in chosen:
        if pending.pause is None:
            continue
        changed = pending.copy()
        _unpause(changed)
        if verb.reset_attempts:
            changed.attempt = 1
        if verb.reset_heartbeat:
            changed.heartbeat_details = b""
            changed.heartbeat_time = 0
        if not changed.started_time:
            _reschedule(draft, changed, draft.env.now + _jitter(draft.env, verb.jitter))
        activity_task.replace(draft, pending, changed)
    _show_pauses(draft, shown)


def reset(step: Step, verb: ResetActivity) -> None:
    """ResetActivity: attempt 1 again; an attempt that waits starts over at once, one that runs keeps running."""
    draft, chosen = _chosen(step, verb.run_id, verb.selection)
    shown = _paused(draft)
    for pending in chosen:
        changed = pending.copy()
        changed.attempt = 1
        changed.activity_reset = True
        changed.reset_heartbeats = changed.reset_heartbeats or verb.reset_heartbeat
        if verb.restore_original:
            _restore(changed, with_priority=False)
            changed.stamp += 1
            changed.offered = False
        was_paused = changed.pause is not None
        if was_paused and not verb.keep_paused:
            _unpause(changed)
        if changed.pause is None and (not changed.started_time or changed.cancel_requested):
            if not was_paused:
                changed.stamp += 1
            if not changed.started_time:
                _reschedule(draft, changed, draft.env.now + _jitter(draft.env, verb.jitter))
        activity_task.replace(draft, pending, changed)
    _show_pauses(draft, shown)


def options_updated(step: Step, verb: UpdateActivityOptions) -> Options:
    """UpdateActivityOptions: what the mask names is replaced, or everything goes back to what the command said."""
    if verb.restore_original and verb.paths:
        raise InvalidArgument("Both UpdateMask and RestoreOriginal are provided")
    find_running(step, verb.run_id)
    if not verb.restore_original and verb.options is None:
        raise InvalidArgument("ActivityOptions are not provided")
    draft, chosen = _chosen(step, verb.run_id, verb.selection)
    if not verb.restore_original and verb.paths is None:
        raise InvalidArgument("UpdateMask is not provided")
    answer = Options()
    for pending in chosen:
        changed = pending.copy()
        if not changed.original_options:
            changed.original_options = options_of(pending).SerializeToString()
        if verb.restore_original:
            answer = _restore(changed, with_priority=True)
        else:
            assert verb.options is not None and verb.paths is not None
            answer = _merged(draft, pending, verb.options, frozenset([_snake(path) for path in verb.paths]))
            _set_options(changed, answer, True)
        changed.stamp += 1
        if not changed.started_time:
            _reschedule(draft, changed, _next_time(changed))
        activity_task.replace(draft, pending, changed)
    return answer


# -- which and how -----------------------------------------------------------------------------------------------------


def _chosen(step: Step, run_id: str, selection: ActivitySelection) -> tuple[RunDraft, list[Activity]]:
    execution = find_running(step, run_id)
    chosen = _select(execution, selection)
    if not chosen:
        raise NotFound(NO_SUCH_ACTIVITY)
    return step.edit(execution), chosen


def _select(execution: Execution, selection: ActivitySelection) -> list[Activity]:
    if selection.activity_id:
        found = execution.activity_ids.get(selection.activity_id)
        return [execution.activities[found]] if found is not None else []
    return [
        execution.activities[key]
        for key in sorted(execution.activities)
        if selection.everything
        or (selection.activity_type and execution.activities[key].activity_type == selection.activity_type)
    ]


def _unpause(changed: Activity) -> None:
    changed.pause = None
    changed.stamp += 1
    if not changed.started_time:
        changed.offered = False


def _reschedule(draft: RunDraft, changed: Activity, when: int) -> None:
    """The waiting attempt starts over at `when`; its last failure is forgotten, as the reference does."""
    changed.last_failure = b""
    activity_task.await_again(draft, changed, when)


def _jitter(env: Env, jitter: int) -> int:
    """Up to `jitter` ns, taken from a fresh id: a machine has no other randomness."""
    return int(env.request_id().replace("-", ""), 16) % jitter if jitter > 0 else 0


def _next_time(pending: Activity) -> int:
    """When the waiting attempt is due under its present policy (ns since the epoch).

    After a timeout nobody knows when the last attempt ended, and the time stays as it is.
    """
    if pending.attempt <= 1 or not pending.last_attempt_complete_time:
        return pending.scheduled_time
    interval = retry.backoff(pending.retry, pending.attempt)
    maximum = pending.retry.maximum_interval
    if maximum and (interval <= 0 or interval > maximum):
        interval = maximum
    return pending.last_attempt_complete_time + interval if interval > 0 else pending.scheduled_time


def _paused(draft: RunDraft) -> frozenset[int]:
    return frozenset([key for key, pending in draft.execution.activities.items() if pending.pause is not None])


def _show_pauses(draft: RunDraft, before: frozenset[int]) -> None:
    """Tell what is paused, if the verb changed it: the end of a paused activity alone does not, as in the reference."""
    if _paused(draft) != before:
        pause_info.show(draft)


# -- options -----------------------------------------------------------------------------------------------------------


def _set_options(changed: Activity, options: Options, with_priority: bool) -> None:
    policy = options.retry_policy
    changed.task_queue = options.task_queue.name
    changed.schedule_to_close = duration_ns(options.schedule_to_close_timeout)
    changed.schedule_to_start = duration_ns(options.schedule_to_start_timeout)
    changed.start_to_close = duration_ns(options.start_to_close_timeout)
    changed.heartbeat_timeout = duration_ns(options.heartbeat_timeout)
    changed.retry = retry.RetryPolicy(
        duration_ns(policy.initial_interval),
        policy.backoff_coefficient,
        duration_ns(policy.maximum_interval),
        policy.maximum_attempts,
        changed.retry.non_retryable_error_types,
    )
    if with_priority:
        changed.priority = priorities.stored(options.priority) if options.HasField("priority") else b""


def _restore(changed: Activity, with_priority: bool) -> Options:
    """Go back to the options of the scheduled event; they were kept when they were first changed."""
    if changed.original_options:
        original = Options.FromString(changed.original_options)
        _set_options(changed, original, with_priority)
        return original
    return options_of(changed)


def _snake(path: str) -> str:
    """A field mask's path by the names of the proto; masks come in camel case as well."""
    return "".join(["_" + letter.lower() if letter.isupper() else letter for letter in path])


_PLAIN = ("schedule_to_close_timeout", "schedule_to_start_timeout", "start_to_close_timeout", "heartbeat_timeout")
_PARTS = (
    ("priority", "Priority", ("priority_key", "fairness_key", "fairness_weight")),
    (
        "retry_policy",
        "RetryPolicy",
        ("initial_interval", "backoff_coefficient", "maximum_interval", "maximum_attempts"),
    ),
)


def _merged(draft: RunDraft, pending: Activity, wanted: Options, paths: frozenset[str]) -> Options:
    """The activity's options with what the mask names replaced; unknown paths are ignored."""
    options = options_of(pending)
    del options.retry_policy.non_retryable_error_types[:]
    if "task_queue.name" in paths:
        if not wanted.HasField("task_queue"):
            raise InvalidArgument("TaskQueue is not provided")
        options.task_queue.name = wanted.task_queue.name
    for field in _PLAIN:
        if field in paths:
            _copy(options, wanted, field)
    for field, shown, parts in _PARTS:
        _merge_part(options, wanted, field, shown, parts, paths)
    if any(path.startswith("retry_policy.") for path in paths):
        # The reference checks a policy that is changed in part only (seen on server 1.32).
        _check_policy(options.retry_policy)
    _adjust(draft, pending, options)
    return options


def _copy(into: common.Priority | common.RetryPolicy | Options, source: object, field: str) -> None:
    into.ClearField(field)  # type: ignore[arg-type]  # names of its fields
    value = getattr(source, field)
    if isinstance(value, (int, float, str)):
        setattr(into, field, value)
    elif source.HasField(field):  # type: ignore[attr-defined]  # a message
        getattr(into, field).CopyFrom(value)


def _merge_part(
    options: Options, wanted: Options, field: str, shown: str, parts: tuple[str, ...], paths: frozenset[str]
) -> None:
    if field in paths:
        if field == "retry_policy" and not wanted.HasField("retry_policy"):
            raise InvalidArgument("RetryPolicy is not provided")
        _copy(options, wanted, field)
    for part in parts:
        if f"{field}.{part}" in paths:
            if not wanted.HasField(field):  # type: ignore[arg-type]  # one of two names
                raise InvalidArgument(f"{shown} is not provided")
            _copy(getattr(options, field), getattr(wanted, field), part)
            getattr(options, field).SetInParent()


def _check_policy(policy: common.RetryPolicy) -> None:
    bad = retry.validate(policy)
    if bad is None and policy.maximum_attempts != 1 and policy.backoff_coefficient < 1:
        bad = "BackoffCoefficient cannot be less than 1 on retry policy."
    if bad is not None:
        raise InvalidArgument(bad)


def _adjust(draft: RunDraft, pending: Activity, options: Options) -> None:
    """Check and normalise as a SCHEDULE_ACTIVITY_TASK command without a run timeout (semantics 4.1)."""
    limits = draft.env.limits
    own_queue = draft.execution.info.task_queue
    bad = queue_names.invalid_queue(options.task_queue, limits.id_length, own_queue)
    if bad is not None:
        raise InvalidArgument(bad)
    attributes = commands.ScheduleActivityTaskCommandAttributes(
        activity_id=pending.activity_id,
        activity_type=common.ActivityType(name=pending.activity_type),
        schedule_to_close_timeout=options.schedule_to_close_timeout,
        schedule_to_start_timeout=options.schedule_to_start_timeout,
        start_to_close_timeout=options.start_to_close_timeout,
        heartbeat_timeout=options.heartbeat_timeout,
    )
    options.task_queue.kind = enums.TASK_QUEUE_KIND_NORMAL
    try:
        check_names(attributes, limits.id_length)
        timeouts = timeouts_of(attributes, 0)
    except CommandRejected as rejected:
        raise InvalidArgument(rejected.message) from rejected
    options.schedule_to_close_timeout.CopyFrom(duration_of(timeouts[0]))
    options.schedule_to_start_timeout.CopyFrom(duration_of(timeouts[1]))
    options.start_to_close_timeout.CopyFrom(duration_of(timeouts[2]))
    options.heartbeat_timeout.CopyFrom(duration_of(timeouts[3]))
