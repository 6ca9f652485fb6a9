"""Requests per second of an echo-like unary call on one core: our transport beside `grpc.aio` (DESIGN section 2).

Both servers run in a process of their own, pinned to one core, with uvloop; the driver, on another core, keeps 8
connections with 8 streams each busy with prepared frames, so that it never is what is measured.

    python bench/transport.py [--seconds 4] [--vary]

`--vary` gives each request its own grpc-timeout, entered into the dynamic table, as clients in Go do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import hpack
import uvloop

from perdure.transport import frames
from perdure.transport.hpack import HeaderEncoder

CONNECTIONS = 8
STREAMS = 8
PATH = "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"
MESSAGE = b"m" * 300
WARM_UP_S = 0.5

FIELDS = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH.encode()),
    (b":authority", b"127.0.0.1:7233"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
    (b"user-agent", b"grpc-go/1.66.0"),
    (b"client-name", b"temporal-go"),
    (b"client-version", b"1.31.0"),
    (b"supported-server-versions", b">=1.0.0 <2.0.0"),
)

VARIED_BLOCKS: list[bytes] = []
"""What a client in Go sends on a connection, in order: each block enters its grpc-timeout into the dynamic table."""

VARIED_MAX = 40_000
"""More than a connection gets through in the time of a measurement; running out ends it with an error."""

_HEADER = struct.Struct(">IBI")


async def serve_ours() -> None:
    """The server under test: answers every call with its own message."""
    from perdure.transport.server import GrpcServer, ServerCall, ServerOptions

    def dispatch(call: ServerCall) -> None:
        call.respond(call.message)

    server = GrpcServer(dispatch, ServerOptions())
    print(await server.start("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()


async def serve_grpc_aio() -> None:
    """The yardstick."""
    import grpc.aio  # type: ignore[import-untyped]

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(echo)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


class Load(asyncio.Protocol):
    """One connection of the driver."""

    def __init__(self, vary: bool) -> None:
        self.answered = 0
        self._vary = vary
        self._buffer = b""
        self._stream_id = 1
        self._encoder = HeaderEncoder()
        self._sequence = 0
        prefixed = struct.pack(">BI", 0, len(MESSAGE)) + MESSAGE
        self._body = prefixed
        self._constant = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asyncio's class with uvloop, but of its interface.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            frames.PREFACE
            + frames.settings([(frames.SETTINGS_INITIAL_WINDOW_SIZE, frames.WINDOW_MAX)])
            + frames.window_update(0, frames.WINDOW_MAX - frames.WINDOW_INITIAL)
            + b"".join([self._request() for _ in range(STREAMS)])
        )

    def _request(self) -> bytes:
        stream_id = self._stream_id
        self._stream_id += 2
        if self._vary:
            block = VARIED_BLOCKS[self._sequence]
            self._sequence += 1
        elif self._constant:
            block = self._constant
        else:
            fields = (*FIELDS, (b"grpc-timeout", b"10S"))
            block = self._encoder.encode(fields, True)
            self._constant = self._encoder.encode(fields, False)
        return b"".join(
            (
                _HEADER.pack(len(block) << 8 | 1, 4, stream_id),
                block,
                _HEADER.pack(len(self._body) << 8, 1, stream_id),
                self._body,
            )
        )

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        position = 0
        end = len(data)
        ended = 0
        out = []
        while end - position >= 9:
            word, flags, _ = _HEADER.unpack_from(data, position)
            stop = position + 9 + (word >> 8)
            if stop > end:
                break
            kind = word & 0xFF
            if kind == 1:
                ended += flags & 1
            elif kind == 4 and not flags:
                out.append(frames.SETTINGS_ACK)
            elif kind == 6 and not flags:
                out.append(frames.ping(data[position + 9 : stop], True))
            elif kind in (3, 7):
                raise SystemExit(f"server refused: {data[position:stop]!r}")
            position = stop
        self._buffer = data[position:]
        self.answered += ended
        out.extend([self._request() for _ in range(ended)])
        if out:
            self._transport.write(b"".join(out))


def prepare_varied_blocks() -> None:
    """Encode beforehand what the driver would have no time for."""
    encoder = hpack.Encoder()
    for sequence in range(VARIED_MAX):
        timeout = (b"grpc-timeout", b"%du" % (9_999_999 - sequence))
        VARIED_BLOCKS.append(encoder.encode((*FIELDS, timeout)))


async def drive(port: int, seconds: float, vary: bool) -> float:
    """Requests per second over `seconds`, after a warm-up."""
    loop = asyncio.get_running_loop()
    loads = []
    for _ in range(CONNECTIONS):
        _, load = await loop.create_connection(lambda: Load(vary), "127.0.0.1", port)
        loads.append(load)
    await asyncio.sleep(WARM_UP_S)
    before, since = sum(load.answered for load in loads), time.perf_counter()
    await asyncio.sleep(seconds)
    answered = sum(load.answered for load in loads) - before
    return answered / (time.perf_counter() - since)


def measure(kind: str, seconds: float, vary: bool) -> float:
    """Start a server, load it, stop it."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", kind]
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), root)))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return uvloop.run(drive(port, seconds, vary))
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--vary", action="store_true")
    parser.add_argument("--serve", choices=("ours", "grpc.aio"))
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if arguments.serve:
        os.sched_setaffinity(0, {cores[-1]})
        uvloop.run(serve_ours() if arguments.serve == "ours" else serve_grpc_aio())
        return
    os.sched_setaffinity(0, set(cores[:-1]) or set(cores))
    if arguments.vary:
        prepare_varied_blocks()
    ours = measure("ours", arguments.seconds, arguments.vary)
    print(f"ours      {ours:10,.0f} req/s", flush=True)
    theirs = measure("grpc.aio", arguments.seconds, arguments.vary)
    print(f"grpc.aio  {theirs:10,.0f} req/s")
    print(f"ratio     {ours / theirs:10.1f}")


if __name__ == "__main__":
    main()
