"""What durable execution is, told in ten lines: an order survives the sudden death of the server that runs it.

    python examples/demo.py        (or `make demo`)

It starts a server on a file in a temporary folder, runs an order through it with the unmodified Temporal SDK, kills the
server with SIGKILL in the middle, starts it again on the same file, and looks at what became of the order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

STEPS = ("reserve", "charge", "pack", "ship")
STEP_S = 0.8
"""How long each step of the order takes."""
COOLING_OFF_S = 3
"""The customer may change their mind before we pack: a durable timer."""
KILL_AFTER_S = 1.0
"""Of the cooling-off time: then the server dies."""
DOWN_S = 1.0

started: Counter[str] = Counter()
finished = {name: asyncio.Event() for name in STEPS}
"""What the worker in this process has done, for the progress display and for the count at the end."""


@activity.defn
async def step(name: str) -> str:
    """One step of the order. Money moves in `charge`: once is right, twice is a complaint."""
    started[name] += 1
    await asyncio.sleep(STEP_S)
    finished[name].set()
    return name


@workflow.defn
class Order:
    """Ordinary code: no state machine, no database, no retries written by hand."""

    @workflow.run
    async def run(self) -> str:
        done = []
        for name in STEPS:
            if name == "pack":
                await workflow.sleep(timedelta(seconds=COOLING_OFF_S))
            done.append(await workflow.execute_activity(step, name, start_to_close_timeout=timedelta(seconds=30)))
        return ", ".join(done)


class Server:
    """`perdure server start-dev` on one file."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        program = str(Path(sys.executable).with_name("perdure"))
        flags = ["--headless", "--port", str(self.port), "--db-filename", str(folder / "orders.db")]
        self._command = [program, "server", "start-dev", *flags]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> float:
        """Start it and wait until it answers; the seconds that took."""
        began = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=subprocess.DEVNULL)
        while True:
            try:
                await Client.connect(f"127.0.0.1:{self.port}")
            except RuntimeError as refused:
                if self._process.returncode is not None or time.monotonic() - began > 20:
                    raise SystemExit(f"the server did not start: {refused}") from refused
                await asyncio.sleep(0.05)
            else:
                return time.monotonic() - began

    async def kill(self) -> int:
        """SIGKILL: no warning, no time to save anything. Its process id."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        return self._process.pid

    async def stop(self) -> None:
        """Ctrl-C."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            await self._process.wait()


class Screen:
    """Lines that stay, and under them, on a terminal, one that shows the order's progress."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._line = 0
        self.server = "up"

    def say(self, text: str) -> None:
        """A numbered line of the story."""
        self._line += 1
        print(f"{self._erased()}{self._line:2}. {text}", flush=True)

    def progress(self, tick: int) -> None:
        """Redraw the last line; nothing where there is no terminal."""
        if not self._live:
            return
        spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[tick % 10]
        shown = []
        for name in STEPS:
            if finished[name].is_set():
                shown.append(f"\033[32m✔ {name}\033[0m")
            elif started[name]:
                shown.append(f"\033[33m{spinner} {name}\033[0m")
            else:
                shown.append(f"\033[2m· {name}\033[0m")
        colour = "32" if self.server == "up" else "31"
        print(f"{self._erased()}    {'  '.join(shown)}   server \033[{colour}m{self.server}\033[0m", end="", flush=True)

    def _erased(self) -> str:
        return "\r\033[2K" if self._live else ""


async def animate(screen: Screen) -> None:
    """Keep the progress line moving until cancelled."""
    tick = 0
    while True:
        screen.progress(tick)
        tick += 1
        await asyncio.sleep(0.1)


async def tell(screen: Screen, server: Server) -> None:
    """The story."""
    took = await server.start()
    screen.say(f"A server starts, with its state in a file ({took:.1f} s).")
    client = await Client.connect(f"127.0.0.1:{server.port}")
    async with Worker(
        client, task_queue="orders", workflows=[Order], activities=[step], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        order = await client.start_workflow(Order.run, id="order-1", task_queue="orders")
        screen.say(f"An order begins: {', '.join(STEPS)}. Before packing it waits {COOLING_OFF_S} s: a durable timer.")
        await finished["reserve"].wait()
        screen.say("The goods are reserved.")
        await finished["charge"].wait()
        screen.say("The card is charged. This must not happen twice.")
        await asyncio.sleep(KILL_AFTER_S)
        pid = await server.kill()
        screen.server = "down"
        screen.say(f"SIGKILL: the server (process {pid}) is gone in mid-flight, while the timer runs.")
        await asyncio.sleep(DOWN_S)
        took = await server.start()
        screen.server = "up"
        screen.say(f"A new server starts on the same file ({took:.1f} s). Nobody tells it about the order.")
        await finished["pack"].wait()
        screen.say("The timer fired when it was due, and the goods are packed: the order goes on where it was.")
        result = await order.result()
        screen.say(f"The order is complete: {result}.")
        screen.say(f"Each step ran once: {', '.join(f'{name} {started[name]}x' for name in STEPS)}.")
        events = len((await order.fetch_history()).events)
        screen.say(f"Its history, {events} events, is in the file. That is durable execution.")
    if result != ", ".join(STEPS) or any(started[name] != 1 for name in STEPS):
        raise SystemExit("the order went wrong")


async def main() -> None:
    """Tell the story, and leave nothing behind."""
    # A worker whose server is away says so on standard error; here that is the plan.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="off"))))
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="perdure-demo-") as folder:
        server = Server(Path(folder))
        animation = asyncio.create_task(animate(screen))
        try:
            await tell(screen, server)
        finally:
            animation.cancel()
            await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    # Not an ordinary exit: threads of the SDK may still call into an interpreter that is ending, which aborts it.
    os._exit(0)
