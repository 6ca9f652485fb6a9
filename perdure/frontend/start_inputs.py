"""From a start request to the machine's input: checks in Temporal's order and defaults (semantics 2.1). No I/O.

What is not built yet is refused, never ignored: overrides to versions, time skipping.
"""

from __future__ import annotations

from typing import Any

from perdure.api import enums, history, workflowservice
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument, Unimplemented
from perdure.frontend import callback_checks, links, search_attribute_inputs, sizes, validate
from perdure.frontend.services import Call, Services
from perdure.machines import cron
from perdure.machines.workflow import overrides
from perdure.machines.workflow.inputs import Signal
from perdure.machines.workflow.start_fields import take_over
from perdure.machines.workflow.start_inputs import Start

StartRequest = workflowservice.StartWorkflowExecutionRequest
SignalWithStartRequest = workflowservice.SignalWithStartWorkflowExecutionRequest


def prepare_start(services: Services, call: Call, request: StartRequest) -> Start:
    """StartWorkflowExecution as an input; raises `InvalidArgument` or `Unimplemented`.

    Completes the request in place.
    """
    limits = services.view(call).limits
    limit = limits.id_length
    validate.default_id_policies(request, enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
    validate.workflow_id(request.workflow_id, limit)
    _retry_policy(services, call, request)
    delay = validate.start_delay(request)
    delay = _cron(services, request) or delay
    if not request.workflow_type.name:
        raise InvalidArgument("WorkflowType is not set on request.")
    if validate.too_long(request.workflow_type.name, limit):
        raise InvalidArgument("WorkflowType length exceeds limit.")
    validate.user_task_queue(request.task_queue, request.HasField("task_queue"), limit)
    validate.workflow_timeouts(request)
    if not request.request_id:
        request.request_id = services.ids.request_id()
    elif validate.too_long(request.request_id, limit):
        raise InvalidArgument("RequestId length exceeds limit.")
    validate.id_policies(request.workflow_id_reuse_policy, request.workflow_id_conflict_policy)
    if request.HasField("on_conflict_options"):
        options = request.on_conflict_options
        if options.attach_completion_callbacks and not options.attach_request_id:
            raise InvalidArgument("attaching request ID is required for attaching completion callbacks")
    found = search_attribute_inputs.of_request(services, call, request)
    if request.HasField("priority"):
        validate.priority(request.priority)
    _callbacks(services, call, request)
    _not_built(request)
    sizes.check_start(services, call, request)
    return Start(request, found, delay)


def _callbacks(services: Services, call: Call, request: StartRequest) -> None:
    """Completion callbacks, and links, of which those that a callback has already are dropped."""
    callbacks = request.completion_callbacks
    if not callbacks:
        links.check(services, call, request.links)
        return
    callback_checks.check(services, call, callbacks)
    theirs = [link for callback in callbacks for link in callback.links]
    kept = [link for link in request.links if link not in theirs]
    del request.links[:]
    request.links.extend(kept)
    links.check(services, call, [*kept, *theirs])


def _cron(services: Services, request: Any) -> int:
    """ns until the first run of a cron schedule, 0 without one."""
    if not request.cron_schedule:
        return 0
    try:
        schedule = cron.parse(request.cron_schedule)
    except cron.BadSchedule:
        raise InvalidArgument("invalid CronSchedule.") from None
    now = services.clock.now_ns()
    wait = cron.backoff(schedule, now, now)
    if wait is None:
        raise InvalidArgument("invalid CronSchedule, no time can be found to satisfy the schedule")
    return wait


def prepare_signal_with_start(services: Services, call: Call, request: SignalWithStartRequest) -> Start:
    """SignalWithStartWorkflowExecution as an input (semantics 2.6).

    Its checks come in an order and with texts of their own.
    """
    limit = services.view(call).limits.id_length
    first_run = _cron(services, request)
    validate.workflow_id(request.workflow_id, limit)
    if not request.signal_name:
        raise InvalidArgument("signal not set")
    _named("signal name", request.signal_name, limit)
    if not request.workflow_type.name:
        raise InvalidArgument("workflow type not set")
    _named("workflow type name", request.workflow_type.name, limit)
    validate.user_task_queue(request.task_queue, request.HasField("task_queue"), limit)
    if not request.request_id:
        request.request_id = services.ids.request_id()
    _named("Request ID", request.request_id, limit)
    validate.workflow_timeouts(request)
    _retry_policy(services, call, request)
    delay = validate.start_delay(request) or first_run
    validate.id_policies(request.workflow_id_reuse_policy, request.workflow_id_conflict_policy)
    if request.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL:
        raise InvalidArgument(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation."
        )
    validate.default_id_policies(request, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
    found = search_attribute_inputs.of_request(services, call, request)
    validate.priority(request.priority)
    links.check(services, call, request.links)
    _not_built(request)
    sizes.check_payloads(services, call, request.signal_input)
    sizes.check_start(services, call, request)
    signal = Signal("", _signal_attributes(request), request.request_id, tuple(request.links))
    return Start(_as_start(request), found, delay, signal)


def _named(what: str, text: str, limit: int) -> None:
    if validate.too_long(text, limit):
        raise InvalidArgument(f"{what} exceeds maximum allowed length ({validate.byte_length(text)}/{limit})")


def _retry_policy(services: Services, call: Call, request: Any) -> None:
    if request.HasField("retry_policy"):
        defaults = services.config.get(settings.HISTORY_DEFAULT_WORKFLOW_RETRY_POLICY, call.namespace.name)
        validate.retry_policy(request.retry_policy, defaults)


def _not_built(request: Any) -> None:
    """Uses that a later version brings."""
    if request.HasField("time_skipping_config"):
        raise Unimplemented("The Time-Skipping feature is not enabled for namespace.")
    if request.HasField("versioning_override"):
        overrides.check(request.versioning_override, request.task_queue.name)


def _signal_attributes(request: SignalWithStartRequest) -> history.WorkflowExecutionSignaledEventAttributes:
    signaled = history.WorkflowExecutionSignaledEventAttributes(
        signal_name=request.signal_name, identity=request.identity, request_id=request.request_id
    )
    if request.HasField("signal_input"):
        signaled.input.CopyFrom(request.signal_input)
    if request.HasField("header"):
        signaled.header.CopyFrom(request.header)
    return signaled


def _as_start(request: SignalWithStartRequest) -> StartRequest:
    start = StartRequest(
        namespace=request.namespace,
        workflow_id=request.workflow_id,
        identity=request.identity,
        request_id=request.request_id,
        workflow_id_reuse_policy=request.workflow_id_reuse_policy,
        workflow_id_conflict_policy=request.workflow_id_conflict_policy,
        cron_schedule=request.cron_schedule,
        links=request.links,
    )
    take_over(start, request, "workflow_start_delay", "user_metadata", "priority")
    return start
