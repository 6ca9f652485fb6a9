"""What RPC handlers are given: the services of this process, and the call they answer.

Plain records. They exist so that a handler is a function of (services, call, request) and knows nothing of how the
process was put together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, final

from perdure.api import Method
from perdure.errors import FailedPrecondition, InvalidArgument
from perdure.ids import ChainKey, Kind
from perdure.machines.env import NamespaceView
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Snapshot
from perdure.machines.workflow.task_token import TaskToken

if TYPE_CHECKING:
    from perdure.archival.api import Provider
    from perdure.clock import Clock
    from perdure.cluster.endpoints import EndpointRegistry
    from perdure.cluster.identity import ClusterIdentity
    from perdure.cluster.namespaces import Namespace, NamespaceRegistry
    from perdure.cluster.task_queues import TaskQueueRegistry
    from perdure.config.dynamic import DynamicConfig
    from perdure.engine.engine import Engine
    from perdure.frontend.tokens import QueryToken, Tokens
    from perdure.ids import IdSource
    from perdure.matching.service import Matching
    from perdure.store.api import Store
    from perdure.transport.calls import ServerCall

POLL_TAIL_S = 1.0
"""A long poll answers so long before its caller gives up."""
POLL_DEADLINE_MIN_S = 2.0
"""A shorter deadline makes a long poll pointless: FAILED_PRECONDITION (server_inventory 1.0)."""
POLL_S = 60.0
"""The longest wait for a task (`matching.longPollExpirationInterval`)."""


@final
class Services:
    """The services of this process."""

    __slots__ = (
        "archive",
        "batch_starts",
        "clock",
        "config",
        "endpoints",
        "engine",
        "identity",
        "ids",
        "loop",
        "matching",
        "namespaces",
        "store",
        "task_queues",
        "tokens",
        "version",
    )

    def __init__(
        self,
        engine: Engine,
        matching: Matching,
        namespaces: NamespaceRegistry,
        endpoints: EndpointRegistry,
        task_queues: TaskQueueRegistry,
        store: Store,
        config: DynamicConfig,
        clock: Clock,
        ids: IdSource,
        identity: ClusterIdentity,
        tokens: Tokens,
        loop: asyncio.AbstractEventLoop,
        version: str,
        archive: Provider,
    ) -> None:
        self.engine = engine
        self.matching = matching
        self.namespaces = namespaces
        self.endpoints = endpoints
        self.task_queues = task_queues
        self.store = store
        self.config = config
        self.clock = clock
        self.ids = ids
        self.identity = identity
        self.tokens = tokens
        self.loop = loop
        self.version = version
        self.archive = archive
        self.batch_starts = asyncio.Lock()
        """Held while a batch job is begun: how many run already is counted, and then there is one more."""

    async def snapshot(self, key: ChainKey, run_id: str) -> Execution:
        """A run as it is after everything that was acknowledged; "" for the current one. Raises NotFound."""
        execution = await self.engine.submit(key, Snapshot(run_id))
        assert isinstance(execution, Execution)
        return execution

    def view(self, call: Call) -> NamespaceView:
        """The limits and names of the call's namespace."""
        view = self.namespaces.view(call.namespace.id)
        assert view is not None, "an interceptor has found the namespace"
        return view


@final
class Call:
    """One call on its way through interceptors and handler.

    The namespace and the task token are set by interceptors.
    """

    __slots__ = ("_namespace", "method", "own", "query_token", "task_token", "wire")

    def __init__(self, method: Method, wire: ServerCall) -> None:
        self.method = method
        self.wire = wire
        self.own = False
        self._namespace: Namespace | None = None
        self.task_token: TaskToken | None = None
        self.query_token: QueryToken | None = None

    @classmethod
    def within(cls, method: Method, namespace: Namespace) -> Call:
        """A call that the server makes itself: `own`, and without a wire to look at."""
        call = cls.__new__(cls)
        call.method = method
        call.own = True
        call._namespace = namespace
        call.task_token = None
        call.query_token = None
        return call

    @property
    def namespace(self) -> Namespace:
        """The namespace the call is about."""
        assert self._namespace is not None, "this method has no namespace"
        return self._namespace

    @namespace.setter
    def namespace(self, namespace: Namespace) -> None:
        self._namespace = namespace

    @property
    def has_namespace(self) -> bool:
        """Whether the call is about a namespace."""
        return self._namespace is not None

    @property
    def token(self) -> TaskToken:
        """The task token of the request."""
        assert self.task_token is not None, "this method has no task token"
        return self.task_token

    def key(self, workflow_id: str) -> ChainKey:
        """The chain of a workflow id in the call's namespace."""
        return ChainKey(self.namespace.id, Kind.WORKFLOW, workflow_id)

    def header(self, name: str) -> str:
        """A metadata value, "" when it was not sent."""
        return self.wire.metadata.get(name) or ""

    def may_exceed(self, size: int) -> bool:
        """Whether the request may have more than `size` bytes; nothing in a smaller one need be measured."""
        return self.own or len(self.wire.message) > size

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds until the caller gives up; None when it set no deadline. `now_s` is loop time."""
        return None if self.wire.deadline is None else self.wire.deadline - now_s

    def long_poll_s(self, now_s: float, longest_s: float = POLL_S) -> float:
        """How long a task poll may wait; 0 or less: answer empty at once (server_inventory 4.18).

        Raises InvalidArgument without a deadline, FailedPrecondition with one below 2 s.
        """
        remaining = self.remaining_s(now_s)
        if remaining is None:
            raise InvalidArgument("Context timeout is not set.")
        if remaining < POLL_DEADLINE_MIN_S:
            raise FailedPrecondition("Context timeout is too short.")
        return min(longest_s, remaining - POLL_TAIL_S)
