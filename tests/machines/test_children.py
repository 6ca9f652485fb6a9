"""Children: how parent and child hear of each other, and what a close means for both (semantics 4.6, 9)."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.api import common, enums
from perdure.errors import NotFound, Unavailable
from perdure.machines.env import Limits
from perdure.machines.workflow import alarm, outbound
from perdure.machines.workflow.calls import (
    ApplyClosePolicy,
    ReportToParent,
    ScheduleChildFirstTask,
    StartChild,
)
from perdure.machines.workflow.exchange import ChildClosed
from tests.machines.builders import SECOND, complete_workflow, retry_policy, start_timer
from tests.machines.chronicles import cancel_workflow, continue_as_new, fail_workflow
from tests.machines.families import (
    ABANDON,
    REQUEST_CANCEL,
    TERMINATE,
    Family,
    Relative,
    cancel_external,
    signal_external,
    start_child,
    with_child,
)
from tests.machines.update_messages import requests

BEGUN = ["STARTED", "TASK_SCHEDULED", "TASK_STARTED", "TASK_COMPLETED"]


def test_a_child_and_its_parent_hear_of_each_other() -> None:
    """D8: initiated, started, the first task of the child, completed; each side's history is dense and complete."""
    family, parent, kid = with_child()
    family.settle()
    assert parent.kinds() == [*BEGUN, "START_CHILD_INITIATED", "CHILD_STARTED", "TASK_SCHEDULED"]
    parent.turn()
    kid.turn(complete_workflow())
    family.settle()
    assert parent.kinds()[-4:] == ["TASK_STARTED", "TASK_COMPLETED", "CHILD_COMPLETED", "TASK_SCHEDULED"]
    ended = parent.events[-2].child_workflow_execution_completed_event_attributes
    assert (ended.initiated_event_id, ended.started_event_id) == (5, 6)
    assert ended.workflow_execution == common.WorkflowExecution(workflow_id="kid", run_id=kid.run_id)
    assert kid.kinds() == [*BEGUN, "COMPLETED"]
    assert not parent.execution.children
    assert not parent.execution.calls


def test_a_child_knows_its_parent_and_root() -> None:
    """The child's first event and its info name the parent; a grandchild's root is the first of the family."""
    family, parent, kid = with_child()
    family.settle()
    started = kid.events[0].workflow_execution_started_event_attributes
    assert started.parent_workflow_execution == common.WorkflowExecution(workflow_id="wf", run_id=parent.run_id)
    assert (started.parent_workflow_namespace, started.parent_initiated_event_id) == ("default", 5)
    kid.turn(start_child("grandkid"))
    family.settle()
    grandkid = family.member("grandkid").execution.info
    assert (grandkid.root_workflow_id, grandkid.root_run_id) == ("wf", parent.run_id)
    assert grandkid.parent is not None
    assert grandkid.parent.workflow_id == "kid"


def test_a_child_has_no_workflow_task_before_its_parent_has_recorded_it() -> None:
    """Not after its start, and not for a signal; the first task comes when the parent says so (DESIGN 1.10)."""
    family, parent, kid = with_child()
    (start,) = parent.calls
    assert isinstance(start, StartChild)
    answer = family.ask(start)
    assert kid.kinds() == ["STARTED"]
    kid.signal()
    assert kid.kinds() == ["STARTED", "SIGNALED"]
    family.tell(start, answer)
    (first_task,) = parent.calls
    assert isinstance(first_task, ScheduleChildFirstTask)
    family.carry(first_task)
    assert kid.kinds() == ["STARTED", "SIGNALED", "TASK_SCHEDULED"]


@pytest.mark.parametrize("fields", [{}, {"cron_schedule": "0 0 1 1 *"}])
def test_an_update_of_such_a_child_goes_with_its_first_task(fields: dict[str, Any]) -> None:
    """No task is made for it before; a schedule that is far away is not waited for then (8.2)."""
    family, parent, kid = with_child(**fields)
    (start,) = parent.calls
    answer = family.ask(start)
    kid.update()
    assert kid.execution.task is None
    family.tell(start, answer)
    family.settle()
    assert kid.kinds() == ["STARTED", "TASK_SCHEDULED"]
    assert [message.protocol_instance_id for message in requests(kid.take())] == ["u"]


def test_the_mark_of_a_first_task_rides_on_the_next_write() -> None:
    """Knowing that a child runs costs the parent no write of its own; until then a new owner asks again."""
    family, parent, kid = with_child()
    family.settle()
    assert not parent.stored
    parent.die()
    (again,) = parent.calls
    assert isinstance(again, ScheduleChildFirstTask)
    family.settle()
    parent.turn()
    assert parent.execution.children[5].first_task_known
    parent.die()
    assert not parent.calls
    assert kid.kinds() == ["STARTED", "TASK_SCHEDULED"]


def test_a_parent_that_is_read_anew_for_the_answer_does_not_ask_again() -> None:
    """Where nothing stays in memory, each answer would ask for the next one, without end."""
    family, parent, _ = with_child()
    family.carry(parent.calls[0])
    (first_task,) = parent.calls
    answer = family.ask(first_task)
    parent.forget()
    family.tell(first_task, answer)
    assert not parent.calls


def test_a_repeated_start_finds_the_run_it_made() -> None:
    """The answer of a start is lost and the parent's owner dies: the child is started once."""
    family, parent, kid = with_child()
    family.ask(parent.calls[0])
    parent.die()
    family.settle()
    assert len(kid.runs) == 1
    assert parent.kinds().count("CHILD_STARTED") == 1


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda kid: kid.turn(fail_workflow()), "CHILD_FAILED"),
        (lambda kid: kid.turn(cancel_workflow()), "CHILD_CANCELED"),
        (lambda kid: kid.terminate(), "CHILD_TERMINATED"),
    ],
)
def test_every_end_of_a_child_is_told(end: object, told: str) -> None:
    """9.2: one event for each way to end."""
    family, parent, kid = with_child()
    family.settle()
    assert callable(end)
    end(kid)
    family.settle()
    assert told in parent.kinds()


def test_a_child_that_times_out_is_told_of() -> None:
    """9.2: a run timeout ends the child's chain."""
    from perdure.api.times import duration_of

    family, parent, kid = with_child(workflow_run_timeout=duration_of(5 * SECOND))
    family.settle()
    family.now += 6 * SECOND
    kid.ring()
    family.settle()
    assert parent.kinds()[-1] == "CHILD_TIMED_OUT" or "CHILD_TIMED_OUT" in parent.kinds()


def test_only_the_last_run_of_a_chain_reports() -> None:
    """F14: a continued and then retried child reports once, under the first run's start."""
    family, parent, kid = with_child(retry_policy=retry_policy(1, 1, 0, 2))
    family.settle()
    first = kid.run_id
    kid.turn(fail_workflow())
    assert not kid.calls
    family.now += 2 * SECOND
    kid.ring()
    kid.turn(complete_workflow())
    (report,) = kid.calls
    assert isinstance(report, ReportToParent)
    assert report.first_run_id == first
    family.settle()
    assert parent.kinds().count("CHILD_COMPLETED") == 1


def test_a_report_is_owed_until_it_is_answered() -> None:
    """A closed child says so by its alarm, comes back to it after a crash, and is not reclaimed before."""
    family, parent, kid = with_child()
    family.settle()
    kid.turn(complete_workflow())
    assert alarm.durable_alarm(kid.execution) <= kid.now
    family.now += 100 * 86_400 * SECOND
    kid.die()
    (report,) = kid.calls
    assert isinstance(report, ReportToParent)
    assert kid.last is not None
    assert not kid.last.deltas[0].reclaim
    family.settle()
    assert "CHILD_COMPLETED" in parent.kinds()
    assert alarm.durable_alarm(kid.execution) == kid.execution.close_time + kid.execution.retention


def test_a_report_waits_for_the_start_to_be_recorded() -> None:
    """A child that dies before its parent knows it: the report has no definite answer until the start is recorded."""
    family, parent, kid = with_child()
    (start,) = parent.calls
    answer = family.ask(start)
    kid.terminate()
    (report,) = kid.calls
    event = family.event_of(report)
    assert event is not None
    with pytest.raises(Unavailable):
        parent.apply(ChildClosed(parent.run_id, 5, "kid", kid.run_id, kid.run_id, event))
    family.tell(start, answer)
    family.settle()
    assert parent.kinds()[-3:] == ["CHILD_STARTED", "TASK_SCHEDULED", "CHILD_TERMINATED"]


def test_a_closed_parent_needs_no_report() -> None:
    """9.2: the report of an abandoned child to a closed parent is answered and forgotten."""
    family, parent, kid = with_child(parent_close_policy=ABANDON)
    family.settle()
    parent.turn(complete_workflow())
    kid.turn(complete_workflow())
    family.settle()
    assert kid.execution.report_answered
    assert parent.kinds()[-1] == "COMPLETED"


def test_a_taken_id_fails_the_start() -> None:
    """F40: the parent hears of it and goes on."""
    family = Family()
    family.member("kid").begin()
    parent = family.member("wf")
    parent.begin()
    parent.turn(start_child(control="c"))
    family.settle()
    assert parent.kinds()[-2:] == ["START_CHILD_FAILED", "TASK_SCHEDULED"]
    failed = parent.events[-2].start_child_workflow_execution_failed_event_attributes
    assert failed.cause == enums.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
    assert (failed.control, failed.initiated_event_id, failed.workflow_task_completed_event_id) == ("c", 5, 0)
    assert not parent.execution.children


@pytest.mark.parametrize(
    ("policy", "last"), [(TERMINATE, "TERMINATED"), (REQUEST_CANCEL, "CANCEL_REQUESTED"), (ABANDON, "TASK_SCHEDULED")]
)
def test_close_policies(policy: int, last: str) -> None:
    """9.4: what becomes of a child whose parent completes."""
    family, parent, kid = with_child(parent_close_policy=policy)
    family.settle()
    parent.turn(complete_workflow())
    family.settle()
    assert kid.kinds()[-1] == last
    assert not parent.execution.calls


def test_the_close_policy_follows_the_childs_chain() -> None:
    """F13: also at the parent's continue-as-new, and for the run that is current by then."""
    family, parent, kid = with_child()
    family.settle()
    family.now += 2 * SECOND
    kid.turn(continue_as_new())
    parent.turn(continue_as_new())
    family.settle()
    assert kid.kinds("A")[-1] == "CONTINUED_AS_NEW"
    assert kid.kinds("B")[-1] == "TERMINATED"
    assert not parent.execution.children
    assert not parent.run("A").calls


def test_the_close_policy_spares_a_stranger() -> None:
    """A workflow that took the child's id meanwhile is not the child."""
    family, parent, kid = with_child()
    family.settle()
    kid.turn(complete_workflow())
    kid.begin()
    policies = [call for call in kid.calls if isinstance(call, ApplyClosePolicy)]
    assert not policies
    parent.turn(complete_workflow())
    family.settle()
    assert kid.execution.running


def test_a_child_asked_for_in_the_closing_batch_is_never_started() -> None:
    """9.1: its parent has closed before anything could be sent."""
    family = Family()
    parent = family.member("wf")
    parent.begin()
    parent.turn(start_child(parent_close_policy=ABANDON), complete_workflow())
    assert not parent.calls
    assert not parent.execution.calls
    assert 5 in parent.execution.children


@pytest.mark.parametrize("policy", [TERMINATE, REQUEST_CANCEL, ABANDON])
@pytest.mark.parametrize("crash", [False, True])
def test_a_child_whose_start_comes_too_late_does_not_live_on(policy: int, crash: bool) -> None:
    """The parent closes while the start is under way: the child that it made is terminated, whatever the policy."""
    family, parent, kid = with_child(parent_close_policy=policy)
    (start,) = parent.calls
    answer = family.ask(start)
    parent.terminate()
    assert parent.calls == [start], "one call about a child at a time"
    if crash:
        parent.die()
    else:
        family.tell(start, answer)
    family.settle()
    assert kid.kinds() == ["STARTED", "TERMINATED"]
    assert parent.execution.children[5].settled
    assert not kid.execution.calls


def test_start_and_end_of_a_child_in_one_buffer() -> None:
    """0.3: the end comes last and names the id that the start got in the same flush."""
    family, parent, kid = with_child()
    parent.signal()
    parent.take()
    family.settle()
    kid.turn(complete_workflow())
    family.settle()
    assert not parent.execution.children
    assert len(parent.execution.buffered) == 2
    parent.complete(start_timer("t", 5))
    assert parent.kinds()[-4:] == ["TIMER_STARTED", "CHILD_STARTED", "CHILD_COMPLETED", "TASK_SCHEDULED"]
    started, ended = parent.events[-3:-1]
    assert ended.child_workflow_execution_completed_event_attributes.started_event_id == started.event_id


def test_many_children_have_rows_of_their_own() -> None:
    """DESIGN 1.4: a step about one of many children writes its row only."""
    family = Family()
    parent = family.member("wf")
    parent.begin()
    parent.turn(*[start_child(f"kid{n}") for n in range(40)])
    assert parent.shelf.rows_written == 40
    calls = list(parent.calls)
    family.tell(calls[0], family.ask(calls[0]))
    assert parent.shelf.rows_written == 1
    family.settle()
    parent.die()
    family.settle()
    parent.turn(complete_workflow())
    family.settle()
    for n in range(40):
        assert family.member(f"kid{n}").kinds()[-1] == "TERMINATED"


def test_pending_children_are_limited() -> None:
    """PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED: the workflow task fails, the workflow lives."""
    limits = Limits()
    limits.pending_children = 1
    family = Family(limits)
    parent = family.member("wf")
    parent.begin()
    parent.take()
    text = parent.rejected(start_child("a"), start_child("b"))
    assert text == (
        "PendingChildWorkflowsLimitExceeded: the number of pending child workflow executions, 1, has reached the "
        "per-workflow limit of 1"
    )
    assert not parent.execution.children


# -- signals and cancel requests ---------------------------------------------------------------------------------------


def strangers() -> tuple[Family, Relative, Relative]:
    """Two workflows that have nothing to do with each other."""
    family = Family()
    for workflow_id in ("wf", "other"):
        family.member(workflow_id).begin()
    return family, family.member("wf"), family.member("other")


def test_a_signal_to_another_workflow() -> None:
    """9.3: the receiver sees who sent it, the sender that it arrived."""
    family, sender, other = strangers()
    sender.turn(signal_external())
    family.settle()
    signaled = other.events[-1].workflow_execution_signaled_event_attributes
    assert signaled.identity == "history-service"
    assert signaled.external_workflow_execution.workflow_id == "wf"
    assert sender.kinds()[-2:] == ["EXTERNAL_SIGNALED", "TASK_SCHEDULED"]
    assert not sender.execution.external_signals


@pytest.mark.parametrize("end", [complete_workflow, continue_as_new])
def test_a_repeated_signal_is_known_again_by_the_whole_chain(end: object) -> None:
    """DESIGN 1.2: its answer was lost while the receiver closed or went on. Exactly one effect, one success."""
    family, sender, other = strangers()
    sender.turn(signal_external())
    family.ask(sender.calls[0])
    family.now += 2 * SECOND
    assert callable(end)
    other.turn(end())
    other.die()
    sender.die()
    family.settle()
    kinds = [kind for letter in "AB"[: len(other.runs)] for kind in other.kinds(letter)]
    assert kinds.count("SIGNALED") == 1
    assert sender.kinds()[-2:] == ["EXTERNAL_SIGNALED", "TASK_SCHEDULED"]


def test_a_repeated_cancel_request_does_not_reach_the_next_run() -> None:
    """The same for cancel requests."""
    family, sender, other = strangers()
    sender.turn(cancel_external())
    family.ask(sender.calls[0])
    family.now += 2 * SECOND
    other.turn(continue_as_new())
    sender.die()
    family.settle()
    assert other.kinds("A").count("CANCEL_REQUESTED") == 1
    assert not other.execution.cancel_requested
    assert sender.kinds()[-2:] == ["EXTERNAL_CANCEL_REQUESTED", "TASK_SCHEDULED"]


def test_a_settled_request_is_forgotten() -> None:
    """Once the sender has its answer the receiver's chain drops the request id, with its next write."""
    family, sender, other = strangers()
    sender.turn(signal_external())
    (call,) = sender.calls
    family.carry(call)
    (name,) = [name for name, run_id in other.shelf.requests.items() if run_id and name.startswith("external/")]
    told = outbound.settled(call, family.event_of(call))
    assert told is not None
    other.apply(told[1])
    assert not other.stored
    assert other.shelf.requests[name]
    other.turn()
    assert not other.shelf.requests[name]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (signal_external("nobody"), "SIGNAL_EXTERNAL_FAILED"),
        (signal_external("wf"), "SIGNAL_EXTERNAL_FAILED"),
        (signal_external("other", child_only=True), "SIGNAL_EXTERNAL_FAILED"),
        (cancel_external("nobody"), "REQUEST_CANCEL_EXTERNAL_FAILED"),
        (cancel_external("wf"), "REQUEST_CANCEL_EXTERNAL_FAILED"),
        (cancel_external("other", child_only=True), "REQUEST_CANCEL_EXTERNAL_FAILED"),
    ],
)
def test_what_cannot_be_delivered_is_told(wanted: object, told: str) -> None:
    """9.3: nobody of that id, the sender itself, somebody who is not its child."""
    family, sender, other = strangers()
    assert hasattr(wanted, "command_type")
    sender.turn(wanted)  # type: ignore[arg-type]  # a command
    family.settle()
    assert sender.kinds()[-2:] == [told, "TASK_SCHEDULED"]
    assert "SIGNALED" not in other.kinds()
    assert "CANCEL_REQUESTED" not in other.kinds()


def test_a_closed_sender_sends_nothing_more() -> None:
    """9.3: a signal that waits when its sender closes is dropped."""
    _family, sender, other = strangers()
    sender.turn(signal_external(), complete_workflow())
    assert not sender.calls
    assert not sender.execution.calls
    assert "SIGNALED" not in other.kinds()


def test_a_child_takes_what_only_a_child_may() -> None:
    """child_workflow_only reaches the child of this very run."""
    family, parent, kid = with_child()
    family.settle()
    parent.turn(signal_external("kid", child_only=True), cancel_external("kid", child_only=True))
    family.settle()
    assert {"SIGNALED", "CANCEL_REQUESTED"} <= set(kid.kinds())


def test_starting_and_cancelling_a_child_in_one_batch_is_refused() -> None:
    """4.7: the worker can see that the child does not run yet."""
    family = Family()
    parent = family.member("wf")
    parent.begin()
    parent.take()
    assert "not allowed in same workflow task" in parent.rejected(start_child(), cancel_external("kid"))


def test_an_answer_that_nobody_waits_for_is_ignored() -> None:
    """Answers may come twice, and after the run has closed."""
    family, sender, _ = strangers()
    sender.turn(signal_external())
    (call,) = sender.calls
    answer = family.ask(call)
    family.tell(call, answer)
    before = sender.kinds()
    family.tell(call, answer)
    assert sender.kinds() == before
    sender.turn(complete_workflow())
    family.tell(call, answer)
    with pytest.raises(NotFound):
        family.member("absent").apply(answer)  # type: ignore[arg-type]  # an input
