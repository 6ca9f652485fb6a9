"""Task tokens and page tokens: opaque to clients, keyed by the cluster, bound to what they are for.

A token is a 16-byte MAC followed by msgpack. The key lives in the store (`cluster.identity`), so that a worker's
token is good after a restart and on every process of the cluster; the MAC covers the purpose, so a page token is
never a task token. Whoever forges or mixes up tokens gets the spec's errors (semantics 3.4, 14.2; server_inventory
5). Nothing here says whether a task is still current: the step does that.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import Any, Final, final

import msgspec

from perdure.errors import InvalidArgument
from perdure.machines.workflow.task_token import TaskToken

_MAC_BYTES: Final = 16
_TOKEN_BYTES_MAX: Final = 64 * 1024

_WORKFLOW_TASK: Final = b"workflow-task"
_ACTIVITY_TASK: Final = b"activity-task"
_QUERY_TASK: Final = b"query-task"
_HISTORY_PAGE: Final = b"history-page"
_REVERSE_PAGE: Final = b"reverse-page"
_NAMESPACE_PAGE: Final = b"namespace-page"
_ENDPOINT_PAGE: Final = b"endpoint-page"
_ARCHIVE_PAGE: Final = b"archive-page"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class ForgedToken(ValueError):
    """The bytes are no token of this cluster for this purpose. Never leaves the frontend."""


@final
class QueryToken:
    """A directly dispatched query on its way to a worker (semantics 8.1)."""

    __slots__ = ("namespace_id", "task_id", "task_queue")

    def __init__(self, namespace_id: str, task_queue: str, task_id: str) -> None:
        self.namespace_id = namespace_id
        self.task_queue = task_queue
        self.task_id = task_id


@final
class HistoryToken:
    """Where GetWorkflowExecutionHistory goes on: events [first_event_id, next_event_id) of a run are still to be sent.

    `running`: the run was open when `next_event_id` was read, so more may come. `transient` is a serialized `History`
    of the synthetic events that follow the last page of a worker's task (semantics 3.4), or b"". `branches` are those
    of the run when the first page was read.
    """

    __slots__ = ("branches", "first_event_id", "next_event_id", "run_id", "running", "transient")

    def __init__(
        self,
        run_id: str,
        first_event_id: int,
        next_event_id: int,
        running: bool,
        branches: tuple[tuple[bytes, int], ...],
        transient: bytes = b"",
    ) -> None:
        self.run_id = run_id
        self.first_event_id = first_event_id
        self.next_event_id = next_event_id
        self.running = running
        self.branches = branches
        self.transient = transient


@final
class Tokens:
    """Seals and opens tokens with one key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        assert len(key) == 32, "the token key has 32 bytes"
        self._key = key

    def _seal(self, purpose: bytes, fields: tuple[Any, ...]) -> bytes:
        body = _encode(fields)
        return blake2b(body, digest_size=_MAC_BYTES, key=self._key, person=purpose).digest() + body

    def _open(self, purpose: bytes, token: bytes) -> Any:
        if not _MAC_BYTES < len(token) <= _TOKEN_BYTES_MAX:
            raise ForgedToken
        body = token[_MAC_BYTES:]
        mac = blake2b(body, digest_size=_MAC_BYTES, key=self._key, person=purpose).digest()
        if not hmac.compare_digest(mac, token[:_MAC_BYTES]):
            raise ForgedToken
        return _decode(body)

    def _open_page(self, purpose: bytes, token: bytes) -> Any:
        try:
            return self._open(purpose, token)
        except ForgedToken:
            raise InvalidArgument("Invalid NextPageToken.") from None

    def _task(self, purpose: bytes, token: TaskToken) -> bytes:
        return self._seal(
            purpose,
            (
                token.namespace_id,
                token.workflow_id,
                token.run_id,
                token.scheduled_event_id,
                token.started_event_id,
                token.started_time,
                token.attempt,
                token.activity_id,
            ),
        )

    def workflow_task(self, token: TaskToken) -> bytes:
        """The token of a workflow task."""
        return self._task(_WORKFLOW_TASK, token)

    def activity_task(self, token: TaskToken) -> bytes:
        """The token of an activity attempt."""
        return self._task(_ACTIVITY_TASK, token)

    def query_task(self, token: QueryToken) -> bytes:
        """The token of a query task."""
        return self._seal(_QUERY_TASK, (token.namespace_id, token.task_queue, token.task_id))

    def open_workflow_task(self, token: bytes) -> TaskToken:
        """Raises `ForgedToken`."""
        return TaskToken(*self._open(_WORKFLOW_TASK, token))

    def open_activity_task(self, token: bytes) -> TaskToken:
        """Raises `ForgedToken`."""
        return TaskToken(*self._open(_ACTIVITY_TASK, token))

    def open_query_task(self, token: bytes) -> QueryToken:
        """Raises `ForgedToken`."""
        return QueryToken(*self._open(_QUERY_TASK, token))

    def is_task_token(self, token: bytes) -> bool:
        """Whether a token is of one of the three kinds that workers are given."""
        for purpose in (_WORKFLOW_TASK, _ACTIVITY_TASK, _QUERY_TASK):
            try:
                self._open(purpose, token)
            except ForgedToken:
                continue
            return True
        return False

    def history_page(self, namespace_id: str, workflow_id: str, token: HistoryToken) -> bytes:
        """The page token of a history; good for this workflow only."""
        return self._seal(_HISTORY_PAGE, _history_fields(namespace_id, workflow_id, token))

    def open_history_page(self, namespace_id: str, workflow_id: str, run_id: str, token: bytes) -> HistoryToken:
        """Raises InvalidArgument; a `run_id` that is not "" must be the token's."""
        return self._open_history(_HISTORY_PAGE, namespace_id, workflow_id, run_id, token)

    def reverse_page(self, namespace_id: str, workflow_id: str, token: HistoryToken) -> bytes:
        """The page token of a history read backwards."""
        return self._seal(_REVERSE_PAGE, _history_fields(namespace_id, workflow_id, token))

    def open_reverse_page(self, namespace_id: str, workflow_id: str, run_id: str, token: bytes) -> HistoryToken:
        """As `open_history_page`."""
        return self._open_history(_REVERSE_PAGE, namespace_id, workflow_id, run_id, token)

    def _open_history(
        self, purpose: bytes, namespace_id: str, workflow_id: str, run_id: str, token: bytes
    ) -> HistoryToken:
        fields = self._open_page(purpose, token)
        if run_id and run_id != fields[2]:
            raise InvalidArgument("RunId in the request does not match the NextPageToken.")
        if fields[0] != namespace_id or fields[1] != workflow_id:
            raise InvalidArgument("Invalid NextPageToken.")
        branches = tuple([(bytes(branch), end) for branch, end in fields[6]])
        return HistoryToken(fields[2], fields[3], fields[4], fields[5], branches, fields[7])

    def namespace_page(self, after: str) -> bytes:
        """The page token of ListNamespaces: the last name that was sent."""
        return self._seal(_NAMESPACE_PAGE, (after,))

    def open_namespace_page(self, token: bytes) -> str:
        """Raises InvalidArgument."""
        return str(self._open_page(_NAMESPACE_PAGE, token)[0])

    def endpoint_page(self, start: str) -> bytes:
        """The page token of ListNexusEndpoints: the id with which the next page begins."""
        return self._seal(_ENDPOINT_PAGE, (start,))

    def open_endpoint_page(self, token: bytes) -> str:
        """Raises InvalidArgument."""
        return str(self._open_page(_ENDPOINT_PAGE, token)[0])

    def archive_page(self, namespace_id: str, last: tuple[int, str]) -> bytes:
        """The page token of ListArchivedWorkflowExecutions: close time (ns) and run id of the last record."""
        return self._seal(_ARCHIVE_PAGE, (namespace_id, *last))

    def open_archive_page(self, namespace_id: str, token: bytes) -> tuple[int, str] | None:
        """The last record given out, None for the first page. Raises InvalidArgument."""
        if not token:
            return None
        try:
            opened, closed, run_id = self._open(_ARCHIVE_PAGE, token)
        except ForgedToken:
            opened = None
        if opened != namespace_id:
            raise InvalidArgument("next page token is corrupted")
        return closed, run_id


def _history_fields(namespace_id: str, workflow_id: str, token: HistoryToken) -> tuple[Any, ...]:
    return (
        namespace_id,
        workflow_id,
        token.run_id,
        token.first_event_id,
        token.next_event_id,
        token.running,
        token.branches,
        token.transient,
    )
