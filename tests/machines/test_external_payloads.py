"""Payloads whose data is kept elsewhere are counted event by event, in whatever place of an event they stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.api import common, history
from perdure.machines.workflow import codec, external_payloads
from perdure.machines.workflow.execution import Execution
from perdure.machines.workflow.inputs import Signal
from tests.machines.chronicles import Chronicle, idle


def outside(*sizes: int) -> common.Payload:
    payload = common.Payload(data=b"where")
    for size in sizes:
        payload.external_payloads.add(size_bytes=size)
    return payload


def counted(event: history.HistoryEvent) -> tuple[int, int]:
    execution = Execution(idle().execution.info)
    external_payloads.note(execution, event, event.SerializeToString())
    return execution.external_payload_count, execution.external_payload_bytes


def signalled(*payloads: common.Payload) -> Chronicle:
    story = idle()
    attributes = history.WorkflowExecutionSignaledEventAttributes(
        signal_name="s", input=common.Payloads(payloads=payloads)
    )
    story.apply(Signal("", attributes, ""))
    return story


@given(st.lists(st.lists(st.integers(0, 2**62), max_size=3), max_size=4))
def test_every_size_is_seen(sizes: list[list[int]]) -> None:
    event = history.HistoryEvent()
    attributes = event.marker_recorded_event_attributes
    for number, of_one in enumerate(sizes):
        attributes.details[f"d{number}"].payloads.append(outside(*of_one))
    assert counted(event) == (sum(map(len, sizes)), sum(map(sum, sizes)))


def test_search_attributes_do_not_count_and_headers_failures_and_memos_do() -> None:
    event = history.HistoryEvent()
    started = event.workflow_execution_started_event_attributes
    started.search_attributes.indexed_fields["S"].CopyFrom(outside(1))
    started.memo.fields["m"].CopyFrom(outside(2))
    started.header.fields["h"].CopyFrom(outside(4))
    started.continued_failure.cause.encoded_attributes.CopyFrom(outside(8))
    assert counted(event) == (3, 14)


def test_the_count_is_stored_and_bytes_that_only_look_so_are_none() -> None:
    story = signalled(outside(100), common.Payload(data=b"\x1a\x02\x08\x05\x1a\x00"))
    kept = codec.decode_run(codec.encode_run(story.execution), 1, 0, [])
    for execution in (story.execution, kept):
        assert (execution.external_payload_count, execution.external_payload_bytes) == (1, 100)
