"""gRPC framing, metadata and deadlines, without a connection."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from perdure.errors import StatusCode
from perdure.transport import metadata
from perdure.transport.deadlines import DeadlineWheel
from perdure.transport.messages import GZIP_MEMBERS_MAX, BadMessage, MessageReader, inflate
from tests.transport.wire import message


def test_messages_come_out_however_they_were_cut(seed: int) -> None:
    """Every way of cutting a sequence of messages gives the same messages."""
    source = random.Random(seed)
    sent = [source.randbytes(size) for size in (0, 1, 4, 5, 6, 100, 5_000)]
    stream = b"".join([message(text) for text in sent])
    for _ in range(100):
        reader = MessageReader("", 10_000)
        got, rest = [], stream
        while rest:
            size = source.choice((1, 2, 7, 1_000))
            got += reader.feed(rest[:size])
            rest = rest[size:]
        assert got == sent
        assert reader.held_bytes == 0


@pytest.mark.parametrize(
    ("data", "encoding", "code"),
    [
        (message(b"x" * 101), "", StatusCode.RESOURCE_EXHAUSTED),
        (b"\x00\xff\xff\xff\xff", "", StatusCode.RESOURCE_EXHAUSTED),
        (message(b"x", flag=1), "", StatusCode.INTERNAL),
        (message(b"x", flag=2), "gzip", StatusCode.INTERNAL),
        (message(b"no gzip", flag=1), "gzip", StatusCode.INTERNAL),
        (message(gzip.compress(b"x" * 50)[:-9], flag=1), "gzip", StatusCode.INTERNAL),
        (message(gzip.compress(b"x" * 101), flag=1), "gzip", StatusCode.RESOURCE_EXHAUSTED),
        (message(zlib.compress(b"x" * 101), flag=1), "deflate", StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=("long", "announced long", "unannounced", "flag", "no gzip", "torn", "bomb", "deflate bomb"),
)
def test_a_bad_message_names_its_status(data: bytes, encoding: str, code: StatusCode) -> None:
    """Limits, unknown flags, compression that is not announced or broken."""
    with pytest.raises(BadMessage) as caught:
        MessageReader(encoding, 100).feed(data)
    assert caught.value.code == code


def test_compressed_messages_at_the_limit_pass() -> None:
    """gzip and deflate, of several members too; an uncompressed one may stand between compressed ones."""
    assert MessageReader("gzip", 100).feed(message(gzip.compress(b"x" * 100), flag=1)) == [b"x" * 100]
    assert MessageReader("deflate", 100).feed(message(zlib.compress(b"x" * 100), flag=1)) == [b"x" * 100]
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 2) == b"ab"
    assert MessageReader("gzip", 100).feed(message(b"plain")) == [b"plain"]


def test_a_bomb_is_never_inflated() -> None:
    """A gigabyte in a megabyte: refused after the limit's worth of output; many empty members are refused as well."""
    bomb = gzip.compress(bytes(1 << 26))
    with pytest.raises(BadMessage) as caught:
        inflate(bomb, "gzip", 4 << 20)
    assert caught.value.code == StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(BadMessage):
        inflate(gzip.compress(b"") * (GZIP_MEMBERS_MAX + 1), "gzip", 100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"99999999m", 99_999.999), (b"5u", 5e-6), (b"7n", 7e-9), (b"0n", 0)],
)
def test_timeouts_in_every_unit(text: bytes, seconds: float) -> None:
    assert metadata.parse_timeout(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"1", b"S", b"-1S", b"123456789S", b"1s", b"1.5S", b" 1S", "\u0661S".encode()])
def test_bad_timeouts_are_refused(text: bytes) -> None:
    with pytest.raises(metadata.BadTimeout):
        metadata.parse_timeout(text)


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.25, 10.0, 99.9, 70_000.0, 1e9, 1e12])
def test_timeouts_survive_the_way(seconds: float) -> None:
    """What we write is read as nearly the same, up to the largest value there is."""
    read = metadata.parse_timeout(metadata.format_timeout(seconds))
    assert read == pytest.approx(min(seconds, 99_999_999 * 3600), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("text", ["", "plain", "50 %", "line\nbreak", "naïve ✓", "\x7f", "%zz"])
def test_status_messages_survive_percent_encoding(text: str) -> None:
    """Only printable ASCII is on the wire."""
    encoded = metadata.encode_message(text)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert metadata.decode_message(encoded) == text


def test_a_long_status_message_is_cut_between_characters() -> None:
    text = metadata.decode_message(metadata.encode_message("é" * 4_000))
    assert text == "é" * (metadata.STATUS_MESSAGE_BYTES_MAX // 2)


def test_metadata_reads_text_and_binary() -> None:
    """Names are lower-case, pseudo-header fields are left out, the first of several values wins."""
    fields = [
        (b":path", b"/x"),
        (b"a", b" 1 "),
        (b"a", b"2"),
        (b"k-bin", b"AAE"),
        (b"bad-bin", b"!"),
        (b"p-bin", b"AAE="),
    ]
    read = metadata.Metadata(fields)
    assert read.get("a") == "1"
    assert read.get_all("a") == ["1", "2"]
    assert read.get(":path") is None
    assert read.get_bin("k-bin") == read.get_bin("p-bin") == b"\x00\x01"
    assert read.get_bin("none-bin") is None
    with pytest.raises(ValueError, match="base64"):
        read.get_bin("bad-bin")
    assert metadata.encode_pair("k-bin", b"\x00\x01") == (b"k-bin", b"AAE")
    assert metadata.encode_pair("k", "a\r\nb") == (b"k", b"a??b")


def test_the_wheel_gives_every_member_at_its_time_and_holds_none_that_left() -> None:
    """Due at most one bucket late, never early; one that left is forgotten at once."""
    wheel = DeadlineWheel()
    assert wheel.next_due() is None
    assert wheel.add(10.0, "a")
    assert not wheel.add(11.0, "b")
    assert wheel.add(5.0, "c")
    wheel.discard(5.0, "c")
    due = wheel.next_due()
    assert due is not None
    assert 10.0 < due <= 10.05
    assert wheel.due(10.0) == []
    assert wheel.due(due) == ["a"]
    assert wheel.due(100.0) == ["b"]
    assert wheel.next_due() is None
