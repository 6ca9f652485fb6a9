"""Header compression (RFC 7541): the one module that touches `jh2._hazmat`.

Decoding is done by the native codec of the package `jh2` (pinned, because that module is private to it) and, where it
cannot be imported, by `hpack`. Around it stands what neither does: a structural walk that refuses what the codec lets
pass, and a bounded memory of blocks that leave the dynamic table alone.

Encoding is our own. Its dynamic table only ever grows: an entry gets in while there is room and is never evicted,
so that a block encoded once stays true until the next insertion. No Huffman coding: it saves bytes, not time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, final

TABLE_BYTES: Final = 4_096
"""SETTINGS_HEADER_TABLE_SIZE in both directions: the default of RFC 9113, which we never change."""

REMEMBERED_BLOCKS_MAX: Final = 64
"""Remembered blocks of a connection: a client repeats a handful of calls, and a stranger's variety must be free."""

REMEMBERED_BLOCK_BYTES_MAX: Final = 512
"""Longer blocks are not remembered: with `REMEMBERED_BLOCKS_MAX` this bounds the memory of a connection's keys."""

ENTRY_OVERHEAD_BYTES: Final = 32
"""What an entry of the dynamic table costs beside name and value (RFC 7541 section 4.1)."""

STATIC_TABLE: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)

_STATIC_PAIRS: Final = {pair: index for index, pair in reversed(list(enumerate(STATIC_TABLE, 1)))}
_STATIC_NAMES: Final = {pair[0]: index for index, pair in reversed(list(enumerate(STATIC_TABLE, 1)))}


_HUFFMAN_BITS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a17"
    "1a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)
"""Bits of the Huffman code of each byte (RFC 7541 appendix B)."""


class HpackFailed(Exception):
    """The block cannot be decoded; the connection's tables no longer agree (COMPRESSION_ERROR)."""


class HeaderListTooLarge(Exception):
    """The decoded list passes the limit; decoding stopped there, so the tables no longer agree."""


class _NativeDecoder(Protocol):
    """What we use of `jh2._hazmat.Decoder`; `hpack.Decoder` is bent into it."""

    def decode(self, data: bytes, raw: bool) -> Sequence[Any]: ...


def _native_decoder(list_bytes_max: int) -> tuple[_NativeDecoder, tuple[type[Exception], ...], type[Exception]]:
    """A decoder, the exceptions of a bad block, and the exception of a list beyond the limit."""
    try:
        from jh2 import _hazmat  # type: ignore[import-untyped]

        native: Any = _hazmat.Decoder(list_bytes_max)
        return native, (_hazmat.HPACKError,), _hazmat.OversizedHeaderListError
    except ImportError:
        return _fallback_decoder(list_bytes_max)


def _fallback_decoder(
    list_bytes_max: int,
) -> tuple[_NativeDecoder, tuple[type[Exception], ...], type[Exception]]:
    """`hpack`, about ten times slower: for platforms without a wheel of jh2."""
    import hpack

    pure: Any = hpack.Decoder(max_header_list_size=list_bytes_max)
    return pure, (hpack.HPACKError, UnicodeDecodeError), hpack.OversizedHeaderListError


@final
class HeaderBlock:
    """A decoded list of header fields (name and value first in each entry), shared by all calls that repeat it.

    The other attributes are where the layers above keep what they derived from the list, so that a remembered block
    is judged once. They must depend on the list alone: `request_checked` and `content_length` (bytes, -1 if none)
    belong to `headers.py`, `head` to the gRPC server.
    """

    __slots__ = ("content_length", "fields", "head", "request_checked")

    def __init__(self, fields: Sequence[Any]) -> None:
        self.fields = fields
        self.request_checked = False
        self.content_length = -1
        self.head: Any = None


@final
class HeaderDecoder:
    """Decodes the peer's header blocks, in the order in which they came.

    `list_bytes_max` bounds the decoded size by RFC 9113's count (name + value + 32 bytes each) while decoding.
    """

    __slots__ = ("_bad", "_native", "_remembered", "_too_large")

    def __init__(self, list_bytes_max: int, native: bool = True) -> None:
        make = _native_decoder if native else _fallback_decoder
        self._native, self._bad, self._too_large = make(list_bytes_max)
        self._remembered: dict[bytes, HeaderBlock] = {}

    def decode(self, block: bytes) -> HeaderBlock:
        """The fields of one whole block. Raises HpackFailed or HeaderListTooLarge; the connection is lost then."""
        known = self._remembered.get(block)
        if known is not None:
            return known
        huffman: list[tuple[int, int, int, int]] = []
        table_stays = walk(block, huffman)
        try:
            fields = self._native.decode(block, True)
        except self._too_large as error:
            raise HeaderListTooLarge("header list is larger than allowed") from error
        except self._bad as error:
            raise HpackFailed(str(error)) from error
        for field, part, length, last in huffman:
            _check_padding(fields[field][part], length, last)
        decoded = HeaderBlock(fields)
        if not table_stays:
            if self._remembered:
                self._remembered = {}
        elif len(block) <= REMEMBERED_BLOCK_BYTES_MAX:
            if len(self._remembered) >= REMEMBERED_BLOCKS_MAX:
                self._remembered = {}
            self._remembered[block] = decoded
        return decoded


def walk(block: bytes, huffman: list[tuple[int, int, int, int]]) -> bool:
    """Walk the representations of a block: does it leave the dynamic table as it was?

    Huffman-coded strings are noted in `huffman`: which field, 0 for its name or 1 for its value, coded length in bytes,
    last byte. Raises HpackFailed for a truncated block and for a table size update behind a field, which RFC 7541
    section 4.2 forbids and native codecs let pass.
    """
    position = 0
    end = len(block)
    stays = True
    field = 0
    while position < end:
        first = block[position]
        if first >= 0x80:
            position = position + 1 if first != 0xFF else _after_integer(block, position + 1)
            field += 1
            continue
        if 0x20 <= first < 0x40:
            if field:
                raise HpackFailed("dynamic table size update behind a field")
            stays = False
            position = position + 1 if first != 0x3F else _after_integer(block, position + 1)
            continue
        mask = 0x0F
        if first >= 0x40:
            stays = False
            mask = 0x3F
        index = first & mask
        position = position + 1 if index != mask else _after_integer(block, position + 1)
        if index == 0:
            position = _after_string(block, position, field, 0, huffman)
        position = _after_string(block, position, field, 1, huffman)
        field += 1
    return stays


def _check_padding(text: bytes, length: int, last: int) -> None:
    """A Huffman-coded string is padded by less than 8 bits, all ones (RFC 7541 section 5.2)."""
    padding = length * 8 - sum(text.translate(_HUFFMAN_BITS))
    mask = (1 << padding) - 1 if 0 <= padding < 8 else 0x1FF
    if last & mask != mask:
        raise HpackFailed("bad padding of a Huffman-coded string")


INTEGER_BYTES_MAX: Final = 5
"""Continuation bytes of an HPACK integer: 35 bits are beyond every legal length and index."""


def _after_integer(block: bytes, position: int) -> int:
    """The position behind the continuation bytes of an integer."""
    stop = min(len(block), position + INTEGER_BYTES_MAX)
    while position < stop:
        if block[position] < 0x80:
            return position + 1
        position += 1
    raise HpackFailed("integer is truncated or too long")


def _after_string(block: bytes, position: int, field: int, part: int, huffman: list[tuple[int, int, int, int]]) -> int:
    """The position behind a string literal; noted in `huffman` if it is coded."""
    if position >= len(block):
        raise HpackFailed("truncated header block")
    coded = block[position] & 0x80
    length = block[position] & 0x7F
    position += 1
    if length == 0x7F:
        start = position
        position = _after_integer(block, start)
        shift = 0
        for place in range(start, position):
            length += (block[place] & 0x7F) << shift
            shift += 7
    position += length
    if position > len(block):
        raise HpackFailed("truncated header block")
    if coded and length:
        huffman.append((field, part, length, block[position - 1]))
    return position


@final
class PreparedFields:
    """A header list that is sent again and again; `token` keys its encoded form in each connection."""

    __slots__ = ("fields", "token")

    def __init__(self, token: int, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        self.token = token
        self.fields = fields


@final
class HeaderEncoder:
    """Encodes our header blocks, in the order in which they are sent."""

    __slots__ = ("_bytes", "_inserted", "_limit", "_pending_updates", "_prepared")

    def __init__(self) -> None:
        self._inserted: dict[tuple[bytes, bytes], int] = {}
        self._bytes = 0
        self._limit = TABLE_BYTES
        self._pending_updates = b""
        self._prepared: dict[int, bytes] = {}

    def set_table_size(self, size_bytes: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE: it bounds our table, of which we use at most `TABLE_BYTES`."""
        limit = min(size_bytes, TABLE_BYTES)
        if limit >= self._limit:
            return
        self._limit = limit
        self._inserted = {}
        self._bytes = 0
        self._prepared = {}
        self._pending_updates = b"\x20" + (_integer(limit, 0x20, 0x1F) if limit else b"")

    def prepared(self, prepared: PreparedFields) -> bytes:
        """The block of a prepared list, entered into the table the first time it is sent."""
        block = self._prepared.get(prepared.token)
        if block is not None and not self._pending_updates:
            return block
        block = self.encode(prepared.fields, True)
        again = self.encode(prepared.fields, False)
        self._prepared[prepared.token] = again
        return block

    def encode(self, fields: Iterable[tuple[bytes, bytes]], enter: bool) -> bytes:
        """One header block. With `enter`, fields are put into the dynamic table while there is room."""
        parts = [self._pending_updates]
        self._pending_updates = b""
        for pair in fields:
            parts.append(self._field(pair, enter))
        return b"".join(parts)

    def _field(self, pair: tuple[bytes, bytes], enter: bool) -> bytes:
        if pair[0] == b"authorization":
            # Never indexed, by us or by a proxy (RFC 7541 section 7.1.3).
            return self._literal(pair, 0x10, 0x0F)
        static = _STATIC_PAIRS.get(pair)
        if static is not None:
            return _integer(static, 0x80, 0x7F)
        ordinal = self._inserted.get(pair)
        if ordinal is not None:
            return _integer(len(STATIC_TABLE) + len(self._inserted) - ordinal, 0x80, 0x7F)
        size = len(pair[0]) + len(pair[1]) + ENTRY_OVERHEAD_BYTES
        if not enter or self._bytes + size > self._limit:
            return self._literal(pair, 0x00, 0x0F)
        literal = self._literal(pair, 0x40, 0x3F)
        self._inserted[pair] = len(self._inserted)
        self._bytes += size
        self._prepared = {}
        return literal

    def _literal(self, pair: tuple[bytes, bytes], pattern: int, mask: int) -> bytes:
        name, value = pair
        static = _STATIC_NAMES.get(name)
        if static is not None:
            return _integer(static, pattern, mask) + _integer(len(value), 0x00, 0x7F) + value
        return bytes((pattern,)) + _integer(len(name), 0, 0x7F) + name + _integer(len(value), 0, 0x7F) + value


def _integer(value: int, pattern: int, mask: int) -> bytes:
    """An integer with its prefix (RFC 7541 section 5.1)."""
    if value < mask:
        return bytes((pattern | value,))
    encoded = bytearray((pattern | mask,))
    value -= mask
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
