"""Header compression: our encoder against both decoders, and what the walk refuses that codecs let pass."""

from __future__ import annotations

import random

import hpack
import pytest

from perdure.transport.hpack import (
    REMEMBERED_BLOCKS_MAX,
    TABLE_BYTES,
    HeaderDecoder,
    HeaderEncoder,
    HeaderListTooLarge,
    HpackFailed,
    PreparedFields,
)

Pairs = list[tuple[bytes, bytes]]


def pairs(decoder: HeaderDecoder, block: bytes) -> Pairs:
    return [(bytes(field[0]), bytes(field[1])) for field in decoder.decode(block).fields]


@pytest.mark.parametrize("native", [True, False])
def test_what_we_encode_both_codecs_decode(native: bool, seed: int) -> None:
    """Random lists, entered into the table or not, come back as they were, beyond a full table too."""
    source = random.Random(seed)
    encoder, decoder = HeaderEncoder(), HeaderDecoder(1 << 20, native)
    for _ in range(300):
        fields = [(b"name-%d" % source.randrange(90), source.randbytes(source.randrange(60))) for _ in range(5)]
        fields.append((b":method", b"POST"))
        fields.append((b"authorization", b"secret"))
        assert pairs(decoder, encoder.encode(fields, source.random() < 0.5)) == fields


@pytest.mark.parametrize("native", [True, False])
def test_what_hpack_encodes_we_decode(native: bool, seed: int) -> None:
    """Huffman coding, evictions and table size updates of another encoder."""
    source = random.Random(seed)
    encoder, decoder = hpack.Encoder(), HeaderDecoder(1 << 20, native)
    for turn in range(300):
        if turn % 50 == 49:
            encoder.header_table_size = source.randrange(TABLE_BYTES)
        fields = [(b"x-%d" % source.randrange(90), b"value %d" % source.randrange(99)) for _ in range(5)]
        assert pairs(decoder, encoder.encode(fields)) == fields


def test_a_prepared_list_is_a_few_indexes_from_its_second_use_on() -> None:
    """The first block enters the fields, all others point to them, whatever else was entered between."""
    encoder, decoder = HeaderEncoder(), HeaderDecoder(1 << 20)
    prepared = PreparedFields(0, ((b":status", b"200"), (b"x-one", b"1")))
    blocks = [encoder.prepared(prepared), encoder.prepared(prepared)]
    between = encoder.encode([(b"x-two", b"2")], True)
    last = encoder.prepared(prepared)
    for block in blocks:
        assert pairs(decoder, block) == list(prepared.fields)
    assert pairs(decoder, between) == [(b"x-two", b"2")]
    assert pairs(decoder, last) == list(prepared.fields)
    assert len(blocks[1]) == len(last) == 2


def test_a_smaller_table_of_the_peer_is_announced_and_kept() -> None:
    """SETTINGS_HEADER_TABLE_SIZE: the next block begins with size updates, and nothing old is pointed to."""
    encoder = HeaderEncoder()
    decoder = hpack.Decoder()
    prepared = PreparedFields(0, ((b"x-one", b"1"),))
    decoder.decode(encoder.prepared(prepared))
    encoder.set_table_size(0)
    decoder.max_allowed_table_size = 0
    for _ in range(2):
        assert [tuple(pair) for pair in decoder.decode(encoder.prepared(prepared), raw=True)] == [(b"x-one", b"1")]


def test_credentials_are_never_indexed() -> None:
    """RFC 7541 section 7.1.3: no table of ours or of a proxy's may hold them."""
    block = HeaderEncoder().encode([(b"authorization", b"Bearer x")], True)
    assert block[0] & 0xF0 == 0x10


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x80", "index zero"),
        (b"\xbe", "index beyond the table"),
        (b"\xff\xff\xff\xff\xff\xff\x0f", "index that is too long"),
        (b"\x40\x05ab", "name cut short"),
        (b"\x41", "value missing"),
        (b"\x3f\xe2\x1f", "table larger than allowed"),
        (b"\x82\x20", "table size update behind a field"),
        (b"\x01\x84\x49\x50\x9f\xff", "Huffman padding of more than seven bits"),
        (b"\x01\x81\x18", "Huffman padding of zeros"),
        (b"\x01\x84\xff\xff\xff\xff", "Huffman-coded EOS"),
        (b"\x7f", "integer cut short"),
    ],
)
def test_a_bad_block_is_refused(native: bool, block: bytes, why: str) -> None:
    """RFC 7541 sections 4.2, 5.1, 5.2 and 6: a decoding error."""
    with pytest.raises(HpackFailed):
        HeaderDecoder(1 << 20, native).decode(block)
    assert why


@pytest.mark.parametrize("native", [True, False])
def test_a_bomb_stops_at_the_limit(native: bool) -> None:
    """A small block that points a thousand times to one large entry is stopped while it is decoded."""
    decoder = HeaderDecoder(16_384, native)
    big = HeaderEncoder().encode([(b"x", b"y" * 3_000)], True)
    decoder.decode(big)
    with pytest.raises(HeaderListTooLarge):
        decoder.decode(b"\xbe" * 1_000)


def test_remembered_blocks_are_forgotten_when_the_table_changes() -> None:
    """The same bytes mean another list once an entry has shifted the table."""
    decoder = HeaderDecoder(1 << 20)
    encoder = HeaderEncoder()
    decoder.decode(encoder.encode([(b"x", b"1")], True))
    assert pairs(decoder, b"\xbe") == [(b"x", b"1")]
    decoder.decode(encoder.encode([(b"x", b"2")], True))
    assert pairs(decoder, b"\xbe") == [(b"x", b"2")]
    assert decoder.decode(b"\xbe") is decoder.decode(b"\xbe")


def test_remembered_blocks_are_bounded() -> None:
    """A stranger's variety does not grow the memory of a connection."""
    decoder = HeaderDecoder(1 << 20)
    for number in range(10 * REMEMBERED_BLOCKS_MAX):
        decoder.decode(HeaderEncoder().encode([(b"x", b"%d" % number)], False))
    assert len(decoder._remembered) <= REMEMBERED_BLOCKS_MAX


def test_random_blocks_raise_nothing_else(seed: int) -> None:
    """Whatever comes: a list, HpackFailed or HeaderListTooLarge."""
    source = random.Random(seed)
    for _ in range(5_000):
        decoder = HeaderDecoder(4_096)
        try:
            for _ in range(3):
                decoder.decode(source.randbytes(source.randrange(1, 40)))
        except (HpackFailed, HeaderListTooLarge):
            continue
