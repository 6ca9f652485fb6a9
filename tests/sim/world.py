"""One simulated machine: a disk that outlives the servers on it, the server of the day, clients, a worker, a trace.

Everything in it follows from the seed. It must not judge: what must hold is in `audit.py` and the tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from perdure.api import Message
from perdure.app import CACHE_BYTES, Server
from perdure.config.dynamic import DynamicConfig
from perdure.errors import StatusCode
from perdure.ids import SeededIds
from perdure.store.api import StoreError
from perdure.store.faulty import Faults, FaultyStore
from perdure.store.memory import MemoryDisk, MemoryStore
from perdure.testing.in_process import CALL_S, InProcessClient
from perdure.testing.virtual_time import VirtualLoop
from perdure.transport.client import RpcError
from tests.sim.gate import Gate

PASSING: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED})
"""Outcomes after which a good client asks again."""
PAUSE_S: Final = 0.25

SAFE: Final = "safe"
"""A disk that never loses what was applied."""
SYNCED: Final = "synced"
"""A disk that loses with a crash what was applied and not yet acknowledged."""
LYING: Final = "lying"
"""A disk that acknowledges at once and syncs now and then: the planted bug."""
LIE_S: Final = 2.0
"""How often it does."""


@final
class World:
    """Made inside a running `VirtualLoop`."""

    def __init__(
        self,
        faults: Faults | None = None,
        cache_bytes_max: int = CACHE_BYTES,
        disk: str = SAFE,
        history_first: bool = False,
        settings: Mapping[str, object] | None = None,
        prepare: Callable[[Server], None] = lambda _: None,
    ) -> None:
        """`prepare` sees each server before it opens."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.random = loop.random
        self.disk = MemoryDisk(synchronous=disk == SAFE)
        self._syncs = disk == SYNCED
        self.client = InProcessClient()
        self.injected: dict[str, int] = {}
        self.crashes = 0
        self._faults = faults if faults is not None else Faults()
        self._cache_bytes_max = cache_bytes_max
        self._history_first = history_first
        self._settings = dict(settings or {})
        self._prepare = prepare
        self._trace = hashlib.blake2b(digest_size=16)
        self._gate: Gate | None = None
        self._graveyard: list[Server] = []
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The server that is up."""
        assert self._server is not None, "boot comes first"
        return self._server

    @property
    def up(self) -> bool:
        """Whether there is a server."""
        return self._server is not None

    async def boot(self) -> None:
        """Start a server on the disk, as often as it takes, and connect the client to it."""
        while True:
            store = FaultyStore(MemoryStore(self.disk, self._history_first), self._faults, self.random.getrandbits(64))
            gate = Gate(store, self.disk, self._syncs)
            ids = SeededIds(self.random.getrandbits(64))
            server = Server(gate, self.loop, ids, DynamicConfig(self._settings), self._cache_bytes_max)
            self._prepare(server)
            try:
                await server.open()
            except StoreError:
                gate.kill()
                self._graveyard.append(server)
                await asyncio.sleep(PAUSE_S)
                continue
            self._gate, self._server = gate, server
            self.client.connect(server.frontend.dispatch)
            return

    def kill(self, machine: bool = False) -> None:
        """The process dies between two instructions; with `machine` what was not synced goes with it, and so does what
        was on its way.
        """
        assert self._gate is not None
        self.crashes += 1
        self._gate.kill()
        self.client.disconnect()
        self._count(self._gate.inner)
        if machine:
            self._gate.inner.crash()
        self._graveyard.append(self.server)
        self._server = self._gate = None

    def heal(self) -> None:
        """From here on the store does what it is asked."""
        old = self._faults
        self.suffer(Faults(latency_min_ns=old.latency_min_ns, latency_max_ns=old.latency_max_ns))

    def suffer(self, faults: Faults) -> None:
        """From here on these faults."""
        self._faults = faults
        if self._gate is not None:
            self._gate.inner.faults = faults

    async def crash_now_and_then(self, least_s: float, most_s: float, machine: bool, calm: asyncio.Event) -> None:
        """Kill and boot at random instants until `calm` is set."""
        while not calm.is_set():
            await asyncio.sleep(self.random.uniform(least_s, most_s))
            self.kill(machine)
            await asyncio.sleep(self.random.uniform(0.0, 2.0))
            await self.boot()

    async def sync_now_and_then(self, calm: asyncio.Event) -> None:
        """What a disk that lies does behind everybody's back, until `calm` is set."""
        while not calm.is_set():
            await asyncio.sleep(LIE_S)
            self.disk.sync()

    def behind_the_next_commit(self, call: Callable[[], None]) -> None:
        """Call back once when a commit has landed, before the server hears of it."""
        assert self._gate is not None
        self._gate.late = call

    async def close(self) -> None:
        """An orderly end."""
        if self._gate is not None:
            self._count(self._gate.inner)
        await self.server.close()

    def _count(self, store: FaultyStore) -> None:
        for name, count in store.injected.items():
            self.injected[name] = self.injected.get(name, 0) + count

    # Calls that leave a trace

    async def once(self, method: str, request: Message, timeout_s: float = CALL_S) -> Any:
        """One call. Raises RpcError."""
        try:
            answer = await self.client.call(method, request, timeout_s)
        except RpcError as error:
            self._note(method, error.code.name.encode())
            raise
        self._note(method, answer.SerializeToString(deterministic=True))
        return answer

    async def sure(self, method: str, request: Message, timeout_s: float = CALL_S) -> Any:
        """The answer, asked for as often as it takes."""
        while True:
            try:
                return await self.once(method, request, timeout_s)
            except RpcError as error:
                if error.code not in PASSING:
                    raise
            await asyncio.sleep(PAUSE_S)

    def _note(self, method: str, outcome: bytes) -> None:
        self._trace.update(f"{self.loop.now_ns()} {method} {len(outcome)}\n".encode() + outcome)

    @property
    def trace(self) -> str:
        """A hash of what every call was answered and when."""
        return f"{self._trace.hexdigest()}/{self.loop.steps}"


def quiet() -> None:
    """Injected faults are no news."""
    for name in ("perdure.engine.committer", "perdure.engine.engine", "perdure.engine.alarms"):
        logging.getLogger(name).setLevel(logging.ERROR)
