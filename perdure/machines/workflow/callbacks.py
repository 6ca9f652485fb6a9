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
from perdure.machines.workflow.target import find


def check_room(draft: RunDraft, count: int) -> None:
    """Whether so many more callbacks may be attached to the run."""
    limit = draft.env.limits.callbacks
    held = len(draft.execution.callbacks)
    if count + held > limit:
        raise FailedPrecondition(
            f"cannot attach more than {limit} callbacks to a workflow ({held} callbacks already attached)"
        )


def take_along(ended: Execution, started: history.WorkflowExecutionStartedEventAttributes) -> None:
    """Name the callbacks that still wait in the first event of the run that continues this one."""
    for callback in sorted(ended.callbacks.values(), key=_number):
        if callback.state == STANDBY:
            started.completion_callbacks.append(common.Callback.FromString(callback.spec))


def _number(callback: Callback) -> int:
    return callback.number


def trigger(draft: RunDraft) -> None:
    """The run has closed, and no other run continues it: every callback that waits for that is owed now."""
    for callback in list(draft.execution.callbacks.values()):
        if callback.state == STANDBY:
            draft.put_callback(callback.scheduled())


def wake(draft: RunDraft) -> None:
    """Invocations whose backoff is over are owed again."""
    execution = draft.execution
    while execution.deadlines is not None and execution.deadlines.when <= draft.env.now:
        entry = execution.deadlines
        execution.deadlines = pop(entry)
        callback = execution.callbacks.get(entry.key)
        if callback is not None and awaits(callback, entry.when):
            draft.put_callback(callback.scheduled())


def awaits(callback: Callback, when: int) -> bool:
    """Whether a deadline entry for `when` is still true."""
    return callback.state == BACKING_OFF and callback.next_attempt_time == when


def invoked(step: Step, answer: CallbackInvoked) -> None:
    """An invocation has ended: for good, or to be tried again after a backoff."""
    execution = find(step, answer.run_id)
    callback = execution.callbacks.get(answer.number)
    if callback is None or callback.state != SCHEDULED or callback.attempt != answer.attempt:
        return
    draft = step.edit(execution)
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
    longest = limits.callback_retry_maximum
    interval = longest
    if callback.attempt < 64:
        interval = min(longest, limits.callback_retry_initial << callback.attempt)
    seed = f"{draft.execution.info.run_id}\0{callback.number}\0{callback.attempt}".encode()
    share = int.from_bytes(hashlib.blake2b(seed, digest_size=4).digest(), "big")
    return interval * 4 // 5 + interval // 5 * share // (1 << 32)
