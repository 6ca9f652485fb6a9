"""What is random or a race of the client's own must not decide how two stories compare."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
import pytest
from temporalio.api.workflowservice import v1 as rpc

from perdure.api import enums, workflow
from tests.differential.normalise import Normaliser
from tests.differential.wire import Connection, RpcFailed

LOW = "00000000-0000-4000-8000-000000000001"
HIGH = "ffffffff-0000-4000-8000-000000000001"


def told(first: str, second: str, order: tuple[int, ...]) -> list[str]:
    info = workflow.WorkflowExecutionExtendedInfo()
    events = ((first, enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, 1), (second, 26, 12))
    for request_id, event_type, event_id in [events[index] for index in order]:
        info.request_id_infos[request_id].event_type = event_type  # type: ignore[assignment]  # a plain number
        info.request_id_infos[request_id].event_id = event_id
    return list(Normaliser("nonce").lines(info))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_entries_under_random_keys_come_in_the_order_of_what_they_say(order: tuple[int, ...]) -> None:
    """Two runs mint other request ids: neither their order nor the map's shows."""
    assert told(LOW, HIGH, order) == told(HIGH, LOW, (0, 1))
    assert told(LOW, HIGH, order) != told(LOW, LOW, (0,))


class Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers CANCELLED, after a while if it is told to wait for the deadline."""

    def __init__(self, waits: bool) -> None:
        self._waits = waits

    def service(self, handler_call_details: object) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    def _refuse(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if self._waits:
            threading.Event().wait(context.time_remaining() - 0.03)
        context.abort(grpc.StatusCode.CANCELLED, "gone")
        return b""


@pytest.mark.parametrize(("waits", "code"), [(True, "DEADLINE_EXCEEDED"), (False, "CANCELLED")])
def test_who_notices_a_deadline_first_does_not_show(waits: bool, code: str) -> None:
    """A server that gives up just before the caller reads as one that does so just after; one that refuses does not."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Refusing(waits)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    connection = Connection(f"127.0.0.1:{port}")
    try:
        with pytest.raises(RpcFailed) as caught:
            connection.call(rpc.GetSystemInfoRequest(), rpc.GetSystemInfoResponse, 0.2 if waits else 10.0)
    finally:
        connection.close()
        server.stop(None)
    assert caught.value.code == code
