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
from perdure.clock import SECOND
from perdure.config.dynamic import DynamicConfig
from perdure.errors import StatusCode
from perdure.ids import SeededIds
from perdure.store.api import StoreError
from perdure.store.faulty import Faults, FaultyStore
from perdure.store.memory import MemoryDisk, MemoryStore
from perdure.testing.in_process import CALL_S, SDK_METADATA, InProcessClient
from perdure.testing.virtual_time import VirtualLoop
from perdure.transport.client import RpcError
from tests.sim.audit import Violation
from tests.sim.fsck import problems
from tests.sim.gate import Gate
from tests.sim.network import Network

PASSING: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED})
"""Outcomes after which a good client asks again."""
PAUSE_S: Final = 0.25
FOLLOWING: Final = ("supported-features", "follows-next-run-id")
"""Said by a client that follows retries and cron runs itself, so that it is shown closing events as they are."""

SAFE: Final = "safe"
"""A disk that never loses what was applied."""
SYNCED: Final = "synced"
"""A disk that loses with a crash what was applied and not yet acknowledged."""
LYING: Final = "lying"
"""A disk that acknowledges at once and syncs now and then: the planted bug."""
SENT_S: Final = 5.0
"""Longer than any call to a store is on its way."""
LIE_S: Final = 2.0
"""How often it does."""


@final
class JumpyClock:
    """The time of day as a machine tells it whose clock is set now and then."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.ahead_s = 0.0

    def now_ns(self) -> int:
        return self._loop.now_ns() + round(self.ahead_s * SECOND)


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
        self.client = InProcessClient(metadata=(*SDK_METADATA, FOLLOWING))
        self.network = Network(self.client, self.random)
        self.clock = JumpyClock(loop)
        self.injected: dict[str, int] = {}
        self.crashes = 0
        self.successions = 0
        self._faults = faults if faults is not None else Faults()
        self._cache_bytes_max = cache_bytes_max
        self._history_first = history_first
        self._settings = dict(settings or {})
        self._prepare = prepare
        self._trace = hashlib.blake2b(digest_size=16)
        self._gate: Gate | None = None
        self._graveyard: list[Server] = []
        self._zombies: list[tuple[Gate, Server]] = []
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
            server = Server(gate, self.clock, ids, DynamicConfig(self._settings), self._cache_bytes_max)
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

    def succeed(self) -> None:
        """The process is taken for dead, though it is not: it goes on until it finds out that it was succeeded. Its
        callers do not reach it any more, but what it had been asked may yet be answered.
        """
        assert self._gate is not None
        self.successions += 1
        self._zombies.append((self._gate, self.server))
        self._server = self._gate = None

    def bury(self) -> None:
        """Whatever was succeeded is dead at last."""
        for gate, server in self._zombies:
            self._count(gate.inner)
            gate.kill()
            self._graveyard.append(server)
        self._zombies.clear()

    def check(self) -> None:
        """What is stored is whole at any time. Raises Violation."""
        found = problems(self.disk)
        if found:
            raise Violation(f"stored at {self.loop.time():.3f}: {found}")

    def heal(self) -> None:
        """From here on the store does what it is asked."""
        old = self._faults
        self.network.lost = self.network.doubled = 0.0
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
            self.check()
            await asyncio.sleep(self.random.uniform(0.0, 2.0))
            await self.boot()

    async def succeed_now_and_then(self, least_s: float, most_s: float, calm: asyncio.Event) -> None:
        """Let another process take over at random instants until `calm` is set, and whenever an older one has taken
        its place back.
        """
        while not calm.is_set():
            await asyncio.sleep(self.random.uniform(least_s, most_s))
            self.succeed()
            await self.boot()
        self.succeed()
        self.bury()
        # What they had sent arrives before the last one takes its place.
        await asyncio.sleep(SENT_S)
        await self.boot()

    async def set_the_clock_now_and_then(self, most_s: float, calm: asyncio.Event) -> None:
        """Let the time of day jump by up to `most_s` to and fro until `calm` is set."""
        while not calm.is_set():
            await asyncio.sleep(self.random.uniform(1.0, 8.0))
            self.clock.ahead_s = self.random.uniform(-most_s, most_s)
        self.clock.ahead_s = 0.0

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
            answer = await self.network.call(method, request, timeout_s)
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


QUIET: Final = ("engine.engine", "engine.alarms", "engine.entities", "frontend.status")


def quiet() -> None:
    """Injected faults are no news."""
    for name in QUIET:
        logging.getLogger(f"perdure.{name}").setLevel(logging.ERROR)
    # That a process was succeeded is an error where it is not done on purpose.
    logging.getLogger("perdure.engine.committer").setLevel(logging.CRITICAL)
