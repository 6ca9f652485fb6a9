"""Errors that a caller of the API may see, as plain typed values.

Each class carries its gRPC status code and, in typed fields, what Temporal's error detail message needs
(semantics Appendix C, server_inventory 5.1). Turning one into `google.rpc.Status` bytes happens in one place,
`frontend/status.py`; nothing below the frontend knows a protobuf message of an error. Faults of a worker are
events, not errors, and faults of ours are assertions (STYLE rule 8): neither belongs here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

BLOB_EXCEEDS_LIMIT: Final = "Blob data size exceeds limit."
"""What is said of payloads above `limit.blobSize.error`."""


class StatusCode(IntEnum):
    """gRPC status codes by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServiceError(Exception):
    """A definite answer to one request: a status code, a message, and the typed fields of its subclass."""

    code: StatusCode = StatusCode.UNKNOWN

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(ServiceError):
    """The request breaks a rule that does not depend on state; also the answer to a failed workflow task."""

    code = StatusCode.INVALID_ARGUMENT


class QueryFailed(ServiceError):
    """The worker's query handler raised; `failure` is a serialized `temporal.api.failure.v1.Failure`."""

    code = StatusCode.INVALID_ARGUMENT

    def __init__(self, message: str, failure: bytes = b"") -> None:
        super().__init__(message)
        self.failure = failure


class NotFound(ServiceError):
    """No such execution, task, activity or update."""

    code = StatusCode.NOT_FOUND


class HistoryGone(NotFound):
    """The run was deleted after its reader had found it."""

    def __init__(self) -> None:
        super().__init__("Workflow execution history not found.")


class NamespaceNotFound(ServiceError):
    """The named namespace does not exist."""

    code = StatusCode.NOT_FOUND

    def __init__(self, namespace: str) -> None:
        super().__init__(f"Namespace {namespace} is not found.")
        self.namespace = namespace


class AlreadyExists(ServiceError):
    """The thing to be created is there already."""

    code = StatusCode.ALREADY_EXISTS


class NamespaceAlreadyExists(AlreadyExists):
    """A namespace of that name exists, in any state."""


class WorkflowExecutionAlreadyStarted(AlreadyExists):
    """The id policies forbid this start (semantics 2.5)."""

    def __init__(self, message: str, start_request_id: str, run_id: str, first_execution_run_id: str) -> None:
        super().__init__(message)
        self.start_request_id = start_request_id
        self.run_id = run_id
        self.first_execution_run_id = first_execution_run_id


class FailedPrecondition(ServiceError):
    """The state of the thing forbids the operation."""

    code = StatusCode.FAILED_PRECONDITION


class WorkflowNotReady(FailedPrecondition):
    """A query or update came too early, or the workflow task keeps failing."""


class NamespaceInvalidState(FailedPrecondition):
    """The namespace's state does not allow the call; states are `enums.NamespaceState` numbers."""

    def __init__(self, message: str, namespace: str, state: int, allowed_states: tuple[int, ...]) -> None:
        super().__init__(message)
        self.namespace = namespace
        self.state = state
        self.allowed_states = allowed_states


class ClientVersionNotSupported(FailedPrecondition):
    """The client's version is outside the supported range."""

    def __init__(self, message: str, client_name: str, client_version: str, supported_versions: str) -> None:
        super().__init__(message)
        self.client_name = client_name
        self.client_version = client_version
        self.supported_versions = supported_versions


class ServerVersionNotSupported(FailedPrecondition):
    """Our version is outside what the client asks for."""

    def __init__(self, message: str, server_version: str, client_supported_server_versions: str) -> None:
        super().__init__(message)
        self.server_version = server_version
        self.client_supported_server_versions = client_supported_server_versions


class NewerBuildExists(ServiceError):
    """A worker's build id has been replaced by one that is compatible with it: the worker need not ask again."""

    code = StatusCode.OUT_OF_RANGE

    def __init__(self, default_build_id: str) -> None:
        super().__init__(f'Task queue has a newer compatible build: "{default_build_id}"')
        self.default_build_id = default_build_id


class ResourceExhausted(ServiceError):
    """A limit was hit; `cause` and `scope` are `enums.ResourceExhaustedCause` and `...Scope` numbers."""

    code = StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, cause: int, scope: int = 1) -> None:
        super().__init__(message)
        self.cause = cause
        self.scope = scope


class PermissionDenied(ServiceError):
    """Not allowed, or the feature is switched off."""

    code = StatusCode.PERMISSION_DENIED

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Unimplemented(ServiceError):
    """The RPC, or this use of it, is not built."""

    code = StatusCode.UNIMPLEMENTED


class Unavailable(ServiceError):
    """The outcome is unknown or the owner is changing: the caller may retry."""

    code = StatusCode.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's deadline passed first."""

    code = StatusCode.DEADLINE_EXCEEDED


class Aborted(ServiceError):
    """A concurrent operation won."""

    code = StatusCode.ABORTED


class MultiOperationAborted(Aborted):
    """One operation of a list was not done because another one failed."""


class MultiOperationFailed(ServiceError):
    """A list of operations that succeed or fail together has failed; `statuses` has one entry for each, None for OK.

    The code is that of the first operation which failed by itself.
    """

    def __init__(self, message: str, statuses: tuple[ServiceError | None, ...]) -> None:
        super().__init__(message)
        self.statuses = statuses
        self.code = StatusCode.ABORTED
        for status in statuses:
            if status is not None and not isinstance(status, MultiOperationAborted):
                self.code = status.code
                break


class Internal(ServiceError):
    """A fault of ours; the text on the wire is masked."""

    code = StatusCode.INTERNAL


PASSING = (Unavailable, ResourceExhausted, DeadlineExceeded, Aborted, Internal)
"""Errors that answer nothing: whoever must have an answer asks again later."""
