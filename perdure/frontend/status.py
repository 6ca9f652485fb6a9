"""The one place where an error becomes gRPC status: code, message and Temporal's detail message.

Everything below raises `perdure.errors`; nothing below knows a protobuf message of an error (semantics Appendix C,
server_inventory 5.1). What is no `ServiceError` is a fault of ours and is masked here, so that no text of ours that
may hold data reaches a caller.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Final, final

from perdure import errors
from perdure.api import Any, Message, Status, enums, errordetails
from perdure.api.failure import Failure, MultiOperationExecutionAborted
from perdure.api.names import short_name

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX: Final = 4000
"""Longer messages are cut (`system.maxServiceErrorMessageLength`): a client takes no more than 8 KB of headers."""
_CUT: Final = "... <truncated>"

MASKED: Final = "something went wrong, please retry"
_TYPE_URL: Final = "type.googleapis.com/"


@final
class WireError:
    """An error as the transport sends it.

    `details` is a serialized `google.rpc.Status`, b"" when there is no detail message.
    """

    __slots__ = ("code", "details", "message", "trailing")

    def __init__(
        self, code: int, message: str, details: bytes = b"", trailing: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.code = code
        self.message = message
        self.details = details
        self.trailing = trailing


def wire_error(error: errors.ServiceError) -> WireError:
    """The wire form of a definite answer.

    `Internal` and `ServiceError` itself are masked by whoever caught them, not here.
    """
    message = _short(error.message)
    detail = detail_of(error)
    if detail is None:
        return WireError(int(error.code), message)
    status = Status(code=int(error.code), message=message)
    status.details.append(_packed(detail))
    return WireError(int(error.code), message, status.SerializeToString(), _trailing(error))


def _short(message: str) -> str:
    body = message.encode("utf-8", "replace")
    if len(body) <= MESSAGE_BYTES_MAX:
        return message
    return body[: MESSAGE_BYTES_MAX - len(_CUT)].decode("utf-8", "ignore") + _CUT


def masked(error: BaseException, operation: str) -> WireError:
    """The wire form of a fault of ours: a neutral text, and a hash under which the log has error and traceback."""
    digest = hashlib.blake2b(f"{type(error).__name__}: {error}".encode("utf-8", "replace"), digest_size=4).hexdigest()
    log.error("%s failed (%s)", operation, digest, exc_info=error)
    return WireError(int(errors.StatusCode.INTERNAL), f"{MASKED} ({digest})")


def detail_of(error: errors.ServiceError) -> Message | None:
    """Temporal's detail message for an error; None for those that travel without one."""
    kind: type = type(error)
    while kind is not errors.ServiceError:
        make = _DETAILS.get(kind)
        if make is not None:
            return make(error)
        kind = kind.__mro__[1]
    return None


def _trailing(error: errors.ServiceError) -> tuple[tuple[str, str], ...]:
    """Who does not decode details reads cause and scope of RESOURCE_EXHAUSTED from headers (server_inventory 5.2)."""
    if not isinstance(error, errors.ResourceExhausted):
        return ()
    return (
        ("x-resource-exhausted-cause", short_name(enums.ResourceExhaustedCause, error.cause)),
        ("x-resource-exhausted-scope", short_name(enums.ResourceExhaustedScope, error.scope)),
    )


def _query_failed(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.QueryFailed)
    detail = errordetails.QueryFailedFailure()
    if error.failure:
        detail.failure.CopyFrom(Failure.FromString(error.failure))
    return detail


def _not_found(_: errors.ServiceError) -> Message:
    return errordetails.NotFoundFailure()


def _newer_build(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.NewerBuildExists)
    return errordetails.NewerBuildExistsFailure(default_build_id=error.default_build_id)


def _namespace_not_found(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.NamespaceNotFound)
    return errordetails.NamespaceNotFoundFailure(namespace=error.namespace)


def _namespace_exists(_: errors.ServiceError) -> Message:
    return errordetails.NamespaceAlreadyExistsFailure()


def _already_started(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.WorkflowExecutionAlreadyStarted)
    return errordetails.WorkflowExecutionAlreadyStartedFailure(
        start_request_id=error.start_request_id,
        run_id=error.run_id,
        first_execution_run_id=error.first_execution_run_id,
    )


def _not_ready(_: errors.ServiceError) -> Message:
    return errordetails.WorkflowNotReadyFailure()


def _namespace_state(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.NamespaceInvalidState)
    detail = errordetails.NamespaceInvalidStateFailure(namespace=error.namespace)
    detail.state = error.state  # type: ignore[assignment]  # wire numbers are plain ints here
    detail.allowed_states.extend(error.allowed_states)  # type: ignore[arg-type]
    return detail


def _client_version(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.ClientVersionNotSupported)
    return errordetails.ClientVersionNotSupportedFailure(
        client_version=error.client_version,
        client_name=error.client_name,
        supported_versions=error.supported_versions,
    )


def _server_version(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.ServerVersionNotSupported)
    return errordetails.ServerVersionNotSupportedFailure(
        server_version=error.server_version,
        client_supported_server_versions=error.client_supported_server_versions,
    )


def _exhausted(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.ResourceExhausted)
    detail = errordetails.ResourceExhaustedFailure()
    detail.cause = error.cause  # type: ignore[assignment]
    detail.scope = error.scope  # type: ignore[assignment]
    return detail


def _denied(error: errors.ServiceError) -> Message:
    assert isinstance(error, errors.PermissionDenied)
    return errordetails.PermissionDeniedFailure(reason=error.reason)


def _multi_operation_aborted(_: errors.ServiceError) -> Message:
    return MultiOperationExecutionAborted()


def _multi_operation(error: errors.ServiceError) -> Message:
    """Every operation's own status; one that was not even tried says so."""
    assert isinstance(error, errors.MultiOperationFailed)
    detail = errordetails.MultiOperationExecutionFailure()
    for one in error.statuses:
        status = detail.statuses.add()
        if one is not None:
            status.code = int(one.code)
            status.message = _short(one.message)
            inner = detail_of(one)
            if inner is not None:
                status.details.append(_packed(inner))
    return detail


def _packed(detail: Message) -> Any:
    return Any(type_url=_TYPE_URL + detail.DESCRIPTOR.full_name, value=detail.SerializeToString())


_DETAILS: Final[dict[type, Callable[[errors.ServiceError], Message]]] = {
    errors.QueryFailed: _query_failed,
    errors.NotFound: _not_found,
    errors.NamespaceNotFound: _namespace_not_found,
    errors.NamespaceAlreadyExists: _namespace_exists,
    errors.WorkflowExecutionAlreadyStarted: _already_started,
    errors.WorkflowNotReady: _not_ready,
    errors.NamespaceInvalidState: _namespace_state,
    errors.ClientVersionNotSupported: _client_version,
    errors.ServerVersionNotSupported: _server_version,
    errors.NewerBuildExists: _newer_build,
    errors.ResourceExhausted: _exhausted,
    errors.PermissionDenied: _denied,
    errors.MultiOperationAborted: _multi_operation_aborted,
    errors.MultiOperationFailed: _multi_operation,
}
