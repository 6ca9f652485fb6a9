"""Who checks the checker: a lawful history passes, and each planted fault is found under its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure.api import enums
from perdure.api import history as api
from tests.crash.caller import payloads
from tests.crash.checker import Acknowledged, audit, check_history
from tests.crash.load import result_of
from tests.service.rpc import message

Events = list[api.HistoryEvent]
SECOND = message(seconds=1)


def _lawful() -> Events:
    """One run with everything that the crash test's workflow does."""
    task = message(scheduled_event_id=2, started_event_id=3)
    later = message(scheduled_event_id=10, started_event_id=11)
    of_first = message(workflow_task_completed_event_id=4)
    rows: list[tuple[str, Any]] = [
        ("WORKFLOW_EXECUTION_STARTED", message()),
        ("WORKFLOW_TASK_SCHEDULED", message()),
        ("WORKFLOW_TASK_STARTED", message(scheduled_event_id=2)),
        ("WORKFLOW_TASK_COMPLETED", task),
        ("ACTIVITY_TASK_SCHEDULED", message(activity_id="first", **of_first)),
        ("TIMER_STARTED", message(timer_id="t", start_to_fire_timeout=SECOND, **of_first)),
        ("WORKFLOW_EXECUTION_SIGNALED", message(input=payloads("s0"))),
        ("ACTIVITY_TASK_STARTED", message(scheduled_event_id=5)),
        ("ACTIVITY_TASK_COMPLETED", message(scheduled_event_id=5, started_event_id=8, result=payloads("r"))),
        ("WORKFLOW_TASK_SCHEDULED", message()),
        ("WORKFLOW_TASK_STARTED", message(scheduled_event_id=10)),
        ("WORKFLOW_TASK_COMPLETED", later),
        ("TIMER_FIRED", message(timer_id="t", started_event_id=6)),
        ("WORKFLOW_EXECUTION_SIGNALED", message(input=payloads("s1"))),
        ("WORKFLOW_TASK_SCHEDULED", message()),
        ("WORKFLOW_TASK_STARTED", message(scheduled_event_id=15)),
        ("WORKFLOW_TASK_COMPLETED", message(scheduled_event_id=15, started_event_id=16)),
        ("WORKFLOW_EXECUTION_COMPLETED", message(workflow_task_completed_event_id=17, result=payloads("r s0 s1"))),
    ]
    events = []
    for number, (kind, attributes) in enumerate(rows, 1):
        fields = {f"{kind.lower()}_event_attributes": attributes}
        event_type = enums.EventType.Value(f"EVENT_TYPE_{kind}")
        time = message(seconds=1000 + number)
        event = api.HistoryEvent(event_id=number, event_type=event_type, event_time=time, **fields)
        event.task_id = 100 + number
        events.append(event)
    return events


def _known() -> Acknowledged:
    known = Acknowledged()
    known.started = True
    known.run_ids = {"run"}
    known.signals = ["s0", "s1"]
    known.activity_results = {"first": "r"}
    known.completions = {3: [enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enums.EVENT_TYPE_TIMER_STARTED], 11: []}
    return known


def _renumber(events: Events) -> None:
    for number, event in enumerate(events, 1):
        event.event_id = event.task_id = number


def _copy_of(events: Events, number: int) -> api.HistoryEvent:
    return api.HistoryEvent.FromString(events[number - 1].SerializeToString())


def _twice(number: int) -> Callable[[Events], None]:
    """The event comes again at the end of the run, before its close."""

    def plant(events: Events) -> None:
        events.insert(14, _copy_of(events, number))
        _renumber(events)

    return plant


def _gone(number: int) -> Callable[[Events], None]:
    def plant(events: Events) -> None:
        del events[number - 1]

    return plant


def _early_timer(events: Events) -> None:
    events[12].event_time.seconds = events[5].event_time.seconds


def _between_commands(events: Events) -> None:
    events[5], events[6] = events[6], events[5]
    _renumber(events)


def _wrong_reference(events: Events) -> None:
    events[8].activity_task_completed_event_attributes.started_event_id = 3


def _never_started(events: Events) -> None:
    events[3].workflow_task_completed_event_attributes.scheduled_event_id = 1


def _after_the_close(events: Events) -> None:
    events.append(_copy_of(events, 7))
    _renumber(events)


def test_a_lawful_history_passes() -> None:
    """Nothing is found in it."""
    events = _lawful()
    assert check_history(events) == []
    assert audit(events, _known(), "r s0 s1") == []


@pytest.mark.parametrize(
    ("invariant", "plant"),
    [
        ("B6 event ids", _gone(7)),
        ("B6 event 19 follows the close", _after_the_close),
        ("B14 a second open workflow task", _twice(2)),
        ("B14 a workflow task ends that was not started", _never_started),
        ("B15 event 7 does not follow its workflow task directly", _between_commands),
        ("B17 activity 5 has more than one end", _twice(9)),
        ("B17 activity 5 starts out of turn", _twice(8)),
        ("B17 a wrong started_event_id", _wrong_reference),
        ("B19 a timer fires early", _early_timer),
        ("B19 a timer ends that was not running", _twice(13)),
    ],
)
def test_a_planted_fault_is_found(invariant: str, plant: Callable[[Events], None]) -> None:
    """In the history alone."""
    events = _lawful()
    plant(events)
    assert any(finding.startswith(invariant) for finding in check_history(events)), check_history(events)


def _signal_lost(known: Acknowledged) -> None:
    known.signals.append("s2")


def _signals_swapped(known: Acknowledged) -> None:
    known.signals.reverse()


def _result_lost(known: Acknowledged) -> None:
    known.activity_results["first"] = "another"


def _two_runs(known: Acknowledged) -> None:
    known.run_ids.add("another")


def _completion_lost(known: Acknowledged) -> None:
    known.completions[99] = []


def _command_lost(known: Acknowledged) -> None:
    known.completions[11] = [enums.EVENT_TYPE_TIMER_STARTED]


@pytest.mark.parametrize(
    ("invariant", "plant"),
    [
        ("B10, B11", _signal_lost),
        ("B10, B11", _signals_swapped),
        ("B17", _result_lost),
        ("B3", _two_runs),
        ("B15 the completion", _completion_lost),
        ("B15 the commands", _command_lost),
    ],
)
def test_a_lost_acknowledgement_is_found(invariant: str, plant: Callable[[Acknowledged], None]) -> None:
    """By comparison with what clients and workers were told."""
    events, known = _lawful(), _known()
    plant(known)
    assert any(finding.startswith(invariant) for finding in audit(events, known, result_of(events)))


def test_a_doubled_signal_is_found() -> None:
    """Under a new event id it is lawful by itself, and still wrong."""
    events = _lawful()
    _twice(7)(events)
    assert any(finding.startswith("B10 a signal came twice") for finding in audit(events, _known(), None))


def test_a_wrong_result_is_found() -> None:
    """The close event must hold what the workflow's code made of its history."""
    assert any(finding.startswith("B1 the result") for finding in audit(_lawful(), _known(), "something else"))
