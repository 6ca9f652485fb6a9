"""The way between clients and server, which loses answers and delivers requests twice.

A request that was lost before it arrived is a server that is down, which others make. What is special here is a caller
who does not know: the request was carried out, and the answer is gone; or it came twice, at the same time or a moment
later, and one of the answers is gone. It must not change what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Any, Final, final

from perdure.api import Message
from perdure.errors import StatusCode
from perdure.testing.in_process import CALL_S, InProcessClient
from perdure.transport.client import RpcError

TWIN_S: Final = (0.0, 0.05, 1.0)
"""How long after a request its twin may come."""


@final
class Network:
    """A client in front of another one. The shares are of all calls; 0 of both is a good network."""

    def __init__(self, client: InProcessClient, random: Random, lost: float = 0.0, doubled: float = 0.0) -> None:
        self._client = client
        self._random = random
        self.lost = lost
        self.doubled = doubled
        self.counts = {"lost": 0, "doubled": 0}
        self._ghosts: set[asyncio.Task[None]] = set()

    async def call(self, method_name: str, request: Message, timeout_s: float | None = CALL_S) -> Any:
        """The answer, if it comes back. Raises RpcError."""
        dice = self._random.random() if self.lost or self.doubled else 0.5
        if dice < self.doubled:
            self.counts["doubled"] += 1
            copy = type(request).FromString(request.SerializeToString())
            ghost = asyncio.get_running_loop().create_task(self._again(method_name, copy, timeout_s))
            self._ghosts.add(ghost)
            ghost.add_done_callback(self._ghosts.discard)
        answer = await self._client.call(method_name, request, timeout_s)
        if dice > 1.0 - self.lost:
            self.counts["lost"] += 1
            raise RpcError(StatusCode.UNAVAILABLE, "injected: the answer was lost")
        return answer

    async def _again(self, method_name: str, request: Message, timeout_s: float | None) -> None:
        await asyncio.sleep(self._random.choice(TWIN_S))
        with contextlib.suppress(RpcError):
            await self._client.call(method_name, request, timeout_s)
