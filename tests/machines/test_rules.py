"""Workflow rules: when they look, what they can say, and how their pauses end (server_inventory 4.26)."""

from __future__ import annotations

import pytest

from perdure.api import enums, rules
from perdure.api.times import timestamp_of
from perdure.cluster.rules import compiled
from perdure.errors import InvalidArgument
from perdure.machines.workflow import codec
from perdure.machines.workflow.inputs import Stale
from perdure.machines.workflow.operator_inputs import ActivitySelection, UnpauseActivity
from perdure.machines.workflow.rule import Rule
from tests.machines.builders import (
    SECOND,
    T0,
    Story,
    described,
    retry_policy,
    running_execution,
    schedule_activity,
    started_activity,
    started_fact,
)

A = ActivitySelection(activity_id="a")


def rule(predicate: str, where: str = "", pauses: bool = True, expires: int = 0) -> Rule:
    """A rule as it is stored and compiled."""
    found = rules.WorkflowRule(created_by_identity="maker", description="why")
    found.spec.id = "rule"
    found.spec.visibility_query = where
    found.spec.activity_start.predicate = predicate
    if pauses:
        found.spec.actions.add().activity_pause.SetInParent()
    if expires:
        found.spec.expiration_time.CopyFrom(timestamp_of(expires))
    return compiled(found)


def paused(story: Story) -> bool:
    return story.activity("a").pause is not None


def test_a_rule_holds_back_a_first_start() -> None:
    """The task in matching goes stale, nothing is handed out, and Describe names rule, maker and reason."""
    story = running_execution(schedule_activity("a"))
    story.rules = (rule("ActivityId = 'a'"),)
    task = story.activity_offers()[0]
    story.offers.clear()
    assert isinstance(story.apply(started_fact(task, "r")), Stale)
    assert story.stored
    shown = described(story, "a")
    assert shown.state == enums.PENDING_ACTIVITY_STATE_PAUSED
    assert (shown.pause_info.rule.rule_id, shown.pause_info.rule.identity, shown.pause_info.rule.reason) == (
        "rule",
        "maker",
        "why",
    )
    assert "TemporalPauseInfo" in story.execution.search_attributes

    story.rules = ()
    story.apply(UnpauseActivity("", A, False, False, 0))
    assert story.take_activity().attempt == 1


def test_a_rule_holds_back_the_attempt_after_a_failure() -> None:
    """Also the last one that the retry policy allows: what is paused has not ended."""
    story, target = started_activity(retry=retry_policy(1, 1, 0, 1))
    story.rules = (rule("Attempts = 1 AND ActivityState = 'Started'"),)
    story.fail_activity(target)
    assert paused(story)
    story.wait(100)
    assert not story.activity_offers()
    assert story.activity("a").attempt == 2


def test_a_rule_made_during_the_backoff_holds_back_the_retry() -> None:
    story, target = started_activity(retry=retry_policy(10))
    story.fail_activity(target)
    story.rules = (rule("BackoffInterval >= 10 AND Attempts > 1"),)
    story.wait(9)
    assert not paused(story)
    story.wait(1)
    assert paused(story)
    assert not story.activity_offers()


def test_a_rule_holds_back_what_timed_out() -> None:
    story, _ = started_activity(retry=retry_policy(1), heartbeat=5)
    story.rules = (rule("ActivityType != 'Other'"),)
    story.wait(6)
    assert paused(story)


def test_a_task_that_is_offered_again_is_not_asked_twice() -> None:
    """A retry that is on its way to a worker when the rule is made goes through, as in the reference."""
    story, target = started_activity(retry=retry_policy(1))
    story.fail_activity(target)
    story.wait(1)
    story.rules = (rule("ActivityId = 'a'"),)
    assert story.take_activity().attempt == 2


def test_what_a_rule_did_is_stored() -> None:
    story = running_execution(schedule_activity("a"))
    story.rules = (rule("ActivityId = 'a'"),)
    story.apply(started_fact(story.activity_offers()[0], "r"))
    rows = codec.settle_parts(story.execution, {})
    stored = codec.decode_run(codec.encode_run(story.execution), 1, 0, [row for row in rows if row[2] is not None])  # type: ignore[misc]
    found = stored.activities[story.activity("a").scheduled_event_id].pause
    assert found is not None
    assert found.rule_id == "rule"


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("", True),
        ("WorkflowId = 'wf'", True),
        ("WorkflowId = 'other'", False),
        ("WorkflowType STARTS_WITH 'Ty' OR WorkflowId != 'wf'", None),
        ("ExecutionStatus = 'Running'", True),
        ("ExecutionStatus = 'Completed'", False),
        ("StartTime > '2020-01-01T00:00:00Z'", True),
        ("StartTime BETWEEN '2020-01-01T00:00:00Z' AND '2021-01-01T00:00:00Z'", False),
        ("StartTime NOT BETWEEN '2020-01-01T00:00:00Z' AND '2021-01-01T00:00:00Z'", True),
        ("(WorkflowId = 'wf' AND ExecutionStatus != 'Failed')", True),
    ],
)
def test_rules_choose_executions(where: str, holds: bool | None) -> None:
    story = running_execution(schedule_activity("a"))
    story.rules = (rule("ActivityId STARTS_WITH 'a'", where),)
    story.apply(started_fact(story.activity_offers()[0], "r"))
    if holds is None:
        holds = story.execution.info.workflow_type.startswith("Ty")
    assert paused(story) is holds


@pytest.mark.parametrize(("expires", "holds"), [(T0 - SECOND, False), (T0 + SECOND, True), (0, True)])
def test_an_expired_rule_does_nothing(expires: int, holds: bool) -> None:
    story = running_execution(schedule_activity("a"))
    story.rules = (rule("ActivityId = 'a'", expires=expires),)
    story.apply(started_fact(story.activity_offers()[0], "r"))
    assert paused(story) is holds


def test_a_rule_without_action_does_nothing() -> None:
    story = running_execution(schedule_activity("a"))
    story.rules = (rule("ActivityId = 'a'", pauses=False),)
    story.apply(started_fact(story.activity_offers()[0], "r"))
    assert not paused(story)


@pytest.mark.parametrize(
    "predicate",
    [
        "",
        "ActivityId",
        "ActivityId = 5",
        "ActivityId = ''",
        "ActivityId > 'a'",
        "Attempts = 'many'",
        "Attempts starts_with 1",
        "Nothing = 'a'",
        "WorkflowId = 'wf'",
        "ActivityId IS NULL",
        "NOT ActivityId = 'a'",
        "ActivityId IN ('a', 'b')",
        "StartedTime > 'yesterday'",
        "Attempts BETWEEN 1 AND 2",
        "ActivityId = 'a' ORDER BY ActivityId",
        "ActivityId = 'a' GROUP BY ActivityId",
        "ActivityId = 'a' AND",
    ],
)
def test_a_condition_that_could_never_hold_is_refused(predicate: str) -> None:
    with pytest.raises(InvalidArgument):
        rule(predicate)
