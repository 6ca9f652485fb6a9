"""Archives as callers see them: a namespace's settings, archived histories, archived lists (server_inventory 1.9)."""

from __future__ import annotations

from typing import Any, Final

from perdure.api import Message, enums, namespace, workflowservice
from perdure.api.splice import event_id_of, slice_events, split_events, with_field
from perdure.api.times import timestamp_ns
from perdure.archival.api import ArchivedRun, ArchiveError, BadUri
from perdure.archival.query import compile_query
from perdure.cluster.namespaces import ENABLED, ArchivalConfig, Namespace
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument, NotFound, Unavailable
from perdure.frontend.services import Call, Services
from perdure.frontend.tokens import HistoryToken

_HISTORY_FIELD: Final = workflowservice.GetWorkflowExecutionHistoryResponse.DESCRIPTOR.fields_by_name["history"].number


# -- settings of a namespace -------------------------------------------------------------------------------------------


def changed(services: Services, before: Namespace, request: Any) -> Namespace:
    """The namespace with what a request (a register request or a `NamespaceConfig`) says of its archives.

    As in the reference, nothing of it counts where the cluster does not archive.
    """
    after = before
    if services.namespaces.history_archival_state() == ENABLED:
        config = _next(services, before.history_archival, request.history_archival_state, request.history_archival_uri)
        if config is not before.history_archival:
            after = after.evolve(history_archival=config)
    if services.namespaces.visibility_archival_state() == ENABLED:
        state, uri = request.visibility_archival_state, request.visibility_archival_uri
        config = _next(services, before.visibility_archival, state, uri)
        if config is not before.visibility_archival:
            after = after.evolve(visibility_archival=config)
    return after


def _next(services: Services, before: ArchivalConfig, state: int, uri: str) -> ArchivalConfig:
    """The setting after a change: a URI once set stays, and only a good one can be enabled."""
    if before.uri and uri and before.uri != uri:
        raise InvalidArgument("Cannot update existing archival URI")
    enabled = before.enabled if state == enums.ARCHIVAL_STATE_UNSPECIFIED else state == enums.ARCHIVAL_STATE_ENABLED
    after = ArchivalConfig(enabled, before.uri or uri)
    if after == before:
        return before
    if after.enabled and not after.uri:
        raise InvalidArgument("Archival cannot be enabled without a URI.")
    if after.uri:
        try:
            services.archive.check(after.uri)
        except BadUri as error:
            raise InvalidArgument(str(error)) from error
    return after


def show(config: namespace.NamespaceConfig, found: Namespace) -> None:
    """The archives of a namespace as Describe and List show them."""
    states = (enums.ARCHIVAL_STATE_DISABLED, enums.ARCHIVAL_STATE_ENABLED)
    config.history_archival_state = states[found.history_archival.enabled]
    config.history_archival_uri = found.history_archival.uri
    config.visibility_archival_state = states[found.visibility_archival.enabled]
    config.visibility_archival_uri = found.visibility_archival.uri


# -- what is in the archive --------------------------------------------------------------------------------------------


def may_hold(services: Services, call: Call, request: workflowservice.GetWorkflowExecutionHistoryRequest) -> bool:
    """Whether a run that is gone may be looked for in the archive."""
    readable = services.config.get(settings.SYSTEM_ENABLE_READ_FROM_HISTORY_ARCHIVAL)
    uri = call.namespace.history_archival.uri
    asked = bool(request.execution.run_id) and not request.skip_archival
    return asked and readable and bool(uri) and services.namespaces.history_archival_state() == ENABLED


async def archived_history(
    services: Services, call: Call, request: workflowservice.GetWorkflowExecutionHistoryRequest, size: int
) -> Message | bytes:
    """A page of an archived run's events, or its last event alone. `size` counts events. Raises NotFound."""
    run = ArchivedRun(call.namespace.id, request.execution.workflow_id, request.execution.run_id)
    try:
        body = await services.archive.history(call.namespace.history_archival.uri, run)
    except (ArchiveError, BadUri) as error:
        raise Unavailable(str(error)) from error
    if body is None:
        raise NotFound("requested workflow history does not exist")
    events = split_events(body)
    end = event_id_of(body[slice(*events[-1])]) + 1 if events else 1
    first = 1
    if request.history_event_filter_type == enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT:
        first, following = end - 1, end
    else:
        if request.next_page_token:
            token = services.tokens.open_history_page(
                run.namespace_id, run.workflow_id, run.run_id, request.next_page_token
            )
            first = token.first_event_id
        following = min(end, first + size)
    response = workflowservice.GetWorkflowExecutionHistoryResponse(archived=True)
    if following < end:
        rest = HistoryToken(run.run_id, following, end, False, ())
        response.next_page_token = services.tokens.history_page(run.namespace_id, run.workflow_id, rest)
    return with_field(response.SerializeToString(), _HISTORY_FIELD, slice_events(body, first, following))


async def list_archived_workflow_executions(
    services: Services, call: Call, request: workflowservice.ListArchivedWorkflowExecutionsRequest
) -> Message | bytes:
    """Closed executions that the archive holds a record of, last closed first, by a small query language."""
    largest = services.config.get(settings.FRONTEND_VISIBILITY_ARCHIVAL_QUERY_MAX_PAGE_SIZE)
    if request.page_size > largest:
        raise InvalidArgument(f"PageSize is larger than allowed {largest}.")
    if services.namespaces.visibility_archival_state() != ENABLED:
        raise InvalidArgument("Cluster is not configured for visibility archival.")
    if not services.config.get(settings.SYSTEM_ENABLE_READ_FROM_VISIBILITY_ARCHIVAL):
        raise InvalidArgument("Cluster is not configured for reading archived visibility records.")
    archival = call.namespace.visibility_archival
    if not archival.enabled:
        raise InvalidArgument("Namespace is not configured for visibility archival.")
    query = compile_query(request.query)
    size = request.page_size if request.page_size > 0 else largest
    after = services.tokens.open_archive_page(call.namespace.id, request.next_page_token)
    try:
        found = await services.archive.records(
            archival.uri, call.namespace.id, query.matches, query.window, size, after
        )
    except (ArchiveError, BadUri) as error:
        raise Unavailable(str(error)) from error
    response = workflowservice.ListArchivedWorkflowExecutionsResponse(executions=found)
    if len(found) == size:
        last = found[-1]
        place = (timestamp_ns(last.close_time), last.execution.run_id)
        response.next_page_token = services.tokens.archive_page(call.namespace.id, place)
    return response
