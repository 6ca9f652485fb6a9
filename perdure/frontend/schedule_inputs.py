"""Requests about schedules as inputs of the machine: checks in Temporal's order, canonical specs (semantics 13.2).

What a start of the schedule's workflow would be refused for is refused here already: a schedule that can never start
anything is no use. Conflict tokens are 8 bytes; anything shorter counts as none, as in the reference.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.api import common, enums, workflow, workflowservice
from perdure.api.schedule import Schedule as Definition
from perdure.api.schedule import SchedulePatch
from perdure.clock import SECOND
from perdure.errors import InvalidArgument
from perdure.frontend import search_attribute_inputs, sizes, start_inputs, validate
from perdure.frontend.services import Call, Services
from perdure.machines.schedule.inputs import Create, Patch, Update
from perdure.machines.schedule.spec import canonical
from perdure.machines.schedule.text import BadSpec
from perdure.machines.workflow.start_fields import take_over

HIDDEN_PREFIX: Final = "temporal-sys-scheduler:"
"""The reference runs a schedule as a workflow of this id, so ids of schedules have that much less room."""
TIME_SUFFIX: Final = "-2009-11-10T23:00:00Z"
"""What the id of a started workflow may end with."""
NOTES_BYTES_MAX: Final = 1000
_SECONDS_MIN, _SECONDS_MAX = -9_223_372_035, 9_223_372_035
"""The years 1677 to 2262: what int64 holds in ns. No schedule names a time after 2100."""
_TOKEN_BYTES: Final = 8


def create(services: Services, call: Call, request: workflowservice.CreateScheduleRequest) -> Create:
    """CreateSchedule; completes the request in place."""
    limit = services.view(call).limits.id_length
    if not request.schedule_id:
        raise InvalidArgument("ScheduleId is not set on request.")
    validate.workflow_id(HIDDEN_PREFIX + request.schedule_id, limit)
    if not request.request_id:
        raise InvalidArgument("RequestId is not set on request.")
    _request_id(request, limit)
    _canonicalise(request.schedule)
    _action(services, call, request.schedule)
    found = _search_attributes(services, call, request)
    patch = request.initial_patch if request.HasField("initial_patch") else None
    if patch is not None:
        _check_patch(patch)
    sizes.check_payloads(services, call, request.schedule)
    sizes.check_memo(services, call, request.memo)
    return Create(request.schedule, patch, request.request_id, request.memo.SerializeToString(), found)


def update(services: Services, call: Call, request: workflowservice.UpdateScheduleRequest) -> Update:
    """UpdateSchedule; completes the request in place."""
    _request_id(request, services.view(call).limits.id_length)
    _action(services, call, request.schedule)
    _canonicalise(request.schedule)
    found = _search_attributes(services, call, request) if request.HasField("search_attributes") else None
    if not request.schedule.action.HasField("start_workflow"):
        raise InvalidArgument("Only StartWorkflow action is supported for schedules")
    sizes.check_payloads(services, call, request.schedule)
    sizes.check_memo(services, call, request.memo)
    memo = request.memo.SerializeToString() if request.HasField("memo") else None
    token = int.from_bytes(request.conflict_token[:_TOKEN_BYTES], "big")
    if len(request.conflict_token) < _TOKEN_BYTES:
        token = 0
    return Update(request.schedule, token, request.request_id, memo, found)


def patch(services: Services, call: Call, request: workflowservice.PatchScheduleRequest) -> Patch:
    """PatchSchedule."""
    if not request.HasField("patch"):
        raise InvalidArgument("Patch is not set on request.")
    _request_id(request, services.view(call).limits.id_length)
    _check_patch(request.patch)
    sizes.check_payloads(services, call, request.patch)
    return Patch(request.patch, request.request_id)


def start_request(start: workflow.NewWorkflowExecutionInfo) -> workflowservice.StartWorkflowExecutionRequest:
    """The start that an action stands for; who makes it adds ids, identity, and what the schedule carries along."""
    request = workflowservice.StartWorkflowExecutionRequest(workflow_id=start.workflow_id)
    take_over(request, start, "user_metadata", "priority")
    return request


def _request_id(request: Any, limit: int) -> None:
    if validate.too_long(request.request_id, limit):
        raise InvalidArgument("RequestId length exceeds limit.")


def _canonicalise(definition: Definition) -> None:
    try:
        definition.spec.CopyFrom(canonical(definition.spec))
    except BadSpec as wrong:
        raise InvalidArgument(f"Invalid schedule spec: {wrong}") from None


def _action(services: Services, call: Call, definition: Definition) -> None:
    """The workflow to start, checked as its start will be; its task queue gets its kind."""
    if not definition.action.HasField("start_workflow"):
        return
    start = definition.action.start_workflow
    limit = services.view(call).limits.id_length
    validate.workflow_id(start.workflow_id + TIME_SUFFIX, limit)
    if start.cron_schedule:
        raise InvalidArgument("Scheduled workflow must not contain CronSchedule")
    allowed = (enums.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED, enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE)
    if start.workflow_id_reuse_policy not in allowed:
        raise InvalidArgument("Scheduled workflow must not contain WorkflowIDReusePolicy")
    request = start_request(start)
    request.workflow_id = start.workflow_id + TIME_SUFFIX
    start_inputs.prepare_start(services, call, request)
    start.task_queue.CopyFrom(request.task_queue)


def _search_attributes(services: Services, call: Call, request: Any) -> bytes:
    found = common.SearchAttributes()
    for name, body in search_attribute_inputs.of_request(services, call, request).items():
        found.indexed_fields[name].MergeFromString(body)
    return found.SerializeToString()


def _check_patch(wanted: SchedulePatch) -> None:
    if max(len(wanted.pause.encode()), len(wanted.unpause.encode())) > NOTES_BYTES_MAX:
        raise InvalidArgument("Schedule notes exceeds limit.")
    if wanted.HasField("trigger_immediately") and wanted.trigger_immediately.HasField("scheduled_time"):
        _check_time(wanted.trigger_immediately.scheduled_time)
    for request in wanted.backfill_request:
        _check_time(request.start_time)
        _check_time(request.end_time)


def _check_time(time: Any) -> None:
    if not _SECONDS_MIN <= time.seconds <= _SECONDS_MAX or not 0 <= time.nanos < SECOND:
        raise InvalidArgument("invalid timestamp")
