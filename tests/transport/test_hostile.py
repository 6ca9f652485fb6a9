"""Bytes from strangers: whatever they are, the server answers its other clients, and nothing escapes into the loop."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from perdure.transport import frames
from perdure.transport.calls import ServerCall
from perdure.transport.http2 import Connection
from perdure.transport.limits import Http2Limits
from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer
from perdure.transport.streams import ConnectionFailed
from tests.transport.virtual import Wire, connect, run_virtual, settle
from tests.transport.wire import HELLO, answers, body, head, message, request_fields, unary

ROUNDS = 600

CORPUS = [
    HELLO + unary(1, b"hello"),
    HELLO + head(1) + body(1, message(b"part")[:6], ended=False) + body(1, message(b"part")[6:]),
    HELLO + head(1) + body(1, message(b"x"), ended=False) + head(1, [(b"t", b"1")], flags=5),
    HELLO + head(1, request_fields(b"/s", extra=[(b"grpc-timeout", b"9S")])) + body(1, message(b"a") * 3),
    HELLO + frames.settings([(1, 0), (4, 5), (5, 20_000)]) + unary(1, b"x" * 50) + frames.window_update(1, 100),
    HELLO + unary(1, b"") + frames.rst_stream(1, 8) + unary(3, b"") + frames.ping(bytes(8), False),
    HELLO + head(1, flags=0) + frames.frame(9, 4, 1, b"") + body(1, message(b"")) + frames.goaway(0, 0, b"bye"),
    HELLO + frames.frame(1, 0x2C, 1, b"\x02\0\0\0\0\5" + bytes(30)) + frames.frame(2, 0, 5, b"\0\0\0\0\1"),
]


def mutated(source: random.Random, data: bytes) -> bytes:
    """Bits flipped, pieces cut, repeated, or taken from elsewhere."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5, 20))):
        place = source.randrange(len(changed))
        action = source.randrange(5)
        if action == 0:
            changed[place] ^= 1 << source.randrange(8)
        elif action == 1:
            changed[place] = source.randrange(256)
        elif action == 2:
            del changed[place : place + source.randrange(1, 12)]
        elif action == 3:
            changed[place:place] = changed[place : place + source.randrange(1, 60)]
        else:
            other = source.choice(CORPUS)
            start = source.randrange(len(other))
            changed[place:place] = other[start : start + source.randrange(1, 60)]
        if not changed:
            return b"\0"
    # Most mutations should get past the preface.
    return HELLO + bytes(changed[len(HELLO) :]) if source.random() < 0.8 else bytes(changed)


def test_mutated_connections_do_not_disturb_a_healthy_one(seed: int) -> None:
    """Seeded mutations in seeded chunks, with answers on the way; a fault that escapes would reach the loop."""

    async def test() -> None:
        source = random.Random(seed)
        escaped: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
        waiting: list[ServerCall] = []

        def dispatch(call: ServerCall) -> None:
            if source.random() < 0.5:
                call.respond(call.message)
            else:
                waiting.append(call)

        server = GrpcServer(dispatch, ServerOptions(), frozenset(["/s"]))
        healthy = Wire()
        connect(server, healthy)
        healthy.say(HELLO)
        for number in range(ROUNDS):
            stranger = Wire()
            near, _ = connect(server, stranger)
            data = mutated(source, source.choice(CORPUS))
            while data:
                size = source.choice((1, 9, 40, 1_000))
                stranger.say(data[:size])
                data = data[size:]
                await settle(3)
                while waiting and source.random() < 0.7:
                    call = waiting.pop()
                    call.send(b"piece")
                    call.fail(2, "done")
            near.abort()
            healthy.say(unary(2 * number + 1, b"%d" % number))
            await settle(3)
            while waiting:
                waiting.pop().respond(b"late")
        await settle()
        assert escaped == []
        assert len(answers(healthy.heard)) == ROUNDS
        assert server.connections == 1

    run_virtual(test)


def test_the_sans_io_halves_raise_nothing(seed: int) -> None:
    """Random frames with random payloads, both roles: events or a ConnectionFailed, never an exception."""
    source = random.Random(seed)
    for number in range(3_000):
        client = number % 2 == 1
        connection = Connection(client, Http2Limits(), 0.0)
        if client:
            connection.open_stream(0.0)
        connection.receive(b"" if client else frames.PREFACE, 0.0)
        connection.receive(frames.settings([]), 0.0)
        for _ in range(20):
            payload = source.randbytes(source.choice((0, 1, 4, 5, 6, 8, 9, 30)))
            kind, flags, stream_id = source.randrange(11), source.randrange(64), source.choice((0, 1, 1, 2, 3, 5))
            events = connection.receive(frames.frame(kind, flags, stream_id, payload), 0.0)
            if events and isinstance(events[-1], ConnectionFailed):
                break
        assert connection.sender.queued_bytes >= 0
