"""The failures that the server itself makes, and cutting down the ones that workers send (semantics 3.7, 5.3 - 5.6).

Nothing here decides when a failure is due; machines do. A `Failure` comes in and goes out as a message; state holds it
serialized. Payloads inside are never looked at.
"""

from __future__ import annotations

from typing import Final

from perdure.api import common, enums
from perdure.api.failure import (
    ApplicationFailureInfo,
    Failure,
    ResetWorkflowFailureInfo,
    ServerFailureInfo,
    TimeoutFailureInfo,
)
from perdure.api.names import short_name
from perdure.api.times import duration_of

SOURCE_SERVER: Final = "Server"

COMPLETE_RESULT_EXCEEDS_LIMIT: Final = "Complete result exceeds size limit."
FAILURE_EXCEEDS_LIMIT: Final = "Failure exceeds size limit."
CANCEL_DETAILS_EXCEED_LIMIT: Final = "Cancel details exceed size limit."
HEARTBEAT_DETAILS_EXCEED_LIMIT: Final = "Heartbeat details exceed size limit."
HISTORY_SIZE_EXCEEDS_LIMIT: Final = "Workflow history size exceeds limit."
HISTORY_COUNT_EXCEEDS_LIMIT: Final = "Workflow history count exceeds limit."
MUTABLE_STATE_SIZE_EXCEEDS_LIMIT: Final = "Workflow mutable state size exceeds limit."
TRANSACTION_SIZE_EXCEEDS_LIMIT: Final = "Transaction size exceeds limit."
RETRY_OUTLIVES_ACTIVITY: Final = (
    "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
)
WORKFLOW_TIMEOUT: Final = "workflow timeout"

_CAUSES_DEPTH_MAX = 20
_FIELD_OVERHEAD = 4
"""Bytes reserved for the tag and length of each kept field."""


def activity_timeout_message(timeout_type: int) -> str:
    """Message of an activity's timeout failure (semantics 5.6)."""
    return f"activity {short_name(enums.TimeoutType, timeout_type)} timeout"


def server_failure(message: str, non_retryable: bool = False, source: str = "") -> Failure:
    """A failure that the server found; a failed workflow task sets `source` (semantics 3.5), others do not."""
    return Failure(message=message, source=source, server_failure_info=ServerFailureInfo(non_retryable=non_retryable))


def timeout_failure(
    message: str,
    timeout_type: enums.TimeoutType.ValueType,
    last_heartbeat_details: common.Payloads | None = None,
    cause: Failure | None = None,
) -> Failure:
    """An activity's or a workflow's timeout; an activity's carries its last heartbeat details and last failure."""
    info = TimeoutFailureInfo(timeout_type=timeout_type, last_heartbeat_details=last_heartbeat_details)
    return Failure(message=message, source=SOURCE_SERVER, timeout_failure_info=info, cause=cause)


def reset_workflow_failure(message: str, last_heartbeat_details: common.Payloads | None = None) -> Failure:
    """What a reset gives to the failed workflow task and to activities that were running (semantics 7.4)."""
    info = ResetWorkflowFailureInfo(last_heartbeat_details=last_heartbeat_details)
    return Failure(message=message, reset_workflow_failure_info=info)


def application_failure(
    message: str,
    failure_type: str = "",
    non_retryable: bool = False,
    details: common.Payloads | None = None,
    next_retry_delay_ns: int | None = None,
) -> Failure:
    """A failure as a worker would report it."""
    info = ApplicationFailureInfo(type=failure_type, non_retryable=non_retryable, details=details)
    if next_retry_delay_ns is not None:
        info.next_retry_delay.CopyFrom(duration_of(next_retry_delay_ns))
    return Failure(message=message, application_failure_info=info)


def replace_oversized(failure: Failure, size_max: int, cause_size_max: int, non_retryable: bool) -> Failure:
    """The failure itself while it serializes to at most `size_max` bytes, else a server failure around a cut copy.

    A worker's report is judged against `limit.blobSize.error` and cut to `limit.blobSize.warn`, not retryable
    (semantics 3.7, 5.3); the failure kept between attempts uses `limit.mutableStateActivityFailureSize.error` for both
    and stays retryable (5.5).
    """
    if failure.ByteSize() <= size_max:
        return failure
    replaced = server_failure(FAILURE_EXCEEDS_LIMIT, non_retryable)
    replaced.cause.CopyFrom(truncated(failure, cause_size_max))
    return replaced


def truncated(failure: Failure, size_max: int) -> Failure:
    """A copy of at most about `size_max` bytes: details and payloads go, texts are cut, causes go last.

    Kept in this order while bytes last: type and retryability, source, message, stack trace, cause (to a depth of 20).
    """
    return _truncated(failure, size_max, _CAUSES_DEPTH_MAX)


def _truncated(failure: Failure, size_max: int, depth: int) -> Failure:
    kept = Failure()
    left = size_max
    which = failure.WhichOneof("failure_info")
    if which == "application_failure_info":
        info = failure.application_failure_info
        kind = _cut(info.type, left)
        left -= _cost(kind) + 2 * _FIELD_OVERHEAD
        kept.application_failure_info.CopyFrom(ApplicationFailureInfo(type=kind, non_retryable=info.non_retryable))
    elif which == "server_failure_info":
        left -= _FIELD_OVERHEAD
        kept.server_failure_info.CopyFrom(ServerFailureInfo(non_retryable=failure.server_failure_info.non_retryable))
    kept.source = _cut(failure.source, left)
    left -= _cost(kept.source)
    kept.message = _cut(failure.message, left)
    left -= _cost(kept.message)
    kept.stack_trace = _cut(failure.stack_trace, left)
    left -= _cost(kept.stack_trace)
    if failure.HasField("cause") and left > _FIELD_OVERHEAD and depth > 0:
        kept.cause.CopyFrom(_truncated(failure.cause, left - _FIELD_OVERHEAD, depth - 1))
    return kept


def _cut(text: str, size_max: int) -> str:
    """At most `size_max` bytes of UTF-8, never half a character."""
    return text.encode()[: max(0, size_max)].decode(errors="ignore")


def _cost(text: str) -> int:
    return len(text.encode()) + _FIELD_OVERHEAD if text else 0


def update_outlived_by_run() -> Failure:
    """The outcome of an update that was accepted and not completed when its run closed (semantics 8.2)."""
    failure = application_failure(
        "Workflow Update failed because the Workflow completed before the Update completed.",
        "AcceptedUpdateCompletedWorkflow",
        non_retryable=True,
    )
    failure.source = SOURCE_SERVER
    return failure
