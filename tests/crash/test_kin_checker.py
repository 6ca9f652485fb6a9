"""Who checks the checker of families: a lawful family passes, and each planted fault is found under its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure.api import enums
from perdure.api import history as api
from tests.crash.caller import payloads
from tests.crash.kin_checker import Family, Reset, judge
from tests.service.rpc import message

Events = list[api.HistoryEvent]
Runs = dict[str, Events]
TASK = ("WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED")


def _history(*rows: tuple[str, Any]) -> Events:
    events: Events = []
    for number, (kind, attributes) in enumerate(rows, 1):
        fields = {f"{kind.lower()}_event_attributes": attributes}
        event = api.HistoryEvent(
            event_id=number,
            event_type=enums.EventType.Value(f"EVENT_TYPE_{kind}"),
            event_time=message(seconds=1000 + number),
            **fields,
        )
        event.task_id = 100 + number
        events.append(event)
    return events


def _task(first: int) -> list[tuple[str, Any]]:
    """Three events of a workflow task, the first with this id."""
    both = message(scheduled_event_id=first, started_event_id=first + 1)
    return [(TASK[0], message()), (TASK[1], message(scheduled_event_id=first)), (TASK[2], both)]


def _update(update_id: str) -> list[tuple[str, Any]]:
    done = message(meta=message(update_id=update_id), outcome=message(success=payloads(update_id)))
    return [
        ("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", message(protocol_instance_id=update_id)),
        ("WORKFLOW_EXECUTION_UPDATE_COMPLETED", done),
    ]


def _started(run_id: str, before: str = "") -> tuple[str, Any]:
    fields = message(original_execution_run_id=run_id, continued_execution_run_id=before, first_execution_run_id="a")
    return "WORKFLOW_EXECUTION_STARTED", fields


def _lawful() -> tuple[Family, Runs, Events]:
    """A parent of two runs, the second reset, with two updates, and its child."""
    kid = message(workflow_id="wf-kid", run_id="kid")
    first = [
        _started("a"),
        *_task(2),
        ("START_CHILD_WORKFLOW_EXECUTION_INITIATED", message(workflow_task_completed_event_id=4)),
        ("CHILD_WORKFLOW_EXECUTION_STARTED", message(initiated_event_id=5, workflow_execution=kid)),
        *_task(7),
        ("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED", message(workflow_task_completed_event_id=9)),
        ("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED", message(initiated_event_id=10)),
        ("CHILD_WORKFLOW_EXECUTION_COMPLETED", message(initiated_event_id=5, result=payloads("x"))),
        *_task(13),
        *_update("u0"),
        (
            "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
            message(new_execution_run_id="b", workflow_task_completed_event_id=15),
        ),
    ]
    second = [
        _started("b", "a"),
        *_task(2),
        *_update("u1"),
        ("WORKFLOW_EXECUTION_SIGNALED", message(signal_name="finish")),
        *_task(8),
        ("WORKFLOW_EXECUTION_COMPLETED", message(workflow_task_completed_event_id=10)),
    ]
    failed = message(scheduled_event_id=2, started_event_id=3, base_run_id="b", new_run_id="c")
    third = [
        *second[:3],
        ("WORKFLOW_TASK_FAILED", failed),
        ("WORKFLOW_EXECUTION_SIGNALED", message(signal_name="finish")),
        *_task(6),
        ("WORKFLOW_EXECUTION_COMPLETED", message(workflow_task_completed_event_id=8)),
    ]
    parent = message(workflow_id="wf", run_id="a")
    born = message(
        parent_workflow_execution=parent,
        parent_initiated_event_id=5,
        original_execution_run_id="kid",
    )
    child = [
        ("WORKFLOW_EXECUTION_STARTED", born),
        ("WORKFLOW_EXECUTION_SIGNALED", message(input=payloads("x"))),
        *_task(3),
        ("WORKFLOW_EXECUTION_COMPLETED", message(workflow_task_completed_event_id=5, result=payloads("x"))),
    ]
    family = Family("wf")
    family.first_run_id = "a"
    family.updates = {"u0": ("a", "u0"), "u1": ("b", "u1")}
    family.reset = Reset("b", {"c"}, 4)
    runs = {"a": _history(*first), "b": _history(*second), "c": _history(*third)}
    return family, runs, _history(*child)


def test_a_lawful_family_passes() -> None:
    """Nothing is wrong with it."""
    assert judge(*_lawful()) == []


Plant = Callable[[Family, Runs, Events], None]


def _wrong_predecessor(family: Family, runs: Runs, kid: Events) -> None:
    runs["b"][0].workflow_execution_started_event_attributes.continued_execution_run_id = "z"


def _wrong_first(family: Family, runs: Runs, kid: Events) -> None:
    runs["b"][0].workflow_execution_started_event_attributes.first_execution_run_id = "b"


def _child_asked_twice(family: Family, runs: Runs, kid: Events) -> None:
    runs["a"].append(runs["a"][4])


def _child_ends_twice(family: Family, runs: Runs, kid: Events) -> None:
    runs["a"].append(runs["a"][11])


def _start_not_heard(family: Family, runs: Runs, kid: Events) -> None:
    del runs["a"][5]


def _stranger_s_child(family: Family, runs: Runs, kid: Events) -> None:
    kid[0].workflow_execution_started_event_attributes.parent_workflow_execution.run_id = "b"


def _other_child(family: Family, runs: Runs, kid: Events) -> None:
    attributes = runs["a"][5].child_workflow_execution_started_event_attributes
    attributes.workflow_execution.run_id = "another"


def _signal_twice(family: Family, runs: Runs, kid: Events) -> None:
    kid.append(kid[1])


def _other_result(family: Family, runs: Runs, kid: Events) -> None:
    kid[-1].workflow_execution_completed_event_attributes.result.payloads[0].data = b"y"


def _update_lost(family: Family, runs: Runs, kid: Events) -> None:
    del runs["a"][15:17]


def _update_twice(family: Family, runs: Runs, kid: Events) -> None:
    runs["a"] += runs["a"][15:17]


def _other_outcome(family: Family, runs: Runs, kid: Events) -> None:
    family.updates["u0"] = ("a", "another")


def _reset_twice(family: Family, runs: Runs, kid: Events) -> None:
    family.reset = Reset("b", {"c", "d"}, 4)
    runs["d"] = runs["c"]


def _other_past(family: Family, runs: Runs, kid: Events) -> None:
    runs["c"][1].event_time.seconds += 1


def _no_reset(family: Family, runs: Runs, kid: Events) -> None:
    runs["c"][3].workflow_task_failed_event_attributes.base_run_id = "a"


def _never_ends(family: Family, runs: Runs, kid: Events) -> None:
    del runs["c"][-1]


@pytest.mark.parametrize(
    ("finding", "plant"),
    [
        ("B21 run b continues", _wrong_predecessor),
        ("B21 run b names", _wrong_first),
        ("B21 the child was asked for", _child_asked_twice),
        ("B21 the parent saw", _child_ends_twice),
        ("B21 the parent saw", _start_not_heard),
        ("B21 the child names b", _stranger_s_child),
        ("B21 the parent knows", _other_child),
        ("B10, B21 the child got 2", _signal_twice),
        ("B21 the parent got another result", _other_result),
        ("B12 update u0 was told to be accepted", _update_lost),
        ("B12 run a has an update twice", _update_twice),
        ("B12 update u0 was told to end", _other_outcome),
        ("B3 one reset", _reset_twice),
        ("B21 run c has another past", _other_past),
        ("B21 event 4 of run c", _no_reset),
        ("B1 run c did not end", _never_ends),
    ],
)
def test_a_planted_fault_is_found(finding: str, plant: Plant) -> None:
    """One wrong thing in a lawful family is named."""
    family, runs, kid = _lawful()
    plant(family, runs, kid)
    found = judge(family, runs, kid)
    assert any(line.startswith(finding) for line in found), found
