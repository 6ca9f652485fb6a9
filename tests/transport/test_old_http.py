"""A caller in HTTP/1 on the gRPC port is told where to go, and nobody else is."""

from __future__ import annotations

import pytest

from perdure.transport import frames, old_http
from perdure.transport.connection import LINGER_S
from perdure.transport.options import ServerOptions
from tests.transport.test_server_virtual import World, virtual
from tests.transport.virtual import settle
from tests.transport.wire import HELLO

HINT = "The HTTP/JSON API is on port 7243."


@virtual
async def test_a_request_in_http_1_is_answered_and_the_connection_ends() -> None:
    """Before anything else: our own preface would be noise to such a caller."""
    world = World(ServerOptions(http1_elsewhere=HINT, keepalive_s=1_000))
    await settle()
    assert world.wire.heard == b""
    await world.say(b"GET /api/v1/namespaces HTTP/1.1\r\nHost: localhost:7233\r\n\r\n")
    head, _, body = world.wire.heard.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 426 Upgrade Required"
    assert b"Content-Length: %d" % len(body) in lines
    assert b"Connection: Upgrade, close" in lines
    assert body.decode() == f"This is a gRPC port, it speaks HTTP/2 only. {HINT}\n"
    assert world.far.eof
    answered = world.wire.heard
    await world.say(b"GET /again HTTP/1.1\r\n\r\n")
    await world.say(HELLO)
    assert world.wire.heard == answered, "one answer, whatever follows"
    await world.sleep_until(LINGER_S + 10)
    assert world.lost()
    assert not world.calls


@virtual
async def test_a_caller_in_http_2_hears_our_preface_first() -> None:
    world = World()
    await world.say(HELLO)
    assert world.wire.heard[3] == frames.SETTINGS
    assert not world.lost()


@pytest.mark.parametrize(
    ("first", "is_one"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"HEAD /", True),
        (b"OPTIONS * HTTP/1.1", True),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False),
        (b"PRI ", False),
        (b"P", False),
        (b"get / HTTP/1.1\r\n", False),
        (b"GET \r\n", False),
        (b"\x16\x03\x01\x02\x00\x01", False),
        (b"\x00" * 20, False),
        (b"A" * 1_000_000, False),
    ],
    ids=range(11),
)
def test_what_an_http_1_request_begins_with(first: bytes, is_one: bool) -> None:
    assert old_http.recognised(first) is is_one


def test_an_answer_to_head_has_no_body() -> None:
    assert old_http.answer(b"HEAD / HTTP/1.1", "").endswith(b"\r\n\r\n")
    assert old_http.answer(b"GET / HTTP/1.1", "").endswith(b"it speaks HTTP/2 only.\n")
