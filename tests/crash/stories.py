"""The simulation's stories of operators and of kin, told to a real server that is killed again and again.

    python -m tests.crash.stories [--kills 30] [--seed N]

Update-with-start, signal-with-start, reset, deletion, pause, operated activities, cron, retries, children, strangers,
schedules, and callbacks to a receiver outside: each story judges itself (`tests/sim/operators.py`, `tests/sim/kin.py`).
Exit status 1 and the finding if a promise was broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from pathlib import Path
from typing import Any, Final, final

from perdure.admin.check import check
from perdure.api import Message
from perdure.machines.workflow.invocations import NoAnswer, Outgoing
from perdure.store.inspect import inspect
from perdure.testing.in_process import CALL_S, SDK_METADATA, method_named
from perdure.testing.worker import Worker
from perdure.transport.client import Channel, RpcError
from tests.crash.program import main
from tests.service.processes import ServerProcess
from tests.sim.audit import Violation
from tests.sim.deed import Outdoors
from tests.sim.load import PROGRAMS, Guard, activities, judge
from tests.sim.scenario import DEEDS
from tests.sim.world import FOLLOWING, PASSING, PAUSE_S

UP_S: Final = (0.2, 1.5)
"""How long a server lives."""
REST_S: Final = 120.0
"""How long the stories may take once nothing is killed any more."""
FLAGS: Final = (
    "--dynamic-config-value",
    'callback.allowedAddresses=[{"Pattern":"127.0.0.1:*","AllowInsecure":true}]',
    "--dynamic-config-value",
    "frontend.WorkflowPauseEnabled=true",
)


@final
class Line:
    """The way to the server, by sockets."""

    def __init__(self, port: int) -> None:
        self._channel = Channel("127.0.0.1", port)

    async def call(self, method_name: str, request: Message, timeout_s: float | None = CALL_S) -> Any:
        """The response message. Raises RpcError."""
        method = method_named(method_name)
        seconds = CALL_S if timeout_s is None else timeout_s
        metadata = (*SDK_METADATA, FOLLOWING)
        answer = await self._channel.unary(method.path, request.SerializeToString(), metadata, seconds)
        return method.response.FromString(answer)

    async def close(self) -> None:
        await self._channel.close()


@final
class Stage:
    """Where the stories are told."""

    def __init__(self, line: Line, dice: random.Random) -> None:
        self.random = dice
        self.guard = Guard()
        self.outdoors = Outdoors(dice)
        self.steady = self.alone = True
        self.address = ""
        self._line = line

    async def sure(self, method: str, request: Message, timeout_s: float = CALL_S) -> Any:
        """The answer, asked for as often as it takes."""
        while True:
            try:
                return await self._line.call(method, request, timeout_s)
            except RpcError as error:
                if error.code not in PASSING:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of the server's to the world outside."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, NoAnswer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
            body = await reader.readexactly(length)
            answer = await self.outdoors.post("", self.address, Outgoing(head[0].split()[1], {}, body))
            writer.write(f"HTTP/1.1 {answer.status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


async def run(folder: Path, kills: int, seed: int) -> list[str]:
    """Tell every story once while the server is killed, then the findings."""
    dice = random.Random(seed)
    server = ServerProcess(folder / "stderr.log", folder / "state.db", FLAGS)
    await asyncio.to_thread(server.start)
    line = Line(server.port)
    stage = Stage(line, dice)
    outdoors = await asyncio.start_server(stage.receive, "127.0.0.1", 0)
    stage.address = f"http://127.0.0.1:{outdoors.sockets[0].getsockname()[1]}"
    scripts = activities(stage.guard)
    workers = [
        asyncio.ensure_future(Worker(line, f"w{number}", PROGRAMS, scripts, sticky=number == 0).run())
        for number in range(2)
    ]
    stories = [deed(stage, f"{deed.__name__.lower()}-{number}") for number, deed in enumerate(DEEDS)]
    telling = asyncio.gather(*[story.tell() for story in stories])
    findings: list[str] = []
    try:
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(*UP_S))
            server.kill()
            await asyncio.to_thread(server.start)
        stage.outdoors.bad = False
        async with asyncio.timeout(REST_S):
            await telling
        judge(stories)
    except TimeoutError:
        findings.append(f"not over: {[story.workflow_id for story in stories if not story.done]}")
    except Violation as violation:
        findings.append(str(violation))
    finally:
        telling.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(telling, *workers, return_exceptions=True)
        await line.close()
        outdoors.close()
    if "Traceback" in server.errors():
        findings.append("the server wrote a traceback: " + server.errors()[-2000:])
    server.stop()
    with inspect(str(folder / "state.db")) as store:
        findings += check(store, deep=True).problems
    return findings


if __name__ == "__main__":
    sys.exit(main(run, f"{len(DEEDS)} stories", __doc__))
