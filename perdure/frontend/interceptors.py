"""What every call passes before its handler, as one ordered list (DESIGN 4.1, server_inventory 1.0).

An interceptor looks at the call and the decoded request, and lets it pass or raises a `ServiceError`; it may return
what is to be done when the call ends. Errors are converted and masked around the list, by `service.py`. Which methods
an interceptor is about is asked once per method, when the routes are built, so a call pays only for those that
concern it. An authorizer is one more entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, final

from perdure import errors
from perdure.api import Message, Method, enums
from perdure.api.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE
from perdure.cluster.namespaces import DELETED, DEPRECATED, REGISTERED, Namespace
from perdure.config import dynamic as settings
from perdure.frontend.rate_limits import LimitRates
from perdure.frontend.services import Call, Services
from perdure.frontend.tokens import ForgedToken
from perdure.frontend.versions import SERVER_VERSION, check_versions

Leave = Callable[[], None]
"""What an interceptor wants done when the call has ended."""

NAMESPACE_NOT_SET: Final = "Namespace not set on request."
NAMESPACE_IS_EMPTY: Final = "Namespace is empty."
"""Two texts for one fault: the reference's methods about namespaces have the first, all others the second."""

_WORKFLOW_TASK_TOKEN: Final = frozenset({"RespondWorkflowTaskCompleted", "RespondWorkflowTaskFailed"})
_ACTIVITY_TASK_TOKEN: Final = frozenset(
    {
        "RecordActivityTaskHeartbeat",
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
    }
)
_QUERY_TASK_TOKEN: Final = frozenset({"RespondQueryTaskCompleted"})

_WRONG_KIND: Final = {
    "open_workflow_task": "Workflow task not found.",
    "open_activity_task": "invalid activityID or activity already timed out or invoking workflow is completed",
    "open_query_task": "query task not found, or already expired",
}
"""What a token of ours answers where one of another kind is wanted."""

_OWN_RESOLUTION: Final = frozenset({"DescribeNamespace", "RegisterNamespace", "DeleteNamespace"})
"""Their namespace need not exist, or may be named by id: the handlers resolve it."""

_ABOUT_NAMESPACES: Final = frozenset({"UpdateNamespace", "DeprecateNamespace"})

_NAMESPACE_OPTIONAL: Final = frozenset({"AddSearchAttributes", "RemoveSearchAttributes", "ListSearchAttributes"})

_REGISTERED_ONLY: Final = frozenset({"StartWorkflowExecution", "SignalWithStartWorkflowExecution"})

_STARTS: Final = frozenset({"StartWorkflowExecution", "SignalWithStartWorkflowExecution", "ExecuteMultiOperation"})

_CONCURRENCY_LIMITED: Final = frozenset(
    {
        "PollWorkflowTaskQueue",
        "PollActivityTaskQueue",
        "PollNexusTaskQueue",
        "QueryWorkflow",
        "GetWorkflowExecutionHistory",
        "UpdateWorkflowExecution",
        "PollWorkflowExecutionUpdate",
        "ExecuteMultiOperation",
    }
)


class Interceptor(Protocol):
    """One entry of the list."""

    def applies(self, method: Method) -> bool:
        """Whether calls of this method pass here at all; asked once."""
        ...

    def enter(self, call: Call, request: Any) -> Leave | None:
        """Let the call pass, or raise a `ServiceError`.

        The result is called when the call has ended, however it did.
        """
        ...


@final
class ResolveNamespace:
    """Finds the namespace by request or task token, opens the token, checks the namespace's state (semantics 14.2)."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    def applies(self, method: Method) -> bool:
        fields = method.request.DESCRIPTOR.fields_by_name
        return method.service in (WORKFLOW_SERVICE, OPERATOR_SERVICE) and (
            "namespace" in fields or "task_token" in fields
        )

    def enter(self, call: Call, request: Any) -> Leave | None:
        services = self._services
        name: str = request.namespace
        method = call.method.name
        if len(name) > 250 and len(name.encode("utf-8", "replace")) > services.config.get(settings.MAX_ID_LENGTH):
            raise errors.InvalidArgument("Namespace length exceeds limit.")
        if method in _OWN_RESOLUTION:
            if not name and not getattr(request, "id", "") and not getattr(request, "namespace_id", ""):
                raise errors.InvalidArgument(NAMESPACE_NOT_SET)
            return None
        named = services.namespaces.by_name(name) if name else None
        owner = self._owner_of_token(call, request)
        if owner is not None:
            if named is not None and named is not owner and self._enforced():
                raise errors.InvalidArgument("Operation requested with a token from a different namespace.")
            namespace = owner
        elif named is not None:
            namespace = named
        elif method in _NAMESPACE_OPTIONAL:
            return None
        else:
            raise errors.InvalidArgument(NAMESPACE_NOT_SET if method in _ABOUT_NAMESPACES else NAMESPACE_IS_EMPTY)
        _check_state(namespace, method)
        call.namespace = namespace
        return None

    def _enforced(self) -> bool:
        return self._services.config.get(settings.FRONTEND_ENABLE_TOKEN_NAMESPACE_ENFORCEMENT)

    def _owner_of_token(self, call: Call, request: Any) -> Namespace | None:
        method = call.method.name
        tokens = self._services.tokens
        if method in _WORKFLOW_TASK_TOKEN:
            opener: Callable[[bytes], Any] = tokens.open_workflow_task
        elif method in _ACTIVITY_TASK_TOKEN:
            opener = tokens.open_activity_task
        elif method in _QUERY_TASK_TOKEN:
            opener = tokens.open_query_task
        else:
            return None
        if not request.task_token:
            raise errors.InvalidArgument("Task token not set on request.")
        try:
            token = opener(request.task_token)
        except ForgedToken:
            if tokens.is_task_token(request.task_token):
                raise errors.NotFound(_WRONG_KIND[opener.__name__]) from None
            raise errors.InvalidArgument("Error deserializing task token.") from None
        if method in _QUERY_TASK_TOKEN:
            call.query_token = token
        else:
            call.task_token = token
        return self._services.namespaces.by_id(token.namespace_id)


def _check_state(namespace: Namespace, method: str) -> None:
    state = namespace.state
    if state == REGISTERED or (state == DEPRECATED and method not in _REGISTERED_ONLY):
        return
    allowed = (REGISTERED,) if method in _REGISTERED_ONLY else (REGISTERED, DEPRECATED)
    shown = " or ".join([_state_name(one) for one in allowed])
    raise errors.NamespaceInvalidState(
        f"Namespace has invalid state: {_state_name(state)}. Must be {shown}.", namespace.name, state, allowed
    )


def _state_name(state: int) -> str:
    return {REGISTERED: "Registered", DEPRECATED: "Deprecated", DELETED: "Deleted"}.get(state, "Unspecified")


@final
class LimitLongPolls:
    """At most `frontend.namespaceCount` calls at once of each method that waits, per namespace."""

    __slots__ = ("_running", "_services")

    def __init__(self, services: Services) -> None:
        self._services = services
        self._running: dict[tuple[str, str], int] = {}

    def applies(self, method: Method) -> bool:
        return method.service == WORKFLOW_SERVICE and method.name in _CONCURRENCY_LIMITED

    def enter(self, call: Call, request: Any) -> Leave | None:
        method = call.method.name
        if method == "GetWorkflowExecutionHistory" and not request.wait_new_event:
            return None
        namespace = call.namespace
        key = (namespace.id, method)
        running = self._running.get(key, 0)
        if running >= self._services.config.get(settings.FRONTEND_NAMESPACE_COUNT, namespace.name):
            raise errors.ResourceExhausted(
                "namespace concurrent poller limit exceeded",
                enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
                enums.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE,
            )
        self._running[key] = running + 1
        return lambda: self._leave(key)

    def _leave(self, key: tuple[str, str]) -> None:
        left = self._running[key] - 1
        if left:
            self._running[key] = left
        else:
            del self._running[key]


BACKLOG_FACTOR: Final = 2
"""Workflows that run have this many times the room of those that are to start."""
_MAKE_TASKS: Final = frozenset(
    {enums.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK, enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION}
)


def _too_many(tasks_max: int, what: str) -> errors.ResourceExhausted:
    return errors.ResourceExhausted(
        f"{tasks_max} tasks wait for workers, {what} until there are fewer",
        enums.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED,
        enums.RESOURCE_EXHAUSTED_SCOPE_SYSTEM,
    )


@final
class LimitBacklog:
    """No new workflows while too many tasks wait: the backlog is in memory (docs/decisions/013)."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    def applies(self, method: Method) -> bool:
        return method.service == WORKFLOW_SERVICE and method.name in _STARTS

    def enter(self, call: Call, request: Any) -> Leave | None:
        tasks_max = self._services.config.get(settings.MATCHING_MAX_BACKLOG_TASKS)
        if self._services.matching.is_full(tasks_max):
            raise _too_many(tasks_max, "no workflow is started")
        return None


@final
class LimitScheduled:
    """Nor any activities or children, once twice as much waits. Nothing is lost: the worker's task stays, and is done
    again, until there is room. A worker whose task asks for neither goes on.
    """

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    def applies(self, method: Method) -> bool:
        return method.service == WORKFLOW_SERVICE and method.name == "RespondWorkflowTaskCompleted"

    def enter(self, call: Call, request: Any) -> Leave | None:
        tasks_max = BACKLOG_FACTOR * self._services.config.get(settings.MATCHING_MAX_BACKLOG_TASKS)
        if self._services.matching.is_full(tasks_max) and any(
            command.command_type in _MAKE_TASKS for command in request.commands
        ):
            raise _too_many(tasks_max, "no activity or child is scheduled")
        return None


_VERSIONS_REMEMBERED_MAX: Final = 256


@final
class CheckVersions:
    """Refuses clients that are too new for us, or that want another server (server_inventory 2.3)."""

    __slots__ = ("_passed",)

    def __init__(self) -> None:
        self._passed: set[tuple[str, str, str]] = set()

    def applies(self, method: Method) -> bool:
        return method.service in (WORKFLOW_SERVICE, OPERATOR_SERVICE)

    def enter(self, call: Call, request: Message) -> Leave | None:
        fields = call.wire.metadata
        if fields.accepted:
            return None
        name = call.header("client-name")
        version = call.header("client-version")
        if name and version:
            announced = (name, version, call.header("supported-server-versions"))
            if announced not in self._passed:
                check_versions(*announced, SERVER_VERSION)
                if len(self._passed) < _VERSIONS_REMEMBERED_MAX:
                    self._passed.add(announced)
        fields.accepted = True
        return None


def interceptors(services: Services) -> tuple[Interceptor, ...]:
    """The list, outermost first."""
    return (
        ResolveNamespace(services),
        LimitRates(services),
        LimitLongPolls(services),
        CheckVersions(),
        LimitBacklog(services),
        LimitScheduled(services),
    )
