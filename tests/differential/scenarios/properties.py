"""Search attributes, memo, markers and metadata of a run (semantics 4.8, 4.9)."""

from __future__ import annotations

from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflowservice import v1 as rpc

from ..script import NAMESPACE, Script
from ..values import (
    attributes,
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    header,
    memo,
    modify_memo,
    payload,
    payloads,
    record_marker,
    start_timer,
    upsert,
)


def upserted(s: Script) -> None:
    """F25, F32: upserts merge, null and empty lists remove, and types are added to the metadata."""
    task = s.begin(search_attributes=attributes(DiffKeyword='"start"', DiffInt="1", DiffKeywordList='["a"]'))
    s.complete(
        task,
        upsert(
            DiffKeyword='"changed"',
            DiffText='"some words"',
            DiffDouble="1.5",
            DiffBool="true",
            DiffDatetime='"2024-05-06T07:08:09.123456789Z"',
        ),
        upsert(DiffInt="null", DiffKeywordList="[]"),
    )
    s.history()
    s.describe()


def upserted_with_types(s: Script) -> None:
    """Type metadata given by the client is kept or corrected."""
    right = SearchAttributes(indexed_fields={"DiffInt": payload("5", "Int"), "DiffKeyword": payload('"k"', "Keyword")})
    wrong = SearchAttributes(indexed_fields={"DiffKeyword": payload('"k"', "Int")})
    task = s.begin(search_attributes=right)
    s.complete(task, command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=wrong))
    s.history()
    s.describe()


def lists_for_scalars(s: Script) -> None:
    """A list for a scalar attribute, and one string for a list (14.3)."""
    s.start(search_attributes=attributes(DiffKeyword='["one"]', DiffKeywordList='"single"'))
    s.history()
    s.describe()


def change_version(s: Script) -> None:
    """TemporalChangeVersion may be upserted by workers."""
    s.complete(s.begin_quietly(), upsert(TemporalChangeVersion='["patch-1"]'))
    s.history()
    s.describe()


def memo_modified(s: Script) -> None:
    """MODIFY_WORKFLOW_PROPERTIES merges the memo; null removes a key."""
    task = s.begin(memo=memo(kept="1", changed="2", removed="3"))
    s.complete(task, modify_memo(changed='"new"', removed="null", added="[]"))
    s.history()
    s.describe()


def markers(s: Script) -> None:
    """A marker is written as it came."""
    marker = record_marker(
        "version",
        details={"data": payloads("1", "2"), "empty": payloads()},
        header=header(h="1"),
        failure=failure("in marker"),
    )
    s.complete(s.begin_quietly(), marker, record_marker("version"))
    s.history()


def user_metadata(s: Script) -> None:
    """User metadata of commands is copied to their events."""
    timer = start_timer()
    timer.user_metadata.CopyFrom(UserMetadata(summary=payload('"nap"')))
    activity = s.activity()
    activity.user_metadata.CopyFrom(UserMetadata(summary=payload('"work"'), details=payload('"hard"')))
    s.complete(s.begin_quietly(), timer, activity)
    s.history()


def metadata_of_close(s: Script) -> None:
    """A closing command's metadata, too."""
    for close in (complete_workflow(), fail_workflow(), cancel_workflow(), continue_as_new()):
        s.another(str(close.command_type))
        close.user_metadata.CopyFrom(UserMetadata(summary=payload('"end"')))
        s.complete(s.begin_quietly(), close)
        s.closed_history()


def wrong_type_in_list(s: Script) -> None:
    """What a list shows and finds of an attribute whose metadata name another type."""
    wrong = SearchAttributes(indexed_fields={"DiffKeyword": payload('"k"', "Int"), "DiffInt": payload("5", "Keyword")})
    s.complete(s.begin_quietly(), command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=wrong))
    for term in ("DiffKeyword = 'k'", "DiffInt = 5"):
        request = rpc.ListWorkflowExecutionsRequest(
            namespace=NAMESPACE, query=f"TaskQueue = '{s.queue}' AND BuildIds IS NOT NULL AND {term}"
        )
        s.eventually(request, rpc.ListWorkflowExecutionsResponse, lambda reply: bool(reply.executions))
