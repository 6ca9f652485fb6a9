"""From a start request to the machine's input: checks in Temporal's order and defaults (semantics 2.1). No I/O.

What is not built yet is refused, never ignored: overrides to versions, time skipping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from perdure.api import common, enums, history, workflowservice
from perdure.cluster.namespaces import Namespace
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument, Unimplemented
from perdure.frontend import callback_checks, validate
from perdure.frontend.command_inputs import command_namespace
from perdure.frontend.services import Call, Services
from perdure.machines import cron
from perdure.machines.workflow import overrides
from perdure.machines.workflow.bad_attributes import BadSearchAttributes
from perdure.machines.workflow.inputs import Signal, Start
from perdure.machines.workflow.start_fields import take_over
from perdure.visibility import attributes

StartRequest = workflowservice.StartWorkflowExecutionRequest
SignalWithStartRequest = workflowservice.SignalWithStartWorkflowExecutionRequest

BLOB_EXCEEDS_LIMIT = "Blob data size exceeds limit."
MEMO_EXCEEDS_LIMIT = "Memo size exceeds limit."


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
    found = search_attributes(services, call, request)
    if request.HasField("priority"):
        validate.priority(request.priority)
    _callbacks(services, call, request)
    _not_built(request)
    check_start_sizes(services, call, request)
    return Start(request, found, delay)


def _callbacks(services: Services, call: Call, request: StartRequest) -> None:
    """Completion callbacks, and links, of which those that a callback has already are dropped."""
    callbacks = request.completion_callbacks
    if not callbacks:
        check_links(services, call, request.links)
        return
    callback_checks.check(services, call, callbacks)
    theirs = [link for callback in callbacks for link in callback.links]
    kept = [link for link in request.links if link not in theirs]
    del request.links[:]
    request.links.extend(kept)
    check_links(services, call, [*kept, *theirs])


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
    found = search_attributes(services, call, request)
    validate.priority(request.priority)
    check_links(services, call, request.links)
    _not_built(request)
    check_size(services, call, request.signal_input)
    check_start_sizes(services, call, request)
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


def search_attributes(services: Services, call: Call, request: Any) -> dict[str, bytes]:
    """A request's search attributes, checked, with their types in the metadata, serialized; null values are gone."""
    if not request.HasField("search_attributes"):
        return {}
    fields = request.search_attributes.indexed_fields
    if not fields:
        return {}
    _check_search_attributes(services, call.namespace, fields)
    kept = attributes.merged({}, fields, call.namespace.search_attributes)
    return {name: payload.SerializeToString() for name, payload in kept.items()}


def _check_search_attributes(services: Services, namespace: Namespace, fields: Mapping[str, common.Payload]) -> None:
    get = services.config.get
    attributes.validate(
        fields,
        namespace.search_attributes,
        namespace.name,
        get(settings.SEARCH_ATTRIBUTES_NUMBER_OF_KEYS_LIMIT, namespace.name),
        get(settings.SEARCH_ATTRIBUTES_SIZE_OF_VALUE_LIMIT, namespace.name),
        get(settings.SEARCH_ATTRIBUTES_TOTAL_SIZE_LIMIT, namespace.name),
    )


_COMMANDS_WITH_SEARCH_ATTRIBUTES: Final = {
    enums.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "upsert_workflow_search_attributes_command_attributes",
    enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: ("continue_as_new_workflow_execution_command_attributes"),
    enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: "start_child_workflow_execution_command_attributes",
}


def command_search_attributes(
    services: Services, call: Call, request: workflowservice.RespondWorkflowTaskCompletedRequest
) -> dict[int, dict[str, bytes] | BadSearchAttributes]:
    """For the index of each command with search attributes: what to set (b"" removes), or what is wrong.

    A wrong one fails the workflow task (semantics 4.9), so nothing is raised here.
    """
    found: dict[int, dict[str, bytes] | BadSearchAttributes] = {}
    for index, command in enumerate(request.commands):
        field = _COMMANDS_WITH_SEARCH_ATTRIBUTES.get(command.command_type)
        if field is None:
            continue
        fields = getattr(command, field).search_attributes.indexed_fields
        if not fields:
            continue
        namespace = command_namespace(services, call, command)
        try:
            _check_search_attributes(services, namespace, fields)
        except InvalidArgument as wrong:
            found[index] = BadSearchAttributes(
                wrong.message, isinstance(wrong, attributes.NoMapping), isinstance(wrong, attributes.TooLarge)
            )
            continue
        custom = namespace.search_attributes
        kept = attributes.merged({}, fields, custom)
        for name in fields:
            kind = attributes.type_of(name, custom)
            if name not in kept and kind is not None and "type" not in fields[name].metadata:
                # The event shows what was asked, with types, also where it removes.
                fields[name].metadata["type"] = attributes.TYPE_NAMES[kind].encode()
        found[index] = {name: kept[name].SerializeToString() if name in kept else b"" for name in fields}
    return found


def check_links(services: Services, call: Call, links: Any) -> None:
    """The links of a request."""
    if links:
        name = call.namespace.name
        get = services.config.get
        validate.links(
            links, get(settings.FRONTEND_MAX_LINKS_PER_REQUEST, name), get(settings.FRONTEND_LINK_MAX_SIZE, name)
        )


def check_size(services: Services, call: Call, payloads: Any) -> None:
    """A message's payload is within `limit.blobSize.error`.

    A request that is smaller as a whole need not be measured.
    """
    limit = services.view(call).limits.blob_size
    if (call.own or len(call.wire.message) > limit) and payloads.ByteSize() > limit:
        raise InvalidArgument(BLOB_EXCEEDS_LIMIT)


def check_start_sizes(services: Services, call: Call, request: Any) -> None:
    """Input and memo of a start are within their limits."""
    size = len(call.wire.message)
    limits = services.view(call).limits
    if size > limits.blob_size and request.input.ByteSize() > limits.blob_size:
        raise InvalidArgument(BLOB_EXCEEDS_LIMIT)
    if size > limits.memo_size and request.memo.ByteSize() > limits.memo_size:
        raise InvalidArgument(MEMO_EXCEEDS_LIMIT)


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


def started_link(namespace: str, workflow_id: str, run_id: str) -> common.Link:
    """A link to the first event of a run."""
    link = common.Link()
    event = link.workflow_event
    event.namespace = namespace
    event.workflow_id = workflow_id
    event.run_id = run_id
    event.event_ref.event_id = 1
    event.event_ref.event_type = enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    return link


def request_id_link(namespace: str, workflow_id: str, run_id: str, request_id: str, event_type: int) -> common.Link:
    """A link to the event that a request made, by its request id."""
    link = common.Link()
    event = link.workflow_event
    event.namespace = namespace
    event.workflow_id = workflow_id
    event.run_id = run_id
    event.request_id_ref.request_id = request_id
    event.request_id_ref.event_type = event_type  # type: ignore[assignment]  # wire numbers are plain ints here
    return link
