"""Cutting and joining serialized messages without decoding them (DESIGN idea 11).

History is stored as serialized `temporal.api.history.v1.History` fragments: fragments set end to end are a valid
`History`, and a field appended to a serialized message is a valid message. So a poll response is the serialized
response without its history, followed by one length-delimited field that holds the stored bytes. Pure: this module
imports nothing, so that mypyc can compile it; it never looks into a payload.

Offsets and sizes are bytes. Malformed input raises `ValueError`; it means that our own stored bytes are damaged.
"""

from __future__ import annotations

_EVENTS_TAG = 0x0A
"""`History.events`."""
_EVENTS_TAG_BYTES = b"\x0a"
_EVENT_ID_TAG = 0x08
_WIRE_VARINT = 0
_WIRE_I64 = 1
_WIRE_LEN = 2
_WIRE_I32 = 5
_VARINT_BYTES_MAX = 10
_LENGTH_MAX = 0x7FFFFFFF
"""No protobuf message exceeds 2 GiB - 1."""


def varint(value: int) -> bytes:
    """A value of 0 .. 2**64 - 1 in protobuf's base-128 encoding, 1 to 10 bytes."""
    if 0 <= value < _SHORT_MAX:
        return _SHORT[value]
    return _varint(value)


def _varint(value: int) -> bytes:
    if value < 0 or value >> 64:
        raise ValueError("varint is out of range")
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT_MAX = 1024
_SHORT = tuple([_varint(value) for value in range(_SHORT_MAX)])
"""Nearly all lengths and tags."""


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and the position after it."""
    result = 0
    shift = 0
    limit = min(len(data), position + _VARINT_BYTES_MAX)
    while position < limit:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise ValueError("truncated varint")


def length_delimited(field_number: int, payload: bytes) -> bytes:
    """One field of wire type 2: tag, length, payload."""
    return varint(field_number << 3 | _WIRE_LEN) + varint(len(payload)) + payload


def event_fragment(serialized_event: bytes) -> bytes:
    """A serialized `HistoryEvent` as an entry of `History.events`: a fragment of one event."""
    return _EVENTS_TAG_BYTES + varint(len(serialized_event)) + serialized_event


def split_events(fragment: bytes) -> list[tuple[int, int]]:
    """Where each event's own bytes lie in a fragment: (start, end) without tag and length, in order.

    Raises ValueError when the fragment is not exactly a row of `History.events` entries.
    """
    spans: list[tuple[int, int]] = []
    position = 0
    total = len(fragment)
    while position < total:
        if fragment[position] != _EVENTS_TAG:
            raise ValueError("fragment holds a field other than History.events")
        size, start = read_varint(fragment, position + 1)
        position = start + size
        if position > total:
            raise ValueError("truncated event")
        spans.append((start, position))
    return spans


def split_entries(fragment: bytes) -> list[bytes]:
    """The fragment cut into fragments of one event each, tags kept: any of them can be joined again."""
    entries: list[bytes] = []
    begin = 0
    for _, end in split_events(fragment):
        entries.append(fragment[begin:end])
        begin = end
    return entries


def event_id_of(serialized_event: bytes) -> int:
    """`HistoryEvent.event_id` (field 1) of a serialized event; 0 if it is not set."""
    if serialized_event and serialized_event[0] == _EVENT_ID_TAG:
        return read_varint(serialized_event, 1)[0]
    position = 0
    while position < len(serialized_event):
        tag, start = read_varint(serialized_event, position)
        if tag == _EVENT_ID_TAG:
            return read_varint(serialized_event, start)[0]
        position = _after_field(serialized_event, start, tag & 7)
    return 0


def first_event_id(fragment: bytes) -> int:
    """Event id of a fragment's first event; 0 for an empty fragment. Decodes nothing else."""
    if not fragment:
        return 0
    if fragment[0] != _EVENTS_TAG:
        raise ValueError("fragment holds a field other than History.events")
    size, start = read_varint(fragment, 1)
    if start + size > len(fragment):
        raise ValueError("truncated event")
    return event_id_of(fragment[start : start + size])


def slice_events(fragment: bytes, first_id: int, after_id: int) -> bytes:
    """The events with `first_id <= event_id < after_id` of a fragment with rising ids, as a fragment."""
    begin = -1
    finish = 0
    entry_start = 0
    for start, end in split_events(fragment):
        event_id = event_id_of(fragment[start:end])
        if first_id <= event_id < after_id:
            if begin < 0:
                begin = entry_start
            finish = end
        entry_start = end
    return b"" if begin < 0 else fragment[begin:finish]


def with_field(serialized_message: bytes, field_number: int, payload: bytes) -> bytes:
    """A serialized message with one more length-delimited field at its end.

    The field must be unset in `serialized_message`: a parser merges the two otherwise. An empty payload is still
    written, so that a message field reads as present.
    """
    return serialized_message + length_delimited(field_number, payload)


def length_delimited_fields(message: bytes, field_number: int) -> list[tuple[int, int]]:
    """(start, end) of the contents of every length-delimited field of that number at the message's top level."""
    wanted = field_number << 3 | _WIRE_LEN
    spans: list[tuple[int, int]] = []
    position = 0
    while position < len(message):
        tag, start = read_varint(message, position)
        position = _after_field(message, start, tag & 7)
        if tag == wanted:
            size, contents = read_varint(message, start)
            spans.append((contents, contents + size))
    return spans


def _after_field(message: bytes, start: int, wire_type: int) -> int:
    """The position after a field whose value begins at `start`."""
    if wire_type == _WIRE_VARINT:
        end = read_varint(message, start)[1]
    elif wire_type == _WIRE_LEN:
        size, contents = read_varint(message, start)
        if size > _LENGTH_MAX:
            raise ValueError("field is too long")
        end = contents + size
    elif wire_type == _WIRE_I64:
        end = start + 8
    elif wire_type == _WIRE_I32:
        end = start + 4
    else:
        raise ValueError("unknown wire type")
    if end > len(message):
        raise ValueError("truncated field")
    return end
