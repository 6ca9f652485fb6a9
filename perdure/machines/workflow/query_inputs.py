"""What clients ask of queries, and what they are told (semantics 8.1). Plain values, like `inputs.py`."""

from __future__ import annotations

from typing import final

from perdure.machines.workflow.inputs import Input


@final
class Query(Input):
    """QueryWorkflow (semantics 8.1): rejected, to be dispatched directly, or buffered for the next workflow task.

    `body` is a serialized `WorkflowQuery`; `waiter` is whom an `Answer` effect will name; `deadline` is ns since
    the epoch.
    """

    __slots__ = ("body", "deadline", "query_id", "reject_condition", "waiter")

    def __init__(
        self, run_id: str, query_id: str, body: bytes, reject_condition: int, waiter: int, deadline: int
    ) -> None:
        super().__init__(run_id)
        self.query_id = query_id
        self.body = body
        self.reject_condition = reject_condition
        self.waiter = waiter
        self.deadline = deadline


@final
class QueryAbandoned(Input):
    """The caller of a buffered query has gone."""

    __slots__ = ("query_id",)

    def __init__(self, run_id: str, query_id: str) -> None:
        super().__init__(run_id)
        self.query_id = query_id


@final
class QueryBuffered:
    """The query waits for a workflow task; an `Answer` follows."""

    __slots__ = ("run_id",)

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


@final
class QueryRejected:
    """The reject condition holds; `status` is the run's."""

    __slots__ = ("status",)

    def __init__(self, status: int) -> None:
        self.status = status


@final
class QueryDirect:
    """Dispatch the query through matching; `state` is the `Execution` as it was."""

    __slots__ = ("state",)

    def __init__(self, state: object) -> None:
        self.state = state


@final
class QueryAnswered:
    """A worker answered a query: the serialized `Payloads`, None when it gave none."""

    __slots__ = ("result",)

    def __init__(self, result: bytes | None) -> None:
        self.result = result
