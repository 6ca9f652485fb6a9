"""What SDKs send beside what they mean: markers of groups, empty maps, flags for builds. Events show or drop it."""

from __future__ import annotations

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Memo, MeteringMetadata, Payload, SearchAttributes
from temporalio.api.sdk.v1 import EventGroupMarker, UserMetadata, WorkflowTaskCompletedMetadata
from temporalio.api.taskqueue.v1 import TaskQueue

from ..family import kid_history, kid_queue, start_kid
from ..script import Script
from ..values import command, complete_workflow, continue_as_new, payload, start_timer

SUMMARY = UserMetadata(summary=payload('"for people"'))
MARKERS = (
    EventGroupMarker(label=EventGroupMarker.Label(label=payload('"a"'))),
    EventGroupMarker(inbound_update=EventGroupMarker.InboundUpdate(inbound_update_id="u")),
)


def _marked(*commands: Command) -> list[Command]:
    for one in commands:
        one.event_group_markers.extend(MARKERS)
        one.user_metadata.CopyFrom(SUMMARY)
    return list(commands)


def group_markers(s: Script) -> None:
    """Every command's event has the command's markers and metadata."""
    first = _marked(
        start_timer("t"),
        s.activity(),
        start_kid(s),
        command("RECORD_MARKER", marker_name="m"),
        command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=SearchAttributes(indexed_fields={})),
        command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo=Memo(fields={"k": payload('"v"')})),
        command("CANCEL_TIMER", timer_id="t"),
        command("REQUEST_CANCEL_ACTIVITY_TASK", scheduled_event_id=6),
    )
    s.complete(s.begin_quietly(), *first, force_create_new_workflow_task=True)
    s.history()


def closing_group_markers(s: Script) -> None:
    """So have those that end a run."""
    s.complete(s.begin_quietly(), *_marked(continue_as_new()))
    s.closed_history()
    s.another("completed")
    s.complete(s.begin_quietly(), *_marked(complete_workflow()))
    s.closed_history()


def empty_maps(s: Script) -> None:
    """A memo and search attributes that are empty, or have only entries that say nothing, are not there."""
    nothing = Payload(metadata={"encoding": b"binary/null"})
    empty = start_kid(s, memo=Memo(), search_attributes=SearchAttributes())
    s.complete(s.begin_quietly(memo=Memo(), search_attributes=SearchAttributes()), empty)
    task = s.poll_quietly()
    s.complete(task, continue_as_new(memo=Memo(fields={"k": nothing}), search_attributes=SearchAttributes()))
    s.closed_history()
    s.complete(s.poll(kid_queue(s)), complete_workflow())
    kid_history(s)


def inherited_build(s: Script) -> None:
    """Continue-as-new says whether the build is inherited; on another queue it cannot be."""
    task = s.begin_quietly()
    elsewhere = continue_as_new(inherit_build_id=True, task_queue=TaskQueue(name=f"other-{s.queue}"))
    s.complete(task, elsewhere)
    s.complete(s.poll_quietly(), continue_as_new(inherit_build_id=True))
    s.closed_history()


def task_metadata(s: Script) -> None:
    """Metadata of a whole task: names and versions of the SDK, flags, metering."""
    flags = WorkflowTaskCompletedMetadata(
        sdk_name="an-sdk", sdk_version="1.2.3", core_used_flags=[1, 2], lang_used_flags=[3]
    )
    metering = MeteringMetadata(nonfirst_local_activity_execution_attempts=2)
    s.complete(s.begin_quietly(), complete_workflow(), sdk_metadata=flags, metering_metadata=metering)
    s.closed_history()
