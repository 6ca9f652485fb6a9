"""HTTP requests that both servers get, in order, on one workflow after the other.

Each row is a request; what the two servers answer is compared by `test_http.py`. `{ns}` is the namespace, `{q}` a task
queue of the run, `{run}` the run id that the last answer with one named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Row:
    """A request and how much of the answer is compared."""

    verb: str
    path: str
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    message: bool = True
    """Whether an error's text is compared, not only its code."""


W: Final = "/api/v1/namespaces/{ns}/workflows/"
START: Final = '{"workflowType":{"name":"http"},"taskQueue":{"name":"{q}"}'
LONG: Final = "application/json+no-payload-shorthand"


def _start(workflow_id: str, more: str = "", message: bool = True, content_type: str = "") -> Row:
    headers = {"Content-Type": content_type} if content_type else {}
    return Row("POST", W + workflow_id, START + more + "}", headers, message)


STARTS: Final = (
    _start("w-1", ',"input":[1,"two",null,{"a":[1],"b":true},1.5],"memo":{"fields":{"m":"x","n":null}}'),
    Row("GET", W + "w-1/history"),
    Row("GET", W + "w-1/history?noPayloadShorthand"),
    Row("GET", W + "w-1/history?pretty&noPayloadShorthand"),
    Row("GET", W + "w-1/history", headers={"Accept": LONG}),
    Row("GET", "/namespaces/{ns}/workflows/w-1/history?maximumPageSize=1&execution.runId={run}"),
    Row("GET", W + "w-1/history-reverse?maximum_page_size=1"),
    Row("GET", W + "w-1?execution.run_id={run}"),
    _start("w-1"),
    _start("w-1", ',"workflowIdConflictPolicy":"WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"'),
    _start("w-1", ',"workflowIdConflictPolicy":"UseExisting"'),
    _start("w-1", ',"workflowIdConflictPolicy":2'),
    _start("w-2", ',"input":{"payloads":[{"metadata":{"encoding":"YmluYXJ5L3BsYWlu"},"data":"AAE="}]}'),
    Row("GET", W + "w-2/history"),
    _start("w-3", ',"input":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Mg=="}, 3]'),
    Row("GET", W + "w-3/history"),
    _start("w-4", ',"input":[{"_protoMessageType":"x.Y","a":1}]'),
    Row("GET", W + "w-4/history"),
    Row("GET", W + "w-4/history?noPayloadShorthand"),
    _start("w-5", ',"input":[1]', False, LONG),
    _start("w-5", ',"input":null', content_type=LONG),
    _start("w-6", ',"searchAttributes":{"indexedFields":{"DiffKeyword":"k","DiffInt":4}}'),
    Row("GET", W + "w-6"),
    _start("w-7", ',"workflow_execution_timeout":"90.5s","requestId":"r"'),
    _start("w-7", ',"workflowExecutionTimeout":"90.5s","request_id":"r"'),
    _start("w-8", ',"workflowExecutionTimeout":"90"'),
    _start("w-8", ',"workflowExecutionTimeout":90', False),
    _start("w-8", ',"cronSchedule":"nope"'),
    _start("a%20b%C3%A9%2B%3F"),
    Row("GET", W + "a%20b%C3%A9%2B%3F"),
)
"""Starts, and what is read of them."""

BODIES: Final = (
    Row("POST", W + "b", ""),
    Row("POST", W + "b", "null", message=False),
    Row("POST", W + "b", "[]", message=False),
    Row("POST", W + "b", '"x"', message=False),
    Row("POST", W + "b", "{"),
    Row("POST", W + "b", '{"workflowType":'),
    Row("POST", W + "b", '{"workflowType":}', message=False),
    Row("POST", W + "b", "{'workflowType':1}", message=False),
    Row("POST", W + "b", '{"workflowType":NaN}', message=False),
    Row("POST", W + "b", '{"workflowType":{"name":"t"},"bad":1}'),
    Row("POST", W + "b", '{"workflowType":{"name":"t","bad":1}}'),
    Row("POST", W + "b", '{"workflowType":{"name":1}}'),
    Row("POST", W + "b", '{"workflowType":"t"}', message=False),
    Row("POST", W + "b", '{"workflowType":{"name":"t"},"workflowType":{"name":"u"}}'),
    Row("POST", W + "b", '{"workflowType":{"name":"t"},"workflow_type":{"name":"u"}}'),
    Row("POST", W + "b", START + ',"workflowIdReusePolicy":"Nope"}'),
    Row("POST", W + "b", START + ',"workflowIdReusePolicy":true}'),
    Row("POST", W + "b", START + ',"workflowIdReusePolicy":1.5}'),
    Row("POST", W + "b", START + ',"requestEagerExecution":"true"}'),
    Row("POST", W + "b", START + ',"retryPolicy":{"maximumAttempts":"3","backoffCoefficient":"1.5"}}'),
    Row("POST", W + "b-2", START + ',"retryPolicy":{"maximumAttempts":3000000000}}'),
    Row("POST", W + "b-2", START + ',"retryPolicy":{"maximumAttempts":1e1}}'),
    Row("POST", W + "b-3", START + ',"retryPolicy":{"backoffCoefficient":"NaN"}}'),
    Row("POST", W + "b-3", START + ',"lastCompletionResult":{"payloads":[{"data":"not base64!"}]}}', message=False),
    Row("POST", W + "w-1/signal/s", '{"input":["x"]}'),
    Row("POST", W + "w-1/signal/s%20t", "{}"),
    Row("POST", W + "w-1/signal/s", '{"signalName":"other","namespace":"nope","workflowExecution":{"workflowId":"x"}}'),
    Row("POST", W + "w-1/cancel", '{"reason":"r"}'),
    Row("POST", W + "w-1/cancel", ""),
    Row("POST", W + "nope/cancel", "{}"),
    Row("POST", W + "w-2/terminate", '{"reason":"r","details":[1]}'),
    Row("GET", W + "w-2/history?historyEventFilterType=2"),
    Row("GET", W + "w-1/history"),
)
"""Bodies, good and bad."""

QUERIES: Final = (
    Row("GET", W + "w-1/history?historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_ALL_EVENT"),
    Row("GET", W + "w-1/history?historyEventFilterType=CloseEvent"),
    Row("GET", W + "w-1/history?historyEventFilterType=7"),
    Row("GET", W + "w-1/history?waitNewEvent=zzz"),
    Row("GET", W + "w-1/history?maximumPageSize=1&maximumPageSize=2"),
    Row("GET", W + "w-1/history?maximumPageSize=x"),
    Row("GET", W + "w-1/history?maximumPageSize=99999999999"),
    Row("GET", W + "w-1/history?unknown=1&un.known=2&maximumPageSize=1"),
    Row("GET", W + "w-1/history?execution=1"),
    Row("GET", W + "w-1/history?execution.workflowId=other&namespace=nope"),
    Row("GET", W + "w-1/history?execution.runId=nope"),
    Row("GET", W + "w-1/history?nextPageToken=%21", message=False),
    Row("GET", W + "w-1/history?nextPageToken=AAAA", message=False),
    Row("GET", "/api/v1/namespaces/{ns}/workflows?query=WorkflowId%3D%27nope%27"),
    Row("GET", "/api/v1/namespaces/{ns}/workflows?query=WorkflowId+%3D+'nope'&pageSize=1"),
    Row("GET", "/api/v1/namespaces/{ns}/workflows?query=bad("),
    Row("GET", "/api/v1/namespaces/{ns}/workflow-count?query=WorkflowId%3D%27nope%27"),
    Row("GET", "/api/v1/namespaces/nope"),
    Row("GET", "/api/v1/namespaces/nope/workflows/x"),
    Row("POST", "/api/v1/namespaces/nope/workflows/x", "{}"),
    Row("GET", W + "w-1/history", headers={"Grpc-Timeout": "zz"}),
    Row("GET", W + "w-1?execution.runId={run}", headers={"Grpc-Timeout": "5S"}),
    Row("GET", W + "w-1", headers={"Grpc-Metadata-x-bin": "!"}, message=False),
    Row("GET", W + "w-1/history?maximumPageSize=1", headers={"client-name": "temporal-go", "client-version": "1.0.0"}),
)
"""Queries and headers."""

PATHS: Final = (
    Row("GET", "/api/v1/system-info/"),
    Row("GET", "/nope"),
    Row("GET", "/"),
    Row("GET", "/api/v1"),
    Row("GET", W),
    Row("GET", "/api/v1/namespaces/{ns}/workflows/x/y/z"),
    Row("DELETE", "/api/v1/namespaces"),
    Row("PUT", W + "w-1"),
    Row("PATCH", W + "w-1/history"),
    Row("OPTIONS", "/api/v1/system-info"),
    Row("POST", "/api/v1/system-info", "{}"),
    Row("POST", "/openapi.yaml"),
    Row("POST", W + "w-1/history", "maximumPageSize=1", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Row("GET", "/api/v1/cluster/search-attributes", headers={"Accept": "text/html"}),
    Row("GET", "/api/v1/namespaces/{ns}/search-attributes"),
)
"""Paths and verbs, known and unknown."""

TABLES: Final = {
    "starts": STARTS,
    "bodies": (STARTS[0], STARTS[12], *BODIES),
    "queries": (STARTS[0], *QUERIES),
    "paths": (STARTS[0], *PATHS),
}
"""Each is one run of requests, with what it needs first."""
