"""Requests that parse and mean nothing, and requests that do not parse: a definite status each, and no effect."""

from __future__ import annotations

import random
from typing import Any as Anything

import pytest

from perdure.api import Message, Method, enums, method_table
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from perdure.transport.client import RpcError
from tests.hostile.conftest import Run
from tests.service.rpc import Rpc, message, new_id, refusal

METHODS = sorted(
    (method for path, method in method_table().items() if "temporal.api" in path and not method.server_streaming),
    key=lambda method: method.path,
)
UNKNOWN_RUN = "00000000-0000-4000-8000-000000000000"
SHORT_S = 0.3
"""Long polls that a mutation happens to begin are given up after this."""
MUTATIONS = 12
FAULTS = (StatusCode.UNKNOWN, StatusCode.INTERNAL, StatusCode.DATA_LOSS, StatusCode.UNAVAILABLE)
"""What no request may bring about, however wrong."""


def method_id(method: Method) -> str:
    return method.name


async def outcome(client: Rpc, method: Method, request: bytes) -> RpcError | None:
    """How a call ended."""
    try:
        await client.raw(method.path, request, SHORT_S)
    except RpcError as error:
        return error
    return None


async def start(client: Rpc, queue: str = "unattended") -> rpc.StartWorkflowExecutionRequest:
    """A running workflow; the request that started it."""
    request = rpc.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id=new_id(),
        workflow_type=message(name="W"),
        task_queue=message(name=queue),
        request_id=new_id(),
    )
    await client.call(request, rpc.StartWorkflowExecutionResponse)
    return request


def test_invalid_protobuf_is_refused_by_every_method(run: Run) -> None:
    """Truncated, of a wrong wire type, and plain noise: never UNKNOWN, never a hang."""

    async def scenario(client: Rpc) -> None:
        wrong = []
        for method in METHODS:
            for request in (b"\xff\xff\xff\xff\xff", b"\x0a\x7fx", b"\x0f", b"\x0a\x02\xff\xfe"):
                error = await outcome(client, method, request)
                if error is None or error.code in (StatusCode.UNKNOWN, StatusCode.UNAVAILABLE, StatusCode.DATA_LOSS):
                    wrong.append((method.name, request, error))
        # An empty request type takes any field as unknown.
        assert [row for row in wrong if row[2] is not None] == []

    run(scenario)


def test_empty_requests_are_no_fault_of_ours(run: Run) -> None:
    """Nothing is set: a definite status, or an answer."""

    async def scenario(client: Rpc) -> None:
        errors = [(method.name, await outcome(client, method, b"")) for method in METHODS]
        assert [(name, str(error)) for name, error in errors if error is not None and error.code in FAULTS] == []

    run(scenario)


def test_unknown_namespaces(run: Run) -> None:
    """Every method with a namespace knows that it does not exist, unless it finds another mistake first."""

    async def scenario(client: Rpc) -> None:
        definite = (StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT, StatusCode.UNIMPLEMENTED)
        wrong = []
        for method in METHODS:
            if "namespace" in method.request.DESCRIPTOR.fields_by_name and method.name != "RegisterNamespace":
                error = await outcome(client, method, method.request(namespace="no-such").SerializeToString())
                if error is None or error.code not in definite:
                    wrong.append((method.name, str(error)))
        assert wrong == []

    run(scenario)


def _requests_for(execution: Anything) -> list[tuple[Message, type[Message]]]:
    """A request of each kind that names a run."""
    named, both = message(namespace="default", execution=execution), message(namespace="default")
    query = message(query_type="q")
    return [
        (rpc.DescribeWorkflowExecutionRequest(**named), rpc.DescribeWorkflowExecutionResponse),
        (rpc.GetWorkflowExecutionHistoryRequest(**named), rpc.GetWorkflowExecutionHistoryResponse),
        (rpc.GetWorkflowExecutionHistoryReverseRequest(**named), rpc.GetWorkflowExecutionHistoryReverseResponse),
        (rpc.QueryWorkflowRequest(**named, query=query), rpc.QueryWorkflowResponse),
        (rpc.ResetStickyTaskQueueRequest(**named), rpc.ResetStickyTaskQueueResponse),
        *(
            (request(**both, workflow_execution=execution, **more), reply)
            for request, reply, more in (
                (rpc.SignalWorkflowExecutionRequest, rpc.SignalWorkflowExecutionResponse, message(signal_name="s")),
                (rpc.RequestCancelWorkflowExecutionRequest, rpc.RequestCancelWorkflowExecutionResponse, message()),
                (rpc.TerminateWorkflowExecutionRequest, rpc.TerminateWorkflowExecutionResponse, message()),
            )
        ),
    ]


def test_wrong_run_ids(run: Run) -> None:
    """No UUID: INVALID_ARGUMENT. A UUID of no run: NOT_FOUND. An id of no workflow: NOT_FOUND."""

    async def scenario(client: Rpc) -> None:
        known = (await start(client)).workflow_id
        expected = {
            (known, "not-a-uuid"): StatusCode.INVALID_ARGUMENT,
            (known, UNKNOWN_RUN): StatusCode.NOT_FOUND,
            (new_id(), ""): StatusCode.NOT_FOUND,
            ("", ""): StatusCode.INVALID_ARGUMENT,
        }
        wrong = []
        for (workflow_id, run_id), code in expected.items():
            for request, reply in _requests_for(message(workflow_id=workflow_id, run_id=run_id)):
                error = await refusal(client.call(request, reply))
                if error.code is not code:
                    wrong.append((type(request).__name__, workflow_id == known, run_id, str(error)))
        assert wrong == []

    run(scenario)


def _flipped(token: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(token))
    return token[:place] + bytes([token[place] ^ 1 << dice.randrange(8)]) + token[place + 1 :]


def test_stale_and_forged_task_tokens(run: Run, seed: int) -> None:
    """Bit flips, tokens of another kind, tokens used twice: refused, and the history stays as it is."""

    async def scenario(client: Rpc) -> None:
        queue = new_id("q")
        started = await start(client, queue)
        poll = rpc.PollWorkflowTaskQueueRequest(namespace="default", task_queue=message(name=queue))
        task = await client.call(poll, rpc.PollWorkflowTaskQueueResponse)
        dice = random.Random(seed)
        forged = [_flipped(task.task_token, dice) for _ in range(50)]
        forged += [b"", b"x", dice.randbytes(40), task.task_token[:-1], task.task_token + b"\x00", bytes(70_000)]
        definite = (StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND)
        replies: list[tuple[type[Message], type[Message]]] = [
            (rpc.RespondWorkflowTaskCompletedRequest, rpc.RespondWorkflowTaskCompletedResponse),
            (rpc.RespondWorkflowTaskFailedRequest, rpc.RespondWorkflowTaskFailedResponse),
            (rpc.RespondActivityTaskCompletedRequest, rpc.RespondActivityTaskCompletedResponse),
            (rpc.RespondActivityTaskFailedRequest, rpc.RespondActivityTaskFailedResponse),
            (rpc.RespondActivityTaskCanceledRequest, rpc.RespondActivityTaskCanceledResponse),
            (rpc.RecordActivityTaskHeartbeatRequest, rpc.RecordActivityTaskHeartbeatResponse),
            (rpc.RespondQueryTaskCompletedRequest, rpc.RespondQueryTaskCompletedResponse),
        ]
        for number, (request, reply) in enumerate(replies):
            others = [task.task_token] if number > 1 else []
            for token in [*forged, *others]:
                error = await refusal(client.call(request(namespace="default", task_token=token), reply))
                assert error.code in definite, (request.__name__, token, str(error))
        done = rpc.RespondWorkflowTaskCompletedRequest(namespace="default", task_token=task.task_token)
        await client.call(done, rpc.RespondWorkflowTaskCompletedResponse)
        error = await refusal(client.call(done, rpc.RespondWorkflowTaskCompletedResponse))
        assert error.code is StatusCode.NOT_FOUND
        history = rpc.GetWorkflowExecutionHistoryRequest(
            namespace="default", execution=message(workflow_id=started.workflow_id)
        )
        events = (await client.call(history, rpc.GetWorkflowExecutionHistoryResponse)).history.events
        assert [event.event_type for event in events] == [
            enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
            enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
            enums.EVENT_TYPE_WORKFLOW_TASK_STARTED,
            enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        ]

    run(scenario)


def test_forged_page_tokens(run: Run, seed: int) -> None:
    """Of every paged method, also a true token of another method: INVALID_ARGUMENT."""

    async def scenario(client: Rpc) -> None:
        execution = message(workflow_id=(await start(client)).workflow_id)
        signal = rpc.SignalWorkflowExecutionRequest(namespace="default", workflow_execution=execution, signal_name="s")
        await client.call(signal, rpc.SignalWorkflowExecutionResponse)
        history = rpc.GetWorkflowExecutionHistoryRequest(namespace="default", execution=execution, maximum_page_size=1)
        true = (await client.call(history, rpc.GetWorkflowExecutionHistoryResponse)).next_page_token
        assert true
        dice = random.Random(seed)
        noise = [b"x", dice.randbytes(30), bytes(100_000), *[_flipped(true, dice) for _ in range(20)]]
        wrong = []
        paged: list[tuple[Message, type[Message], list[bytes]]] = [
            (history, rpc.GetWorkflowExecutionHistoryResponse, noise),
            (
                rpc.GetWorkflowExecutionHistoryReverseRequest(namespace="default", execution=execution),
                rpc.GetWorkflowExecutionHistoryReverseResponse,
                [*noise, true],
            ),
            (
                rpc.ListWorkflowExecutionsRequest(namespace="default"),
                rpc.ListWorkflowExecutionsResponse,
                [*noise, true],
            ),
            (rpc.ListNamespacesRequest(), rpc.ListNamespacesResponse, [*noise, true]),
        ]
        for request, reply, tokens in paged:
            for token in tokens:
                request.next_page_token = token  # type: ignore[attr-defined]
                error = await outcome_of(client, request, reply)
                if error is None or error.code is not StatusCode.INVALID_ARGUMENT:
                    wrong.append((type(request).__name__, token[:20], str(error)))
        assert wrong == []

    run(scenario)


async def outcome_of(client: Rpc, request: Message, reply: type[Message]) -> RpcError | None:
    """How a typed call ended."""
    try:
        await client.call(request, reply)
    except RpcError as error:
        return error
    return None


ABOUT_NAMESPACES = ("DeprecateNamespace", "DeleteNamespace", "UpdateNamespace", "RegisterNamespace")
"""Methods that could take the other tests' namespace away."""


def _filled(request: Message, dice: random.Random, depth: int = 0) -> Message:
    """Every field of a message set to something that is likely to be wrong."""
    texts = ("default", "x", "", "\u202e\x00\n", "a" * 1100, UNKNOWN_RUN)
    numbers = (0, 1, -1, 7, 2**31 - 1, -(2**31))
    for field in request.DESCRIPTOR.fields:
        if field.is_repeated or dice.random() < 0.2:
            continue
        if field.name == "namespace":
            value: Anything = "default"
        elif field.message_type is not None:
            if depth < 3:
                inner = getattr(request, field.name)
                inner.SetInParent()
                _filled(inner, dice, depth + 1)
            continue
        elif field.enum_type is not None:
            value = dice.choice([0, 1, 2, 99])
        elif field.cpp_type == field.CPPTYPE_STRING:
            text = dice.choice(texts)
            value = text.encode() if field.type == field.TYPE_BYTES else text
        elif field.cpp_type == field.CPPTYPE_BOOL:
            value = dice.random() < 0.5
        else:
            unsigned = field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
            value = abs(dice.choice(numbers)) % 2**31 if unsigned else dice.choice(numbers)
        setattr(request, field.name, value)
    return request


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_strange_values_and_bit_flips(run: Run, seed: int, method: Method) -> None:
    """Of every field and of every byte: a definite status or an answer, never a fault of ours."""

    async def scenario(client: Rpc) -> None:
        dice = random.Random(f"{seed}/{method.name}")
        found = []
        for number in range(MUTATIONS):
            filled = _filled(method.request(), dice)
            if method.name in ABOUT_NAMESPACES:
                filled.namespace = "scratch"  # type: ignore[attr-defined]
            request = filled.SerializeToString()
            if number % 2 and request:
                request = _flipped(request, dice)
            error = await outcome(client, method, request)
            unreadable = error is not None and number % 2 == 1 and error.code is StatusCode.INTERNAL
            if error is not None and error.code in FAULTS and not (unreadable and "unmarshal" in error.message):
                found.append((request, str(error)))
        assert found == []

    run(scenario)
