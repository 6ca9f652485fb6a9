"""Which scenarios and tests stand for which rule: a map for readers, held true by `test_coverage.py`.

A name is a scenario ("file.function") or a test ("tests/…/file.py::function").
"""

from __future__ import annotations

SUBTLE_POINTS: dict[int, tuple[str, ...]] = {
    1: ("start.same_request_id", "start.eager_again"),
    2: ("signals.deduplicated", "signals.start_twice_with_request_id", "chain.signals_do_not_follow"),
    3: ("timers.fired_in_buffer_then_cancelled", "activities.cancel_of_buffered_completion"),
    4: ("signals.unhandled_command", "signals.during_close"),
    5: ("updates.rejected", "speculative.rejected_with_events", "workflow_task.transient"),
    6: (
        "workflow_task.sticky_delivery",
        "workflow_task.sticky_cleared_by_completion_without",
        "workflow_task.failure_of_sticky_task",
        "workflow_task.sticky_timeout",
        "workflow_task.reset_sticky",
        "workflow_task.sticky_without_poller",
    ),
    7: ("workflow_task.sticky_timeout", "workflow_task.failure_of_sticky_task"),
    8: ("workflow_task.transient", "workflow_task.bad_command_in_second_attempt"),
    9: ("queries.direct", "queries.buffered", "queries.second_buffered"),
    10: ("queries.direct",),
    11: ("updates.same_id_again",),
    12: ("updates.completed_before_acceptance_is_told", "updates.wait_policies"),
    13: ("children.policy_at_continue_as_new", "children.close_policies"),
    14: ("children.continued", "children.retried"),
    15: (
        "activity_timeouts.start_to_close_retried",
        "activity_timeouts.heartbeat_retried",
        "activities.heartbeat_details_reach_next_attempt",
    ),
    16: ("activities.after_close",),
    17: ("activities.next_retry_delay",),
    18: ("timers.zero_duration",),
    19: ("chain.run_timeout_with_retry",),
    20: ("chain.execution_timeout_is_absolute", "chain.execution_timeout_of_second_run", "reset.timeouts_start_over"),
    21: ("reset.closed_run", "reset.running_run", "reset.continued"),
    22: ("deletion.current_run_of_several",),
    23: ("listing.delayed",),
    24: ("visibility_lists.grouped",),
    25: ("properties.upserted", "start.null_memo_and_attributes_vanish"),
    26: ("history.close_filter_waits", "history.close_filter", "chain.continued"),
    27: ("schedule_actions.overlap_skip",),
    28: ("tests/matching/test_service.py::test_a_connection_with_thousands_of_polls_may_break_at_once",),
    29: ("queries.answered_after_the_deadline",),
    30: ("start.without_request_id_and_identity",),
    31: ("tests/machines/test_workflow_properties.py::test_every_life_passes_the_audit",),
    32: ("properties.upserted_with_types", "start.typed_by_the_client"),
    33: ("chain.continued_with_everything",),
    34: ("cron.completed_then_failed",),
    35: ("activities.eager_undone", "pause.activities"),
    36: ("workflow_task.queue_waits_for_worker",),
    37: ("empty_requests.unknown_workflow", "empty_requests.malformed_run_id"),
    38: ("cancel_terminate.terminate_of_closed_run", "cancel_terminate.cancel_of_closed_run"),
    39: ("updates.accepted_first", "pause.accepted_update"),
    40: ("children.id_in_use", "children.id_reuse"),
}
"""Appendix F of the semantics, point by point. Of 24 and 27 the halves that concern the reference's own insides (its
hidden workflows, a schedule's workflow started by hand) are not shown by any scenario."""

FAILURE_CAUSES: dict[str, str] = {
    "UNHANDLED_COMMAND": "signals.unhandled_command",
    "BAD_SCHEDULE_ACTIVITY_ATTRIBUTES": "bad_commands.schedule_activity_times",
    "BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES": "bad_commands.cancel_unknown_activity",
    "BAD_START_TIMER_ATTRIBUTES": "bad_commands.timers",
    "BAD_CANCEL_TIMER_ATTRIBUTES": "bad_commands.timers",
    "BAD_RECORD_MARKER_ATTRIBUTES": "bad_commands.markers",
    "BAD_COMPLETE_WORKFLOW_EXECUTION_ATTRIBUTES": "bad_commands.no_attributes",
    "BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES": "bad_commands.closing",
    "BAD_CANCEL_WORKFLOW_EXECUTION_ATTRIBUTES": "bad_commands.no_attributes",
    "BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES": "external.refused_cancels",
    "BAD_CONTINUE_AS_NEW_ATTRIBUTES": "bad_commands.continue_as_new_attributes",
    "START_TIMER_DUPLICATE_ID": "bad_commands.timers",
    "RESET_STICKY_TASK_QUEUE": "workflow_task.failure_fields",
    "WORKFLOW_WORKER_UNHANDLED_FAILURE": "workflow_task.failure_fields",
    "BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES": "external.refused_signals",
    "BAD_START_CHILD_EXECUTION_ATTRIBUTES": "children.refused",
    "FORCE_CLOSE_COMMAND": "cancel_terminate.terminated_while_task_runs",
    "RESET_WORKFLOW": "reset.closed_run",
    "FAILOVER_CLOSE_COMMAND": "workflow_task.failures_that_begin_anew",
    "BAD_BINARY": "workflow_task.failure_fields",
    "SCHEDULE_ACTIVITY_DUPLICATE_ID": "bad_commands.schedule_activity_duplicate",
    "BAD_SEARCH_ATTRIBUTES": "bad_commands.search_attributes",
    "NON_DETERMINISTIC_ERROR": "workflow_task.failure_fields",
    "BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES": "bad_commands.memos",
    "PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED": "limits.pending_children",
    "PENDING_ACTIVITIES_LIMIT_EXCEEDED": "limits.pending_activities",
    "PENDING_SIGNALS_LIMIT_EXCEEDED": "limits.pending_externals",
    "PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED": "limits.pending_externals",
    "BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE": "speculative.bad_messages",
    "BAD_SCHEDULE_NEXUS_OPERATION_ATTRIBUTES": "bad_commands.nexus_operations",
    "BAD_REQUEST_CANCEL_NEXUS_OPERATION_ATTRIBUTES": "bad_commands.nexus_operations",
    "PAYLOADS_TOO_LARGE": "workflow_task.failure_fields",
    "EXTERNAL_STORAGE_FAILURE": "workflow_task.failure_fields",
    "WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED": "pause.before_the_first_task",
}
"""Causes of failed workflow tasks by a scenario whose transcript shows them (inventory 3.3)."""

CAUSES_NOT_SHOWN: dict[str, str] = {
    "UNSPECIFIED": "means that a worker gave none",
    "BAD_SIGNAL_INPUT_SIZE": "never produced",
    "UNHANDLED_UPDATE": "never produced",
    "PENDING_NEXUS_OPERATIONS_LIMIT_EXCEEDED": "Nexus operations are not built",
    "FEATURE_DISABLED": "ours, of what is not built (test_workflow_completion.py); the reference has none",
    "GRPC_MESSAGE_TOO_LARGE": "no event has it: the run is terminated, workflow_task.failure_message_too_large",
    "REQUEST_TOO_LARGE": "paged completions are off in the reference",
}

MESSAGES: dict[str, str] = {
    "workflow execution already completed": "cancel_terminate.terminate_of_closed_run",
    "workflow not found for ID": "empty_requests.unknown_workflow",
    "workflow execution not found": "cancel_terminate.first_execution_run_id",
    "is already running. WorkflowId": "start.conflict_with_running",
    "already finished successfully": "start.reuse_after_completion",
    "already finished. WorkflowId": "id_policies.on_completed_run",
    "is not found": "empty_requests.unknown_namespace",
    "limit on number of concurrent in-flight updates has been reached": "updates.too_many_in_flight",
    "Context timeout is too short": "workflow_task.poll_bounds",
    "Invalid RunId.": "empty_requests.malformed_run_id",
    "Error deserializing task token.": "empty_requests.bad_task_tokens",
    "Workflow task not found.": "workflow_task.completing_twice",
    "invalid activityID or activity already timed out or invoking workflow is completed": "activities.stale_tokens",
    "Can't find pending activity with such ID": "activity_operations.unknown_activities",
    "unable to mark activity as canceled without activity being request canceled": "activities.cancel_of_running",
    "exceeded workflow execution limit for signal events": "limits.signals",
    "Workflow task is not scheduled yet.": "queries.deadline_before_first_task",
    "Workflow execution closed before WorkflowTaskStarted event": "queries.closed_before_first_task",
    "Unable to query workflow due to Workflow Task in failed state": "queries.while_task_fails",
    "consistent query buffer is full": "queries.second_buffered",
    "workflow update was aborted by closing workflow": "updates.terminated",
    "workflow operation can not be applied because workflow is closing": "signals.during_close",
    "due to unexpected workflow task failure": "updates.server_fails_task",
    "Update-with-Start could not be executed": "update_with_start.existing_run_refuses",
    "RunId in the request does not match the NextPageToken.": "history.token_of_other_run",
}
"""Texts that suites and SDKs look for (inventory 5.4, and the reference's table of errors), by a scenario that shows
them. "Request unauthorized" is shown by the tests of authorization; the dev server has none."""

TIMEOUTS: dict[str, str] = {
    "activity ScheduleToStart timeout": "activity_timeouts.schedule_to_start",
    "activity StartToClose timeout": "activity_timeouts.start_to_close_once",
    "activity Heartbeat timeout": "activity_timeouts.heartbeat_once",
    "activity ScheduleToClose timeout": "activity_timeouts.schedule_to_close_running",
    "event 4 WORKFLOW_TASK_TIMED_OUT": "workflow_task.start_to_close_timeout",
    "timeout_type: TIMEOUT_TYPE_SCHEDULE_TO_START": "speculative.never_polled",
    "WORKFLOW_EXECUTION_TIMED_OUT": "chain.execution_timeout",
    "CHILD_WORKFLOW_EXECUTION_TIMED_OUT": "children.timeout",
    "TIMER_FIRED": "timers.fires",
}
"""Every timeout, by a scenario that lets it pass."""

ID_POLICIES: tuple[str, ...] = (
    "id_policies.on_open_run",
    "id_policies.on_completed_run",
    "id_policies.on_failed_run",
    "id_policies.on_other_ends",
)
"""Every pair of reuse and conflict policy stands in each of these."""
