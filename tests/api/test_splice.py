"""Cutting and joining serialized history without decoding it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.api import enums, history, splice, workflowservice
from perdure.api.workflowservice import PollWorkflowTaskQueueResponse

_HISTORY_FIELD = PollWorkflowTaskQueueResponse.DESCRIPTOR.fields_by_name["history"].number


def _event(event_id: int, timer_id: str = "t") -> history.HistoryEvent:
    return history.HistoryEvent(
        event_id=event_id,
        event_type=enums.EVENT_TYPE_TIMER_FIRED,
        timer_fired_event_attributes=history.TimerFiredEventAttributes(timer_id=timer_id),
    )


def _fragment(*events: history.HistoryEvent) -> bytes:
    return b"".join(splice.event_fragment(event.SerializeToString()) for event in events)


def test_fragments_end_to_end_are_one_history() -> None:
    """Two stored fragments concatenated parse as the history of all their events."""
    joined = _fragment(_event(1), _event(2)) + _fragment(_event(3))
    assert history.History.FromString(joined) == history.History(events=[_event(1), _event(2), _event(3)])


def test_a_fragment_is_exactly_what_protobuf_writes() -> None:
    """A fragment of one event equals the serialized History of that event."""
    assert _fragment(_event(5)) == history.History(events=[_event(5)]).SerializeToString()


def test_a_poll_response_is_spliced_together() -> None:
    """Response without history plus one field is the response with history, whatever fields come after it."""
    bare = PollWorkflowTaskQueueResponse(task_token=b"token", next_page_token=b"page", attempt=3)
    spliced = splice.with_field(bare.SerializeToString(), _HISTORY_FIELD, _fragment(_event(1), _event(2)))
    whole = PollWorkflowTaskQueueResponse(task_token=b"token", next_page_token=b"page", attempt=3)
    whole.history.events.extend([_event(1), _event(2)])
    assert PollWorkflowTaskQueueResponse.FromString(spliced) == whole


def test_an_empty_history_is_still_present() -> None:
    """An empty payload reads as a set message field."""
    spliced = splice.with_field(b"", _HISTORY_FIELD, b"")
    assert PollWorkflowTaskQueueResponse.FromString(spliced).HasField("history")


@given(st.lists(st.tuples(st.integers(1, 2**40), st.text(max_size=300)), max_size=20))
def test_split_finds_the_events_that_were_joined(rows: list[tuple[int, str]]) -> None:
    """Every span is one event's own bytes, in order, and its id is read without decoding."""
    events = [_event(event_id, text) for event_id, text in rows]
    fragment = _fragment(*events)
    spans = splice.split_events(fragment)
    assert [history.HistoryEvent.FromString(fragment[start:end]) for start, end in spans] == events
    assert [splice.event_id_of(fragment[start:end]) for start, end in spans] == [event.event_id for event in events]
    assert b"".join(splice.split_entries(fragment)) == fragment
    assert splice.first_event_id(fragment) == (events[0].event_id if events else 0)


@pytest.mark.parametrize(
    ("first", "after", "kept"), [(1, 5, [1, 2, 3, 4]), (2, 4, [2, 3]), (0, 1, []), (5, 9, []), (4, 9, [4]), (3, 3, [])]
)
def test_slice_keeps_the_ids_asked_for(first: int, after: int, kept: list[int]) -> None:
    """`first <= id < after`, as a fragment."""
    fragment = _fragment(*[_event(event_id) for event_id in (1, 2, 3, 4)])
    assert splice.slice_events(fragment, first, after) == _fragment(*[_event(event_id) for event_id in kept])


def test_event_id_is_found_behind_other_fields() -> None:
    """Field order is the writer's business; an unset id reads as 0."""
    late = history.HistoryEvent(version=9).SerializeToString() + history.HistoryEvent(event_id=300).SerializeToString()
    assert splice.event_id_of(late) == 300
    assert splice.event_id_of(history.HistoryEvent(version=9, task_id=1).SerializeToString()) == 0
    assert splice.event_id_of(b"") == 0


@given(st.integers(0, 2**64 - 1))
def test_varints_round_trip(value: int) -> None:
    """Ten bytes hold every unsigned 64-bit number."""
    encoded = splice.varint(value)
    assert splice.read_varint(b"\xff" + encoded, 1) == (value, 1 + len(encoded))


@given(st.integers(1, 2**29 - 1), st.binary(max_size=400))
def test_a_field_that_is_written_is_found_again(number: int, payload: bytes) -> None:
    """By the span of its payload."""
    field = splice.length_delimited(number, payload)
    assert splice.length_delimited_fields(field, number) == [(len(field) - len(payload), len(field))]


def test_fields_of_other_kinds_are_stepped_over() -> None:
    """Varint, fixed32, fixed64 and foreign length-delimited fields lie between; only the wanted ones are named."""
    message = b"\x08\x05" + b"\x15abcd" + b"\x19abcdefgh" + splice.length_delimited(4, b"no")
    message += splice.length_delimited(2, b"yes")
    assert [message[a:b] for a, b in splice.length_delimited_fields(message, 2)] == [b"yes"]


@pytest.mark.parametrize(
    "damaged", [b"\x0a", b"\x0a\x05abc", b"\x12\x01a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0a\x80"]
)
def test_damaged_fragments_are_refused(damaged: bytes) -> None:
    """Truncated or foreign bytes raise; they never come back as events."""
    with pytest.raises(ValueError, match=r"truncated|other than"):
        splice.split_events(damaged)


@pytest.mark.parametrize("damaged", [b"\x0b", b"\x15ab", b"\x19ab", b"\x0a\x05a", b"\x08"])
def test_damaged_messages_are_refused(damaged: bytes) -> None:
    """Unknown wire types and cut fields raise."""
    with pytest.raises(ValueError, match=r"truncated|unknown wire type"):
        splice.length_delimited_fields(damaged, 1)


def test_varint_range_is_checked() -> None:
    """Negative numbers and more than 64 bits are our own mistakes."""
    with pytest.raises(ValueError, match="out of range"):
        splice.varint(-1)
    with pytest.raises(ValueError, match="out of range"):
        splice.varint(2**64)


def test_request_with_nothing_set_has_no_bytes() -> None:
    """The empty message is the empty string, so splicing into it gives exactly the field."""
    assert workflowservice.PollWorkflowTaskQueueResponse().SerializeToString() == b""
