"""The sans-IO connection: what it answers, and how it names what the peer did wrong (RFC 9113)."""

from __future__ import annotations

import struct

import pytest

from perdure.transport import frames
from perdure.transport.hpack import PreparedFields
from perdure.transport.http2 import Connection
from perdure.transport.limits import CONTINUATIONS_MAX, Http2Limits
from perdure.transport.sending import ONE_OFF
from perdure.transport.streams import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    PeerGoingAway,
    PingAcknowledged,
    Stream,
    StreamReset,
    TrailersReceived,
)
from tests.transport.wire import HELLO, Frame, body, cut, goaways, head, plain_block, request_fields, resets, unary

OK = PreparedFields(ONE_OFF, ((b":status", b"200"),))
TRAILERS = PreparedFields(ONE_OFF, ((b"grpc-status", b"0"),))


def server(limits: Http2Limits | None = None) -> Connection:
    """A server's side, past the preface."""
    connection = Connection(False, limits if limits is not None else Http2Limits(), 0.0)
    connection.receive(HELLO, 0.0)
    connection.take()
    return connection


def opened(connection: Connection, stream_id: int = 1) -> Stream:
    """A request without its body."""
    events = connection.receive(head(stream_id), 0.0)
    assert isinstance(events[0], HeadersReceived)
    return events[0].stream


def setting(key: int, value: int) -> bytes:
    return frames.settings([(key, value)])


def sent_data(data: bytes) -> list[tuple[int, bytes, bool]]:
    return [(f.stream_id, f.payload, bool(f.flags & 1)) for f in cut(data) if f.kind == frames.DATA]


def test_a_request_becomes_events_however_its_bytes_are_cut() -> None:
    """The same events for one chunk and for single bytes."""

    def story(chunk: int) -> list[tuple[str, bytes]]:
        connection = Connection(False, Http2Limits(), 0.0)
        data = HELLO + unary(1, b"abc") + head(3) + body(3, b"12", ended=False) + body(3, b"", ended=True)
        events: list[Event] = []
        for start in range(0, len(data), chunk):
            events += connection.receive(data[start : start + chunk], 0.0)
        return [(type(e).__name__, e.data if isinstance(e, DataReceived) else b"") for e in events]

    assert story(10_000) == story(1) == story(13)
    names = ["HeadersReceived", "DataReceived", "HeadersReceived", "DataReceived", "DataReceived"]
    assert [name for name, _ in story(1)][1:] == names


def test_the_first_bytes_are_settings_and_the_window() -> None:
    """Our preface announces the limits that are enforced."""
    limits = Http2Limits(streams_max=7)
    first, second = cut(Connection(False, limits, 0.0).take())
    pairs = dict(struct.iter_unpack(">HI", first.payload))
    assert pairs[frames.SETTINGS_MAX_CONCURRENT_STREAMS] == 7
    assert pairs[frames.SETTINGS_INITIAL_WINDOW_SIZE] == limits.stream_window_bytes
    assert pairs[frames.SETTINGS_MAX_HEADER_LIST_SIZE] == limits.header_list_bytes_max
    assert second.kind == frames.WINDOW_UPDATE


CONNECTION_ERRORS: list[tuple[str, bytes, int]] = [
    ("frame too large", struct.pack(">IBI", 16_385 << 8, 0, 1), frames.FRAME_SIZE_ERROR),
    ("DATA on stream 0", body(0, b""), frames.PROTOCOL_ERROR),
    ("DATA on an idle stream", body(1, b""), frames.PROTOCOL_ERROR),
    ("DATA behind the end of a stream", head(1, flags=5) + body(1, b""), frames.STREAM_CLOSED),
    ("DATA padded by all of it", head(1) + frames.frame(0, 8, 1, b"\x01"), frames.PROTOCOL_ERROR),
    ("DATA padded and empty", head(1) + frames.frame(0, 8, 1, b""), frames.FRAME_SIZE_ERROR),
    ("HEADERS on stream 0", head(0), frames.PROTOCOL_ERROR),
    ("HEADERS on an even stream", head(2), frames.PROTOCOL_ERROR),
    ("HEADERS below the last stream", head(5) + head(3), frames.PROTOCOL_ERROR),
    ("HEADERS too short for its priority", frames.frame(1, 0x24, 1, b"abc"), frames.FRAME_SIZE_ERROR),
    ("HEADERS depends on itself", frames.frame(1, 0x24, 1, b"\0\0\0\1\0"), frames.PROTOCOL_ERROR),
    ("HEADERS cannot be decoded", frames.frame(1, 4, 1, b"\x80"), frames.COMPRESSION_ERROR),
    ("HEADERS interrupted", head(1, flags=0) + frames.ping(bytes(8), False), frames.PROTOCOL_ERROR),
    ("HEADERS interrupted by another", head(1, flags=0) + head(3), frames.PROTOCOL_ERROR),
    ("CONTINUATION of nothing", frames.frame(9, 4, 1, b""), frames.PROTOCOL_ERROR),
    ("CONTINUATION of another stream", head(1, flags=0) + frames.frame(9, 4, 3, b""), frames.PROTOCOL_ERROR),
    ("PRIORITY on stream 0", frames.frame(2, 0, 0, bytes(5)), frames.PROTOCOL_ERROR),
    ("PRIORITY of 4 bytes", frames.frame(2, 0, 1, bytes(4)), frames.FRAME_SIZE_ERROR),
    ("PRIORITY on itself", frames.frame(2, 0, 1, b"\0\0\0\1\0"), frames.PROTOCOL_ERROR),
    ("RST_STREAM on stream 0", frames.rst_stream(0, 0), frames.PROTOCOL_ERROR),
    ("RST_STREAM on an idle stream", frames.rst_stream(1, 0), frames.PROTOCOL_ERROR),
    ("RST_STREAM of 3 bytes", head(1) + frames.frame(3, 0, 1, bytes(3)), frames.FRAME_SIZE_ERROR),
    ("SETTINGS on a stream", frames.frame(4, 0, 1, b""), frames.PROTOCOL_ERROR),
    ("SETTINGS of 5 bytes", frames.frame(4, 0, 0, bytes(5)), frames.FRAME_SIZE_ERROR),
    ("SETTINGS acknowledged with a payload", frames.frame(4, 1, 0, bytes(6)), frames.FRAME_SIZE_ERROR),
    ("SETTINGS_ENABLE_PUSH 2", setting(2, 2), frames.PROTOCOL_ERROR),
    ("SETTINGS_INITIAL_WINDOW_SIZE 2^31", setting(4, 2**31), frames.FLOW_CONTROL_ERROR),
    ("SETTINGS_MAX_FRAME_SIZE 16383", setting(5, 16_383), frames.PROTOCOL_ERROR),
    ("SETTINGS_MAX_FRAME_SIZE 2^24", setting(5, 2**24), frames.PROTOCOL_ERROR),
    ("PUSH_PROMISE", frames.frame(5, 4, 1, bytes(4)), frames.PROTOCOL_ERROR),
    ("PING on a stream", frames.frame(6, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
    ("PING of 7 bytes", frames.frame(6, 0, 0, bytes(7)), frames.FRAME_SIZE_ERROR),
    ("GOAWAY on a stream", frames.frame(7, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
    ("GOAWAY of 7 bytes", frames.frame(7, 0, 0, bytes(7)), frames.FRAME_SIZE_ERROR),
    ("WINDOW_UPDATE of 3 bytes", frames.frame(8, 0, 0, bytes(3)), frames.FRAME_SIZE_ERROR),
    ("WINDOW_UPDATE of zero", frames.window_update(0, 0), frames.PROTOCOL_ERROR),
    ("WINDOW_UPDATE of zero on a stream", head(1) + frames.window_update(1, 0), frames.PROTOCOL_ERROR),
    ("WINDOW_UPDATE on an idle stream", frames.window_update(1, 1), frames.PROTOCOL_ERROR),
    ("WINDOW_UPDATE beyond 2^31", frames.window_update(0, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
    (
        "SETTINGS move a window beyond 2^31",
        head(1) + frames.window_update(1, 2**31 - 65_536) + setting(4, 65_536),
        frames.FLOW_CONTROL_ERROR,
    ),
]


@pytest.mark.parametrize(("data", "code"), [pytest.param(d, c, id=name) for name, d, c in CONNECTION_ERRORS])
def test_a_connection_error_has_its_code(data: bytes, code: int) -> None:
    """GOAWAY with the code that RFC 9113 names, one event, and silence afterwards."""
    connection = server()
    events = connection.receive(data, 0.0)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == code
    assert [error for _, error, _ in goaways(connection.take())] == [code]
    assert connection.receive(unary(9, b""), 0.0) == []
    assert connection.take() == b""


MALFORMED: list[tuple[str, list[tuple[bytes, bytes]]]] = [
    ("upper-case name", request_fields(extra=[(b"X-Y", b"1")])),
    ("empty name", request_fields(extra=[(b"", b"1")])),
    ("blank in a name", request_fields(extra=[(b"a b", b"1")])),
    ("response pseudo-header", [*request_fields()[:2], (b":status", b"200"), *request_fields()[2:]]),
    ("unknown pseudo-header", [(b":test", b"1"), *request_fields()]),
    ("pseudo-header behind a field", [*request_fields(), (b":path", b"/x")]),
    ("repeated pseudo-header", [(b":method", b"POST"), *request_fields()]),
    ("no :method", request_fields(method=None)),
    ("no :scheme", request_fields(scheme=None)),
    ("no :path", request_fields(path=b"")),
    ("connection", request_fields(extra=[(b"connection", b"close")])),
    ("transfer-encoding", request_fields(extra=[(b"transfer-encoding", b"chunked")])),
    ("te other than trailers", request_fields(extra=[(b"te", b"gzip")])),
    ("line break in a value", request_fields(extra=[(b"x", b"a\nb")])),
    ("NUL in a value", request_fields(extra=[(b"x", b"a\0b")])),
    ("content-length is no number", request_fields(extra=[(b"content-length", b"-1")])),
    ("content-lengths that differ", request_fields(extra=[(b"content-length", b"1"), (b"content-length", b"2")])),
    ("hosts that differ", request_fields(extra=[(b"host", b"a"), (b"host", b"b")])),
]


@pytest.mark.parametrize("fields", [pytest.param(f, id=name) for name, f in MALFORMED])
def test_a_malformed_request_is_reset(fields: list[tuple[bytes, bytes]]) -> None:
    """RFC 9113 section 8.1.1: a stream error; the connection serves on, and what follows on that stream is dropped."""
    connection = server()
    assert connection.receive(head(1, fields) + body(1, b"late"), 0.0) == []
    assert resets(connection.take()) == [(1, frames.PROTOCOL_ERROR)]
    assert len(connection.receive(unary(3, b""), 0.0)) == 2


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(head(1, request_fields(extra=[(b"content-length", b"3")])) + body(1, b"12"), id="body too short"),
        pytest.param(head(1, request_fields(extra=[(b"content-length", b"1")])) + body(1, b"12"), id="body too long"),
        pytest.param(head(1) + head(1, [(b"x", b"y")]), id="trailers without END_STREAM"),
        pytest.param(head(1) + head(1, [(b":path", b"y")], flags=5), id="pseudo-header in trailers"),
    ],
)
def test_a_request_that_goes_wrong_is_reset(data: bytes) -> None:
    """The layer above hears of it, because it knew of the request."""
    connection = server()
    events = connection.receive(data, 0.0)
    assert isinstance(events[-1], StreamReset)
    assert not events[-1].remote
    assert resets(connection.take()) == [(1, frames.PROTOCOL_ERROR)]


def test_trailers_end_a_request() -> None:
    connection = server()
    events = connection.receive(head(1) + body(1, b"x", ended=False) + head(1, [(b"x", b"y")], flags=5), 0.0)
    assert isinstance(events[-1], TrailersReceived)
    assert not events[-1].stream.peer_open


def test_padding_and_priority_are_stripped() -> None:
    """Padding counts for flow control, and nothing else is made of it."""
    connection = server()
    block = plain_block(request_fields())
    padded_head = frames.frame(1, 0x2C, 1, b"\x03" + b"\0\0\0\x07\x10" + block + bytes(3))
    events = connection.receive(padded_head + frames.frame(0, 9, 1, b"\x02hi\0\0"), 0.0)
    assert isinstance(events[1], DataReceived)
    assert events[1].data == b"hi"
    assert events[1].stream.recv_window == Http2Limits().stream_window_bytes - 5


def test_continuations_are_joined() -> None:
    """A block in many frames, and trailers in two."""
    connection = server()
    block = plain_block(request_fields())
    data = frames.frame(1, 0, 1, block[:5]) + frames.frame(9, 0, 1, block[5:9]) + frames.frame(9, 4, 1, block[9:])
    assert isinstance(connection.receive(data, 0.0)[0], HeadersReceived)


def test_pings_are_answered_and_answers_reported() -> None:
    connection = server()
    assert connection.receive(frames.ping(b"12345678", False), 0.0) == []
    assert connection.take() == frames.ping(b"12345678", True)
    event = connection.receive(frames.ping(b"abcdefgh", True), 0.0)[0]
    assert isinstance(event, PingAcknowledged)
    assert event.opaque == b"abcdefgh"


def test_unknown_frames_and_settings_are_ignored() -> None:
    connection = server()
    assert connection.receive(frames.frame(0x42, 0xFF, 5, b"x"), 0.0) == []
    connection.receive(setting(0x99, 5), 0.0)
    assert connection.take() == frames.SETTINGS_ACK


def test_goaway_of_the_peer_is_reported_and_calls_go_on() -> None:
    connection = server()
    events = connection.receive(frames.goaway(0, 2, b"why") + unary(1, b""), 0.0)
    assert isinstance(events[0], PeerGoingAway)
    assert (events[0].code, events[0].debug) == (2, b"why")
    assert isinstance(events[1], HeadersReceived)


def test_too_many_streams_are_refused_and_the_next_is_taken_when_one_is_free() -> None:
    """REFUSED_STREAM tells the client that it may try again."""
    connection = server(Http2Limits(streams_max=2))
    first = opened(connection, 1)
    opened(connection, 3)
    assert connection.receive(head(5), 0.0) == []
    assert resets(connection.take()) == [(5, frames.REFUSED_STREAM)]
    connection.sender.reset(first, frames.CANCEL)
    assert len(connection.receive(head(7), 0.0)) == 1


def test_the_second_goaway_refuses_later_streams_silently() -> None:
    """They were told: the client repeats them elsewhere."""
    connection = server()
    opened(connection, 1)
    connection.announce_close()
    opened(connection, 3)
    connection.refuse_new_streams()
    assert [last for last, _, _ in goaways(connection.take())] == [frames.STREAM_ID_MAX, 3]
    assert connection.receive(unary(5, b"x"), 0.0) == []


def test_late_frames_on_a_stream_that_we_reset_are_dropped() -> None:
    """They were on their way; their bytes still count for the connection's window, which is given back."""
    limits = Http2Limits(connection_window_bytes=65_535)
    connection = server(limits)
    connection.sender.reset(opened(connection), frames.CANCEL)
    connection.take()
    data = body(1, bytes(16_384), ended=False) * 3 + frames.window_update(1, 5) + frames.rst_stream(1, 8)
    assert connection.receive(data, 0.0) == []
    assert [(f.kind, f.stream_id) for f in cut(connection.take())] == [(frames.WINDOW_UPDATE, 0)]


def test_an_early_answer_asks_for_no_more_of_the_request() -> None:
    """RFC 9113 section 8.1: RST_STREAM with NO_ERROR behind the whole answer."""
    connection = server()
    connection.sender.unary(opened(connection), OK, b"", b"x", TRAILERS)
    data = connection.take()
    assert [f.kind for f in cut(data)] == [frames.HEADERS, frames.DATA, frames.HEADERS, frames.RST_STREAM]
    assert resets(data) == [(1, frames.NO_ERROR)]
    assert connection.streams == {}


# Flow control


def test_data_waits_for_the_streams_window() -> None:
    """Bytes go as windows open, trailers only behind the last of them; a window may be negative in between."""
    connection = server()
    connection.receive(setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 10) + head(1, flags=5), 0.0)
    connection.take()
    connection.sender.unary(connection.streams[1], OK, b"01234", b"56789abcdef", TRAILERS)
    assert sent_data(connection.take()) == [(1, b"0123456789", False)]
    connection.receive(setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 8), 0.0)
    connection.receive(frames.window_update(1, 2), 0.0)
    assert sent_data(connection.take()) == []
    connection.receive(frames.window_update(1, 1), 0.0)
    assert sent_data(connection.take()) == [(1, b"a", False)]
    connection.receive(setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 100), 0.0)
    rest = connection.take()
    assert sent_data(rest) == [(1, b"bcdef", False)]
    assert cut(rest)[-1].flags & frames.FLAG_END_STREAM
    assert connection.streams == {}
    assert connection.sender.queued_bytes == 0


def test_settings_are_acknowledged_before_they_are_used() -> None:
    """A client that raises its windows judges by the old ones until it sees the acknowledgement (seen with grpcio)."""
    connection = server()
    connection.receive(setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0) + head(1, flags=5), 0.0)
    connection.sender.data(connection.streams[1], b"x" * 20_000, True)
    connection.take()
    both = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 30_000), (frames.SETTINGS_MAX_FRAME_SIZE, 30_000)]
    connection.receive(frames.settings(both), 0.0)
    assert [f.kind for f in cut(connection.take())] == [frames.SETTINGS, frames.DATA]


def test_data_waits_for_the_connections_window_and_streams_take_turns() -> None:
    """What the connection's window allows is shared frame by frame."""
    connection = server()
    connection.receive(
        setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 1_000_000) + head(1, flags=5) + head(3, flags=5), 0.0
    )
    connection.take()
    for stream_id in (1, 3):
        connection.sender.data(connection.streams[stream_id], bytes(100_000), True)
    assert sum(len(data) for _, data, _ in sent_data(connection.take())) == 65_535
    connection.receive(frames.window_update(0, 4 * 16_384), 0.0)
    assert [stream_id for stream_id, _, _ in sent_data(connection.take())] == [1, 3, 1, 3]
    connection.receive(frames.window_update(0, 1_000_000), 0.0)
    assert {stream_id for stream_id, _, ended in sent_data(connection.take()) if ended} == {1, 3}
    assert connection.streams == {}


def test_frames_keep_to_the_peers_frame_size() -> None:
    """SETTINGS_MAX_FRAME_SIZE for DATA, and CONTINUATION for a header block that is larger."""
    connection = server()
    connection.receive(head(1, flags=5), 0.0)
    stream = connection.streams[1]
    connection.sender.headers(stream, PreparedFields(ONE_OFF, ((b":status", b"200"), (b"x", b"y" * 40_000))), False)
    connection.sender.data(stream, bytes(40_000), True)
    kinds = [(f.kind, len(f.payload) <= 16_384) for f in cut(connection.take())]
    assert kinds == [(frames.HEADERS, True)] + [(frames.CONTINUATION, True)] * 2 + [(frames.DATA, True)] * 3


def test_nothing_is_pumped_while_the_transport_is_full() -> None:
    connection = server()
    connection.receive(head(1, flags=5), 0.0)
    connection.take()
    connection.sender.writable = False
    connection.sender.unary(connection.streams[1], OK, b"", b"abc", TRAILERS)
    assert sent_data(connection.take()) == []
    connection.sender.writable = True
    connection.sender.pump()
    assert sent_data(connection.take()) == [(1, b"abc", False)]


def test_a_reset_drops_what_was_queued() -> None:
    connection = server()
    connection.receive(setting(frames.SETTINGS_INITIAL_WINDOW_SIZE, 0) + head(1, flags=5), 0.0)
    connection.sender.data(connection.streams[1], bytes(5_000), False)
    assert connection.sender.queued_bytes == 5_000
    assert isinstance(connection.receive(frames.rst_stream(1, 8), 0.0)[0], StreamReset)
    assert connection.sender.queued_bytes == 0
    connection.receive(frames.window_update(0, 10_000), 0.0)


def test_the_peer_keeps_to_the_windows_that_we_gave() -> None:
    """A stream's window opens only when its reader asks, the connection's by itself."""
    limits = Http2Limits(stream_window_bytes=20_000, connection_window_bytes=100_000)
    connection = server(limits)
    stream = opened(connection)
    connection.receive(body(1, bytes(16_000), ended=False), 0.0)
    connection.grant(stream, 16_000)
    assert [(f.stream_id, int.from_bytes(f.payload, "big")) for f in cut(connection.take())] == [(1, 16_000)]
    connection.receive(body(1, bytes(16_000), ended=False), 0.0)
    events = connection.receive(body(1, bytes(4_001), ended=False), 0.0)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == frames.FLOW_CONTROL_ERROR


def test_the_connections_window_is_enforced() -> None:
    """Beyond what was announced: an error, however many streams share it."""
    connection = server(Http2Limits(stream_window_bytes=1 << 20, connection_window_bytes=65_535))
    connection._recv_window = 10
    opened(connection)
    events = connection.receive(body(1, bytes(11)), 0.0)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == frames.FLOW_CONTROL_ERROR


# Floods


def flood(connection: Connection, data: bytes, times: int, now: float = 0.0) -> list[tuple[int, bytes]]:
    """Feed the same bytes again and again at one instant; codes and texts of the GOAWAYs that came back."""
    for _ in range(times):
        if connection.failed:
            break
        connection.receive(data, now)
    return [(code, debug) for _, code, debug in goaways(connection.take())]


FLOODS: list[tuple[str, bytes]] = [
    ("empty DATA", body(1, b"", ended=False)),
    ("DATA of one byte", body(1, b"x", ended=False)),
    ("SETTINGS", frames.settings([])),
    ("SETTINGS that toggle a window", setting(4, 1) + setting(4, 65_535)),
    ("SETTINGS acknowledgements", frames.SETTINGS_ACK),
    ("PRIORITY", frames.frame(2, 0, 1, b"\0\0\0\x05\0")),
    ("WINDOW_UPDATE", frames.window_update(1, 1)),
    ("PING acknowledgements", frames.ping(bytes(8), True)),
    ("unknown frames", frames.frame(0x77, 0, 0, b"")),
    ("GOAWAY", frames.goaway(0, 0, b"")),
    ("PING", frames.ping(bytes(8), False)),
]


@pytest.mark.parametrize("data", [pytest.param(d, id=name) for name, d in FLOODS])
def test_a_flood_of_idle_frames_ends_the_connection(data: bytes) -> None:
    """Frames that do nothing useful are paid from a budget."""
    connection = server()
    opened(connection)
    assert [code for code, _ in flood(connection, data, 5_000)] == [frames.ENHANCE_YOUR_CALM]


def test_rapid_reset_ends_the_connection() -> None:
    """CVE-2023-44487: the number of streams that were started stays bounded."""
    connection = server()
    started = 0
    for number in range(20_000):
        stream_id = 2 * number + 1
        events = connection.receive(head(stream_id) + frames.rst_stream(stream_id, 8), number / 20_000)
        started += sum(isinstance(event, HeadersReceived) for event in events)
        if connection.failed:
            break
    assert started < 1_200
    assert [code for _, code, _ in goaways(connection.take())] == [frames.ENHANCE_YOUR_CALM]


def test_resets_that_we_are_made_to_send_count_too() -> None:
    """CVE-2025-8671: streams that the peer breaks on purpose."""
    connection = server()
    for number in range(5_000):
        connection.receive(head(2 * number + 1, request_fields(path=b"")), 0.0)
    assert connection.failed


def test_cancelling_old_streams_is_free() -> None:
    """A worker that stops cancels thousands of long polls at once."""
    connection = server()
    for number in range(5_000):
        opened(connection, 2 * number + 1)
    for number in range(5_000):
        connection.receive(frames.rst_stream(2 * number + 1, 8), 60.0)
    assert not connection.failed


def test_a_busy_client_is_not_taken_for_an_abusive_one() -> None:
    """A hundred thousand calls in a second, each with a WINDOW_UPDATE and a ping."""
    connection = server()
    for number in range(20_000):
        stream_id = 2 * number + 1
        data = unary(stream_id, b"x") + frames.window_update(0, 300) + frames.ping(bytes(8), False)
        events = connection.receive(data, number / 100_000)
        for event in events:
            if isinstance(event, DataReceived):
                connection.sender.unary(event.stream, OK, b"", b"y", TRAILERS)
        connection.take()
    assert not connection.failed


def test_a_client_that_downloads_much_may_update_its_windows_often() -> None:
    """Both windows for each frame: what we sent pays for it."""
    connection = server()
    connection.receive(head(1, flags=5), 0.0)
    connection.sender.data(connection.streams[1], bytes(50_000_000), True)
    while connection.streams:
        sent = [f for f in cut(connection.take()) if f.kind == frames.DATA and f.payload]
        for f in sent:
            for piece in range(0, len(f.payload), 1_024):
                size = min(1_024, len(f.payload) - piece)
                connection.receive(frames.window_update(1, size) + frames.window_update(0, size), 0.0)
    assert not connection.failed


def test_a_busy_server_is_not_taken_for_an_abusive_one() -> None:
    """The same budgets guard our client: small answers, each in a frame that does not end its stream."""
    connection = client()
    block = [plain_block([(b":status", b"200")]), plain_block([(b"grpc-status", b"0")])]
    for _ in range(5_000):
        stream_id = connection.open_stream(0.0).stream_id
        connection.sender.data(connection.streams[stream_id], b"", True)
        answer = frames.frame(1, 4, stream_id, block[0]) + body(stream_id, b"x", ended=False)
        connection.receive(answer + frames.frame(1, 5, stream_id, block[1]), 0.0)
    assert not connection.failed
    assert connection.streams == {}


def test_pings_too_close_together_are_told_so() -> None:
    """As grpc-go: three strikes, unless answers of ours lie between them or they keep their distance."""
    connection = server()
    for second in range(100):
        connection.receive(frames.ping(bytes(8), False), 10.0 * second)
    assert not connection.failed
    connection.take()
    assert flood(connection, frames.ping(bytes(8), False), 10, 1_000.0) == [
        (frames.ENHANCE_YOUR_CALM, b"too_many_pings")
    ]


@pytest.mark.parametrize("piece", [b"", b"x", bytes(16_000)])
def test_endless_continuations_end_the_connection(piece: bytes) -> None:
    """Empty, tiny and full ones: a block has a limit in bytes and in frames."""
    connection = server()
    connection.receive(head(1, flags=0), 0.0)
    codes = flood(connection, frames.frame(frames.CONTINUATION, 0, 1, piece), 10 * CONTINUATIONS_MAX)
    assert [code for code, _ in codes] == [frames.ENHANCE_YOUR_CALM]


def test_a_header_bomb_ends_the_connection() -> None:
    """Decoded size is bounded while decoding."""
    connection = server()
    connection.receive(frames.frame(1, 4, 1, b"\x40\x01x\x7f\xa1\x16" + b"y" * 2_976), 0.0)
    codes = flood(connection, frames.frame(1, 4, 3, b"\xbe" * 1_000), 1)
    assert [code for code, _ in codes] == [frames.ENHANCE_YOUR_CALM]


def test_the_peer_owes_its_preface_and_the_rest_of_a_block() -> None:
    """`owed_since` is what the shell's time-out looks at."""
    connection = Connection(False, Http2Limits(), 5.0)
    assert connection.owed_since == 5.0
    connection.receive(HELLO, 6.0)
    assert connection.owed_since < 0
    connection.receive(head(1, flags=0), 7.0)
    assert connection.owed_since == 7.0


# Client role


def client() -> Connection:
    connection = Connection(True, Http2Limits(), 0.0)
    connection.receive(frames.settings([]), 0.0)
    connection.take()
    return connection


def test_the_two_roles_understand_each_other() -> None:
    """A call there and back, a large one, through both sans-IO halves."""
    near, far = Connection(True, Http2Limits(), 0.0), Connection(False, Http2Limits(), 0.0)
    stream = near.open_stream(0.0)
    near.sender.headers(stream, PreparedFields(ONE_OFF, tuple(request_fields())), False)
    near.sender.data(stream, bytes(3_000_000), True)
    received = b""
    answer = b""
    for _ in range(200):
        for event in far.receive(near.take(), 0.0):
            if isinstance(event, DataReceived):
                received += event.data
                far.grant(event.stream, len(event.data))
                if event.ended:
                    far.sender.unary(event.stream, OK, b"", received, TRAILERS)
        for event in near.receive(far.take(), 0.0):
            if isinstance(event, DataReceived):
                answer += event.data
                near.grant(event.stream, len(event.data))
    assert len(answer) == 3_000_000
    assert near.streams == far.streams == {}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(5, 4, 1, bytes(4)), frames.PROTOCOL_ERROR),
        (Frame(4, 0, 0, struct.pack(">HI", 2, 1)), frames.PROTOCOL_ERROR),
        (Frame(0, 1, 1, b"x"), frames.PROTOCOL_ERROR),
        (Frame(1, 4, 3, plain_block([(b":status", b"200")])), frames.PROTOCOL_ERROR),
        (Frame(1, 4, 2, plain_block([(b":status", b"200")])), frames.PROTOCOL_ERROR),
    ],
)
def test_a_server_that_breaks_the_protocol(frame: Frame, code: int) -> None:
    """Push, data before a head, streams that we never opened."""
    connection = client()
    connection.open_stream(0.0)
    events = connection.receive(frames.frame(*frame), 0.0)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == code


def test_informational_responses_are_skipped() -> None:
    connection = client()
    stream = connection.open_stream(0.0)
    data = frames.frame(1, 4, 1, plain_block([(b":status", b"103")])) + frames.frame(
        1, 5, 1, plain_block([(b":status", b"200")])
    )
    events = connection.receive(data, 0.0)
    assert [type(event) for event in events] == [HeadersReceived]
    assert not stream.peer_open
