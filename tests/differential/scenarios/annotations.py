"""What goes along without a meaning of its own: user metadata and links, wherever requests or commands have them."""

from __future__ import annotations

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy
from temporalio.api.sdk.v1 import UserMetadata

from ..family import kid_id, kid_queue, start_kid
from ..script import Script
from ..values import (
    cancel_activity,
    cancel_timer,
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    execution,
    fail_workflow,
    modify_memo,
    payload,
    record_marker,
    retry_policy,
    start_timer,
    upsert,
)


def _noted(made: Command, text: str = "note") -> Command:
    made.user_metadata.CopyFrom(UserMetadata(summary=payload(f'"{text}"'), details=payload('"more"')))
    return made


def _link(job: str = "job") -> Link:
    return Link(batch_job=Link.BatchJob(job_id=job))


def commands(s: Script) -> None:
    """Every command that leaves an event."""
    s.complete(s.begin_quietly())
    target = s.execution()
    s.another("many")
    s.complete(
        s.begin_quietly(),
        _noted(s.activity("a")),
        _noted(s.activity("b")),
        _noted(start_timer("t", 60)),
        _noted(start_timer("u", 60)),
        _noted(record_marker()),
        _noted(upsert(DiffKeyword='"k"')),
        _noted(modify_memo(m='"kept"')),
        force_create_new_workflow_task=True,
    )
    s.complete(s.poll_quietly(), _noted(cancel_timer("t")), _noted(cancel_activity(5)))
    s.history()
    s.signal()
    signal = command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", execution=execution(target.workflow_id), signal_name="ping")
    s.complete(s.poll_quietly(), _noted(signal))
    s.complete(s.poll_quietly())
    s.signal()
    cancel = command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", workflow_id=target.workflow_id)
    s.complete(s.poll_quietly(), _noted(cancel))
    s.complete(s.poll_quietly(), _noted(complete_workflow()))
    s.closed_history()
    s.history(execution=target)


def closing_commands(s: Script) -> None:
    """The commands that close a run, and runs that continue it."""
    for label, made in (
        ("fail", fail_workflow()),
        ("cancel", cancel_workflow()),
        ("continue", continue_as_new()),
    ):
        s.another(label)
        noted = UserMetadata(summary=payload('"start"'))
        task = s.begin_quietly(user_metadata=noted)
        if label == "cancel":
            s.cancel()
            s.complete(task)
            task = s.poll_quietly()
        if label == "continue":
            s.another_run_waits()
        s.complete(task, _noted(made))
        s.closed_history()
        if label == "continue":
            s.run_id = s.poll_quietly().workflow_execution.run_id
            s.history()
            s.describe()


def child(s: Script) -> None:
    """A child has the metadata of the command that started it, and none of its parent's links."""
    s.complete(
        s.begin_quietly(links=[_link()], user_metadata=UserMetadata(summary=payload('"parent"'))), _noted(start_kid(s))
    )
    s.complete(s.poll_quietly())
    task = s.poll(kid_queue(s))
    s.describe(execution=execution(kid_id(s)))
    s.complete(task, complete_workflow())
    s.poll_quietly()
    s.history()


def retried(s: Script) -> None:
    """A retry has neither metadata nor description of the run before."""
    task = s.begin_quietly(retry_policy=retry_policy(), user_metadata=UserMetadata(summary=payload('"start"')))
    s.complete(task, fail_workflow())
    s.await_close()
    s.run_id = ""
    s.describe()


def links(s: Script) -> None:
    """Requests that take links: each event has those of its request."""
    s.complete(s.begin_quietly(links=[_link("start"), _link("start"), _link("other")]))
    s.signal(links=[_link("signal")])
    s.signal_with_start(links=[_link("with start")])
    s.cancel(links=[_link("cancel")])
    s.terminate(links=[_link("terminate")])
    s.history()
    s.another("new")
    s.signal_with_start(links=[_link("with start")], user_metadata=UserMetadata(summary=payload('"start"')))
    s.history()
    s.describe()
    s.start(
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
        links=[_link("instead")],
    )
    s.history()


def long(s: Script) -> None:
    """Metadata above the documented limits."""
    s.complete(s.begin_quietly(), _noted(start_timer("t", 60), "x" * 500), _noted(s.activity("a"), "x" * 500))
    s.history()
