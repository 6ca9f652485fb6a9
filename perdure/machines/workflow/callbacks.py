"""What becomes of completion callbacks: attached, taken along, triggered by the close, tried again (semantics 11.4).

Which callbacks a run has is recorded state (`apply.py`); what became of them is not. A callback whose invocation is
owed is an item of `Execution.calls` like any call to another chain (owed.py); between two attempts it waits in
`Execution.deadlines`, which a closed run has no other use for. What is sent and what the answer means stands in
`invocations.py`.
"""

from __future__ import annotations

import hashlib

from perdure.api import common, failure, history
from perdure.errors import FailedPrecondition
from perdure.machines.deadlines import CALLBACK, pop
from perdure.machines.env import Limits
from perdure.machines.pauses import pause
from perdure.machines.workflow.callback import (
    BACKING_OFF,
    FAILED,
    SCHEDULED,
    STANDBY,
    SUCCEEDED,
    Callback,
)
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.exchange import CallbackInvoked
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.parts import PART_CALLBACK
from perdure.machines.workflow.target import find


def check_room(draft: RunDraft, count: int) -> None:
    """Whether so many more callbacks may be attached to the run."""
    limit = draft.env.limits.callbacks
    held = len(draft.execution.callbacks)
    if count + held > limit:
        raise FailedPrecondition(
            f"cannot attach more than {limit} callbacks to a workflow ({held} callbacks already attached)"
        )


def check_room_of_update(execution: Execution, limits: Limits, update_id: str, count: int) -> None:
    """Whether so many more callbacks may wait for an update."""
    if not limits.update_callbacks or not count:
        return
    held = len(execution.callbacks)
    if count + held > limits.callbacks_beside_updates:
        raise FailedPrecondition(
            f"cannot attach more than {limits.callbacks_beside_updates} callbacks to a workflow "
            f"({held} callbacks already attached)"
        )
    held = len([one for one in execution.callbacks.values() if one.update_id == update_id])
    if count + held > limits.callbacks_per_update:
        raise FailedPrecondition(
            f'cannot attach more than {limits.callbacks_per_update} callbacks to update "{update_id}" '
            f"({held} callbacks already attached)"
        )


def take_along(ended: Execution, started: history.WorkflowExecutionStartedEventAttributes) -> None:
    """Name the callbacks that still wait in the first event of the run that continues this one."""
    for callback in sorted(ended.callbacks.values(), key=_number):
        if callback.state == STANDBY and not callback.update_id:
            started.completion_callbacks.append(common.Callback.FromString(callback.spec))


def _number(callback: Callback) -> int:
    return callback.number


def run_closed(draft: RunDraft, goes_on: bool) -> None:
    """Every callback that still waits is owed now; those for the close not if another run has taken them along."""
    for callback in list(draft.execution.callbacks.values()):
        if callback.state == STANDBY and (callback.update_id or not goes_on):
            draft.put_callback(callback.settled(0, b""))


def update_ended(draft: RunDraft, update_id: str, event_id: int, rejection: bytes = b"") -> None:
    """An update has its outcome: in this event, or it was rejected with this serialized failure."""
    for callback in list(draft.execution.callbacks.values()):
        if callback.state == STANDBY and callback.update_id == update_id:
            draft.put_callback(callback.settled(event_id, rejection))


def await_attempts(draft: RunDraft) -> None:
    """The deadlines were dropped with the close, and callbacks of updates are to be tried again all the same."""
    for callback in draft.execution.callbacks.values():
        if callback.state == BACKING_OFF:
            draft.deadline(callback.next_attempt_time, CALLBACK, callback.number)


def wake(draft: RunDraft) -> None:
    """A closed run's invocations whose backoff is over are owed again."""
    execution = draft.execution
    while execution.deadlines is not None and execution.deadlines.when <= draft.env.now:
        entry = execution.deadlines
        execution.deadlines = pop(entry)
        due(draft, entry.key, entry.when)
        draft.queue_deadlines()


def due(draft: RunDraft, number: int, when: int) -> None:
    """A callback's deadline has come: its invocation is owed again, unless the entry is no longer true."""
    callback = draft.execution.callbacks.get(number)
    if callback is not None and awaits(callback, when):
        draft.put_callback(callback.scheduled())


def awaits(callback: Callback, when: int) -> bool:
    """Whether a deadline entry for `when` is still true."""
    return callback.state == BACKING_OFF and callback.next_attempt_time == when


def invoked(step: Step, answer: CallbackInvoked) -> None:
    """An invocation has ended: for good, or to be tried again after a backoff."""
    execution = find(step, answer.run_id)
    callback = execution.callbacks.get(answer.number)
    if callback is None or callback.state != SCHEDULED:
        return
    draft = step.edit(execution)
    if callback.attempt != answer.attempt:
        # It was taken before, though its bearer was not told so. What has become owed meanwhile had to wait for him.
        draft.call_returned((PART_CALLBACK, answer.number))
        return
    now = draft.env.now
    if not answer.problem:
        draft.put_callback(callback.attempted(SUCCEEDED, now, b"", 0))
        return
    reason = failure.Failure(message=answer.problem)
    reason.application_failure_info.non_retryable = not answer.retryable
    body = reason.SerializeToString()
    if not answer.retryable:
        draft.put_callback(callback.attempted(FAILED, now, body, 0))
        return
    when = now + _backoff(draft, callback)
    draft.put_callback(callback.attempted(BACKING_OFF, now, body, when))
    draft.deadline(when, CALLBACK, callback.number)


def _backoff(draft: RunDraft, callback: Callback) -> int:
    """ns until the next attempt: doubling up to a maximum, less up to a fifth so that not all come at once.

    The share is a function of what is tried, since a machine draws no randomness.
    """
    limits = draft.env.limits
    interval = pause(callback.attempt, limits.callback_retry_initial, limits.callback_retry_maximum)
    seed = f"{draft.execution.info.run_id}\0{callback.number}\0{callback.attempt}".encode()
    share = int.from_bytes(hashlib.blake2b(seed, digest_size=4).digest(), "big")
    return interval * 4 // 5 + interval // 5 * share // (1 << 32)
