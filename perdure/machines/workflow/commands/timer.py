"""START_TIMER and CANCEL_TIMER (semantics 4.3). Firing is not decided here: the alarm does it."""

from __future__ import annotations

from perdure.api import command as commands
from perdure.api import enums, history
from perdure.api.times import BadDuration, checked_duration_ns, set_duration
from perdure.machines.workflow.commands.batch import Batch, CommandRejected
from perdure.machines.workflow.draft import RunDraft

_BAD_START = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES
_BAD_CANCEL = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES
_DUPLICATE = enums.WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID


def start_timer(batch: Batch, command: commands.Command) -> None:
    """Start a user timer; a duration of 0 fires at once, but after this completion (Appendix F 18)."""
    if not command.HasField("start_timer_command_attributes"):
        raise CommandRejected(_BAD_START, "StartTimerCommandAttributes is not set on StartTimerCommand.")
    wanted = command.start_timer_command_attributes
    _check_id(batch, _BAD_START, wanted.timer_id, "StartTimerCommand")
    try:
        duration = checked_duration_ns(wanted.start_to_fire_timeout)
    except BadDuration as bad:
        text = f"An invalid StartToFireTimeout is set on StartTimerCommand: {bad}. TimerId={wanted.timer_id}"
        raise CommandRejected(_BAD_START, text) from bad
    if wanted.timer_id in batch.execution.timers:
        raise CommandRejected(
            _DUPLICATE,
            f"invalid history builder state for action: add-timer-started-event, TimerID: {wanted.timer_id}",
        )
    attributes = history.TimerStartedEventAttributes()
    attributes.timer_id = wanted.timer_id
    attributes.workflow_task_completed_event_id = batch.completed_event_id
    if wanted.HasField("start_to_fire_timeout"):
        set_duration(attributes.start_to_fire_timeout, duration)
    batch.record(enums.EVENT_TYPE_TIMER_STARTED, attributes, command)


def cancel_timer(batch: Batch, command: commands.Command) -> None:
    """Cancel a timer that runs, or take back one that has fired while this workflow task ran."""
    if not command.HasField("cancel_timer_command_attributes"):
        raise CommandRejected(_BAD_CANCEL, "CancelTimerCommandAttributes is not set on CancelTimerCommand.")
    timer_id = command.cancel_timer_command_attributes.timer_id
    _check_id(batch, _BAD_CANCEL, timer_id, "CancelTimerCommand")
    timer = batch.execution.timers.get(timer_id)
    started_event_id = timer.started_event_id if timer is not None else _take_back_firing(batch.draft, timer_id)
    if not started_event_id:
        raise CommandRejected(
            _BAD_CANCEL, f"invalid history builder state for action: add-timer-canceled-event, TimerID: {timer_id}"
        )
    attributes = history.TimerCanceledEventAttributes(
        timer_id=timer_id,
        started_event_id=started_event_id,
        workflow_task_completed_event_id=batch.completed_event_id,
        identity=batch.request.identity,
    )
    batch.record(enums.EVENT_TYPE_TIMER_CANCELED, attributes, command)
    batch.has_buffered = batch.has_buffered and batch.draft.has_buffered


def _check_id(batch: Batch, cause: int, timer_id: str, command_name: str) -> None:
    if not timer_id:
        raise CommandRejected(cause, f"TimerId is not set on {command_name}.")
    size = len(timer_id.encode())
    limit = batch.env.limits.id_length
    if size > limit:
        raise CommandRejected(
            cause, f"TimerId on {command_name} exceeds length limit. TimerId={timer_id} Length={size} Limit={limit}"
        )


def _take_back_firing(draft: RunDraft, timer_id: str) -> int:
    """Remove the timer's firing from the buffer; returns its started event id, or 0 when there is none."""
    for event in draft.buffered_events():
        if event.event_type == enums.EVENT_TYPE_TIMER_FIRED and event.timer_fired_event_attributes.timer_id == timer_id:
            started_event_id = event.timer_fired_event_attributes.started_event_id
            taken = draft.undo_buffered(enums.EVENT_TYPE_TIMER_FIRED, started_event_id)
            assert taken, "what stands in the buffer can be taken back"
            return started_event_id
    return 0
