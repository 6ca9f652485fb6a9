"""Errors become status with Temporal's detail messages (semantics Appendix C)."""

from __future__ import annotations

import logging

import pytest

from perdure import errors
from perdure.api import Status
from perdure.api.errordetails import MultiOperationExecutionFailure
from perdure.api.failure import Failure
from perdure.frontend.status import MESSAGE_BYTES_MAX, detail_of, masked, wire_error

CASES: list[tuple[errors.ServiceError, str]] = [
    (errors.InvalidArgument("x"), ""),
    (errors.QueryFailed("x", Failure(message="f").SerializeToString()), "QueryFailedFailure"),
    (errors.NotFound("x"), "NotFoundFailure"),
    (errors.HistoryGone(), "NotFoundFailure"),
    (errors.NamespaceNotFound("x"), "NamespaceNotFoundFailure"),
    (errors.AlreadyExists("x"), ""),
    (errors.NamespaceAlreadyExists("x"), "NamespaceAlreadyExistsFailure"),
    (errors.WorkflowExecutionAlreadyStarted("x", "q", "r", "f"), "WorkflowExecutionAlreadyStartedFailure"),
    (errors.FailedPrecondition("x"), ""),
    (errors.WorkflowNotReady("x"), "WorkflowNotReadyFailure"),
    (errors.NamespaceInvalidState("x", "n", 2, (1,)), "NamespaceInvalidStateFailure"),
    (errors.ClientVersionNotSupported("x", "a", "b", "c"), "ClientVersionNotSupportedFailure"),
    (errors.ServerVersionNotSupported("x", "a", "b"), "ServerVersionNotSupportedFailure"),
    (errors.NewerBuildExists("x"), "NewerBuildExistsFailure"),
    (errors.ResourceExhausted("x", 2), "ResourceExhaustedFailure"),
    (errors.PermissionDenied("x", "why"), "PermissionDeniedFailure"),
    (errors.Unimplemented("x"), ""),
    (errors.Unavailable("x"), ""),
    (errors.DeadlineExceeded("x"), ""),
    (errors.Aborted("x"), ""),
    (errors.MultiOperationAborted("x"), "MultiOperationExecutionAborted"),
    (errors.MultiOperationFailed("x", (errors.NotFound("y"), None)), "MultiOperationExecutionFailure"),
]


@pytest.mark.parametrize(("error", "detail"), CASES, ids=lambda case: type(case).__name__)
def test_every_error_has_its_code_and_detail(error: errors.ServiceError, detail: str) -> None:
    """Code and detail message by type of error."""
    wire = wire_error(error)
    assert wire.code == int(error.code)
    if not detail:
        assert wire.details == b""
        return
    status = Status.FromString(wire.details)
    assert (status.code, status.message) == (wire.code, wire.message)
    package = "failure" if detail == "MultiOperationExecutionAborted" else "errordetails"
    assert [one.type_url for one in status.details] == [f"type.googleapis.com/temporal.api.{package}.v1.{detail}"]


def test_all_errors_are_covered() -> None:
    """The table above has every error type there is, but the one that is masked."""
    known = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.ServiceError)}
    assert known - {type(error) for error, _ in CASES} == {errors.ServiceError, errors.Internal}


def test_subclass_travels_as_its_parent() -> None:
    """An error made more special elsewhere has the detail of what it is."""

    class Special(errors.NotFound):
        pass

    assert type(detail_of(Special("x"))).__name__ == "NotFoundFailure"


@pytest.mark.parametrize("letter", ["x", "é", "語"])
def test_long_messages_are_cut(letter: str) -> None:
    """To so many bytes: they are headers, of which a client takes 8 KB."""
    wire = wire_error(errors.NotFound(letter * 5000))
    assert MESSAGE_BYTES_MAX - 4 < len(wire.message.encode()) <= MESSAGE_BYTES_MAX
    assert wire.message.endswith(letter + "... <truncated>")
    assert Status.FromString(wire.details).message == wire.message


def test_exhaustion_is_told_in_headers_too() -> None:
    """Cause and scope stand in the trailers (server_inventory 5.2)."""
    wire = wire_error(errors.ResourceExhausted("x", 5, 1))
    assert dict(wire.trailing) == {
        "x-resource-exhausted-cause": "BusyWorkflow",
        "x-resource-exhausted-scope": "Namespace",
    }


def test_faults_of_ours_are_masked_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets a hash; the log has the hash, the text and the traceback."""
    with caplog.at_level(logging.ERROR):
        try:
            raise ValueError("secret")
        except ValueError as fault:
            wire = masked(fault, "/service/Method")
    assert wire.code == int(errors.StatusCode.INTERNAL)
    assert "secret" not in wire.message
    digest = wire.message.rpartition("(")[2].rstrip(")")
    assert digest in caplog.text
    assert "secret" in caplog.text


def test_a_failed_multi_operation_tells_of_each() -> None:
    """Every operation has its own status, with its own detail; the code is that of the one which failed by itself."""
    error = errors.MultiOperationFailed("x", (errors.MultiOperationAborted("not done"), errors.WorkflowNotReady("no")))
    assert error.code is errors.StatusCode.FAILED_PRECONDITION
    detail = detail_of(error)
    assert isinstance(detail, MultiOperationExecutionFailure)
    assert [(one.code, one.message) for one in detail.statuses] == [(10, "not done"), (9, "no")]
    assert [one.details[0].type_url.rpartition(".")[2] for one in detail.statuses] == [
        "MultiOperationExecutionAborted",
        "WorkflowNotReadyFailure",
    ]
    started = detail_of(errors.MultiOperationFailed("x", (None, errors.NotFound("gone"))))
    assert isinstance(started, MultiOperationExecutionFailure)
    assert [one.code for one in started.statuses] == [0, 5]
