"""What is sent to a completion callback, and what its answer means: the completion of a Nexus operation over HTTP
(semantics 11.4, 16.2.5).

Pure. A receiver may be anybody, so reasons of a termination and texts of the server stay inside: a completed run gives
its first payload, a failed one its failure, any other its kind of end.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final, final
from urllib.parse import quote, urlencode

from perdure.api import common, enums, failure, failures, history
from perdure.api.json_write import to_plain
from perdure.api.names import short_name
from perdure.clock import SECOND
from perdure.machines.workflow import minted_ids
from perdure.machines.workflow.calls import InvokeCallback
from perdure.machines.workflow.exchange import CallbackInvoked

_SYSTEM_URL: Final = "temporal://system"
_INTERNAL_URL: Final = "temporal://internal"
SYSTEM_URLS: Final = frozenset((_SYSTEM_URL, _INTERNAL_URL))
"""Addresses inside the server: only tokens that it has made itself are taken there."""

_FAILURE_TYPE: Final = "temporal.api.failure.v1.Failure"
_LINK_TYPE: Final = "temporal.api.common.v1.Link.WorkflowEvent"

_OPTIONS_UPDATED: Final = int(enums.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED)
"""What brought a callback of which that was not noted."""
_NOT_ALLOWED: Final = frozenset(("host", "content-length", "transfer-encoding", "trailer", "connection"))
"""Headers that belong to the connection: a callback's own would break the framing of requests."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name as HTTP has it: anything else could be read as another header."""


@final
class Outgoing:
    """A POST request as it leaves. Header names are in lower case, each once."""

    __slots__ = ("body", "headers", "url")

    def __init__(self, url: str, headers: dict[str, str], body: bytes) -> None:
        self.url = url
        self.headers = headers
        self.body = body


@final
class NoAnswer(Exception):
    """A request that got no answer; the text says why."""


@final
class HttpAnswer:
    """What came back. `content_type` and `retryable` are headers, "" when they were not sent."""

    __slots__ = ("body", "content_type", "reason", "retryable", "status")

    def __init__(self, status: int, reason: str, content_type: str, retryable: str, body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.content_type = content_type
        self.retryable = retryable
        """The value of `nexus-request-retryable`."""
        self.body = body


# -- what is sent ------------------------------------------------------------------------------------------------------


def destination(spec: common.Callback) -> str:
    """Scheme and host of a callback: what shares a circuit breaker and a limit of requests."""
    scheme, _, rest = spec.nexus.url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0].partition('#')[0]}"


def request(call: InvokeCallback, event: history.HistoryEvent | None) -> Outgoing | CallbackInvoked:
    """The request that tells what `event` says, or the answer where there is nobody to ask."""
    spec = common.Callback.FromString(call.spec)
    # Operations that this server could complete bear tokens of its own, and it has not made any.
    if spec.nexus.url == _SYSTEM_URL:
        return _answer(call, "handler error (BAD_REQUEST): invalid callback token", False)
    if spec.nexus.url == _INTERNAL_URL:
        reference = minted_ids.external(call.sender.run_id, call.sender.item[1])
        return _answer(call, f"internal error, reference-id: {reference}", False)
    if event is None:
        headers, body = _unsuccessful("failed", failure.Failure.FromString(call.rejection))
    else:
        headers, body = _outcome(event) if call.update_id else _completion(event)
    for name, value in spec.nexus.header.items():
        if name not in _NOT_ALLOWED:
            headers[name] = value
    for name in headers:
        if _TOKEN.fullmatch(name) is None:
            return _answer(call, f"net/http: invalid header field name {json.dumps(name)}", True)
    if event is None:
        # A rejection is no event, so there is nothing that it could be linked to.
        return Outgoing(spec.nexus.url, headers, body)
    headers.setdefault("nexus-operation-start-time", _http_date(call.start_time))
    headers.setdefault("nexus-operation-close-time", event.event_time.ToJsonString())
    headers.setdefault("nexus-link", f'<{_link(call)}>; type="{_LINK_TYPE}"')
    return Outgoing(spec.nexus.url, headers, body)


def _completion(closing: history.HistoryEvent) -> tuple[dict[str, str], bytes]:
    """State and content of the completion."""
    match closing.event_type:
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            return _successful(closing.workflow_execution_completed_event_attributes.result)
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            return _unsuccessful("failed", closing.workflow_execution_failed_event_attributes.failure)
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
            canceled = failure.Failure(message="operation canceled")
            info = canceled.canceled_failure_info
            info.SetInParent()
            ended = closing.workflow_execution_canceled_event_attributes
            if ended.HasField("details"):
                info.details.CopyFrom(ended.details)
            return _unsuccessful("canceled", canceled)
        case enums.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            late = failure.Failure(message="operation exceeded internal timeout")
            late.timeout_failure_info.SetInParent()
            return _unsuccessful("failed", late)
        case _:
            assert closing.event_type == enums.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, "the last run of a chain"
            terminated = failure.Failure(message="operation terminated")
            terminated.terminated_failure_info.SetInParent()
            return _unsuccessful("failed", terminated)


def _outcome(event: history.HistoryEvent) -> tuple[dict[str, str], bytes]:
    """An update's completion; any event that closed the run over it says that there will be none."""
    if event.event_type != enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
        return _unsuccessful("failed", failures.update_outlived_by_run())
    outcome = event.workflow_execution_update_completed_event_attributes.outcome
    if outcome.HasField("failure"):
        return _unsuccessful("failed", outcome.failure)
    return _successful(outcome.success)


def _successful(result: common.Payloads) -> tuple[dict[str, str], bytes]:
    """The first payload: Nexus knows no more than one."""
    headers, body = _content(result.payloads[0]) if result.payloads else ({}, b"")
    return headers | {"nexus-operation-state": "succeeded"}, body


def _unsuccessful(state: str, reason: failure.Failure) -> tuple[dict[str, str], bytes]:
    body = json.dumps(_nexus_failure(reason), separators=(",", ":")).encode()
    return {"content-type": "application/json", "nexus-operation-state": state}, body


def _nexus_failure(reason: failure.Failure) -> dict[str, Any]:
    """A failure as Nexus writes one: message, stack trace and cause are its own fields, the rest goes into details."""
    shown: dict[str, Any] = {"message": reason.message}
    if reason.stack_trace:
        shown["stackTrace"] = reason.stack_trace
    if reason.HasField("nexus_handler_failure_info"):
        shown["metadata"] = {"type": "nexus.HandlerError"}
        shown["details"] = _handler_error(reason)
    else:
        rest = failure.Failure()
        rest.CopyFrom(reason)
        rest.ClearField("message")
        rest.ClearField("stack_trace")
        shown["metadata"] = {"type": _FAILURE_TYPE}
        shown["details"] = to_plain(rest)
    if reason.HasField("cause"):
        shown["cause"] = _nexus_failure(reason.cause)
    return shown


def _handler_error(reason: failure.Failure) -> dict[str, Any]:
    info = reason.nexus_handler_failure_info
    details: dict[str, Any] = {}
    if info.type:
        details["type"] = info.type
    if info.retry_behavior:
        retryable = info.retry_behavior == enums.NEXUS_HANDLER_ERROR_RETRY_BEHAVIOR_RETRYABLE
        details["retryableOverride"] = retryable
    return details


def _content(payload: common.Payload) -> tuple[dict[str, str], bytes]:
    """A payload as HTTP content: by its media type where it has a plain one, else the serialized payload."""
    metadata = payload.metadata
    encoding = metadata["encoding"].decode("utf-8", "replace") if "encoding" in metadata else ""
    if encoding == "unknown/nexus-content":
        named = {
            f"content-{key.lower()}": value.decode("utf-8", "replace")
            for key, value in metadata.items()
            if key != "encoding"
        }
        return {name: value for name, value in named.items() if name not in _NOT_ALLOWED}, payload.data
    if len(metadata) == 1:
        if encoding == "binary/null":
            return {}, payload.data
        if encoding in _MEDIA_TYPES:
            return {"content-type": _MEDIA_TYPES[encoding]}, payload.data
    message_type = metadata["messageType"].decode("utf-8", "replace") if "messageType" in metadata else ""
    if len(metadata) == 2 and message_type and encoding in _TYPED:
        return {"content-type": _TYPED[encoding] + json.dumps(message_type)}, payload.data
    return {"content-type": "application/x-temporal-payload"}, payload.SerializeToString(deterministic=True)


_MEDIA_TYPES: Final = {"json/plain": "application/json", "binary/plain": "application/octet-stream"}
_TYPED: Final = {
    "json/protobuf": "application/json; format=protobuf; message-type=",
    "binary/protobuf": "application/x-protobuf; message-type=",
}


def _link(call: InvokeCallback) -> str:
    """The address of the event that registered the callback."""
    chain = call.sender.chain
    parts = [quote(part, safe="$&+=:@") for part in (call.namespace, chain.id, call.sender.run_id)]
    if call.request_id:
        kind = short_name(enums.EventType, call.origin or _OPTIONS_UPDATED)
        query = {"eventType": kind, "referenceType": "RequestIdReference", "requestID": call.request_id}
    else:
        query = {"eventID": "1", "eventType": "WorkflowExecutionStarted", "referenceType": "EventReference"}
    return f"temporal:///namespaces/{parts[0]}/workflows/{parts[1]}/{parts[2]}/history?{urlencode(query)}"


def _http_date(ns: int) -> str:
    """A time as HTTP headers write it, whatever the locale."""
    when = datetime.fromtimestamp(ns // SECOND, UTC)
    return f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04} {when:%H:%M:%S} GMT"


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# -- what comes back ---------------------------------------------------------------------------------------------------

_ERRORS: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "UNAUTHORIZED",
    404: "NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "NOT_IMPLEMENTED",
    503: "UNAVAILABLE",
    520: "UPSTREAM_TIMEOUT",
}
_FINAL: Final = frozenset(
    ("BAD_REQUEST", "UNAUTHENTICATED", "UNAUTHORIZED", "NOT_FOUND", "NOT_IMPLEMENTED", "CONFLICT")
)
"""Kinds of Nexus handler errors after which nobody tries again, unless the error says so itself."""
PROBLEM_CHARS_MAX: Final = 2_000
"""How much of a receiver's own words is kept."""


def answer(call: InvokeCallback, came: HttpAnswer) -> CallbackInvoked:
    """What the receiver's answer means for the callback."""
    if 200 <= came.status < 300:
        return _answer(call, "", False)
    told = _told(came)
    error = told.get("metadata", {}).get("type") == "nexus.HandlerError" if told is not None else False
    if told is not None and error:
        details = told.get("details")
        details = details if isinstance(details, dict) else {}
        kind = _text(details.get("type")) or "INTERNAL"
        override = details.get("retryableOverride")
        retryable = override if isinstance(override, bool) else kind not in _FINAL
        return _answer(call, _handler_problem(kind, _text(told.get("message"))), retryable)
    known = _ERRORS.get(came.status)
    if known is None:
        problem = f'unexpected response status: "{came.status} {came.reason}"'
        if told is not None and _text(told.get("message")):
            problem += f": {told['message']}"
        return _answer(call, problem, True)
    said = {"true": True, "false": False}.get(came.retryable.lower(), known not in _FINAL)
    return _answer(call, _handler_problem(known, ""), said)


def unanswered(call: InvokeCallback, problem: str) -> CallbackInvoked:
    """No answer came: try again."""
    return _answer(call, problem, True)


def _answer(call: InvokeCallback, problem: str, retryable: bool) -> CallbackInvoked:
    """The outcome. A problem may be in the receiver's own words: what is no Unicode must not get into a state."""
    sender = call.sender
    text = problem[:PROBLEM_CHARS_MAX].encode("utf-8", "replace").decode()
    return CallbackInvoked(sender.run_id, sender.item[1], call.attempt, text, retryable)


def _handler_problem(kind: str, message: str) -> str:
    return f"handler error ({kind}): {message}" if message else f"handler error ({kind})"


def _told(came: HttpAnswer) -> dict[str, Any] | None:
    """The failure in the answer's body, None when there is none."""
    if came.content_type.partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        found = json.loads(came.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("metadata", {}), dict):
        return None
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
