"""What requests may carry beside their point: priorities, notes, links, payloads of every size, what a worker says of
itself.

Exists so that each verb can decorate what it sends in the same ways. It sends nothing itself.
"""

from __future__ import annotations

import random
from typing import Any as Anything

from temporalio.api.common.v1 import Link, MeteringMetadata, Payloads, Priority, WorkerVersionStamp
from temporalio.api.deployment.v1 import Deployment, WorkerDeploymentOptions
from temporalio.api.enums.v1 import EventType, WorkerVersioningMode
from temporalio.api.sdk.v1 import UserMetadata, WorkflowTaskCompletedMetadata

from .. import values
from ..script import NAMESPACE
from .story import Story

HUGE_SHARE = 0.01
"""Share of the payloads that are over the limit."""


def priority(draw: random.Random) -> Priority:
    """A priority, sometimes of zeros, sometimes one that no server takes."""
    if draw.random() < 0.04:
        return draw.choice((Priority(priority_key=-1), Priority(fairness_key="k" * 65), Priority(fairness_weight=-1.0)))
    return Priority(
        priority_key=draw.choice((0, 1, 3, 5)),
        fairness_key=draw.choice(("", "f", "g")),
        fairness_weight=draw.choice((0.0, 0.0, 2.0)),
    )


def note(draw: random.Random) -> UserMetadata:
    """A summary, details, or both."""
    made = UserMetadata()
    kind = draw.choice(("summary", "details", "both"))
    if kind != "details":
        made.summary.CopyFrom(values.payload('"summary"'))
    if kind != "summary":
        made.details.CopyFrom(values.payload('"details"'))
    return made


def links(story: Story, draw: random.Random) -> list[Link]:
    """Links to events, to requests, to jobs; some twice."""
    return [_link(story, draw) for _ in range(draw.choice((1, 1, 2, 3)))]


def _link(story: Story, draw: random.Random) -> Link:
    kind = draw.choice(("job", "event", "request"))
    if kind == "job":
        return Link(batch_job=Link.BatchJob(job_id=f"job-{draw.randint(1, 2)}"))
    event = Link.WorkflowEvent(namespace=NAMESPACE, workflow_id=f"caller-{story.s.nonce}", run_id="run")
    if kind == "event":
        event.event_ref.event_id = draw.randint(1, 2)
        event.event_ref.event_type = EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED
    else:
        event.request_id_ref.request_id = f"request-{draw.randint(1, 2)}"
        event.request_id_ref.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return Link(workflow_event=event)


def content(draw: random.Random, text: str = '"in"') -> Payloads:
    """A payload; once in a while one over the limit."""
    return values.huge() if draw.random() < HUGE_SHARE else values.payloads(text)


def of_start(story: Story, draw: random.Random) -> dict[str, Anything]:
    """What any request that may start a run may say of the run."""
    fields: dict[str, Anything] = {}
    if draw.random() < 0.2:
        fields["priority"] = priority(draw)
    if draw.random() < 0.2:
        fields["user_metadata"] = note(draw)
    if draw.random() < 0.2:
        fields["links"] = links(story, draw)
    if draw.random() < 0.15:
        fields["retry_policy"] = values.retry_policy(0.1, 1, 0, draw.choice((0, 2, 3)), "Fatal")
    if draw.random() < 0.15:
        fields |= {"memo": values.memo(m="2"), "search_attributes": values.attributes(DiffInt="2", DiffBool="true")}
    if draw.random() < 0.15:
        fields |= {"input": content(draw), "header": values.header(h="2")}
    if draw.random() < 0.1:
        fields |= {"workflow_run_timeout": values.seconds(700), "workflow_execution_timeout": values.seconds(900)}
    if draw.random() < 0.05:
        fields["cron_schedule"] = draw.choice(("@every 5h", "@every 1s", "not a schedule"))
    return fields


def of_worker(draw: random.Random) -> dict[str, Anything]:
    """What a worker says of itself with a completion, if anything."""
    kind = draw.choice(("binary", "stamp", "options", "sdk", "meters", "", "", "", "", "", ""))
    build = draw.choice(("one", "two"))
    if kind == "binary":
        return {"binary_checksum": build}
    if kind == "stamp":
        return {"worker_version_stamp": WorkerVersionStamp(build_id=build)}
    if kind == "deployment":
        return {"deployment": Deployment(series_name="series", build_id=build)}
    if kind == "options":
        mode = WorkerVersioningMode.WORKER_VERSIONING_MODE_UNVERSIONED
        return {
            "deployment_options": WorkerDeploymentOptions(
                deployment_name="boats", build_id=build, worker_versioning_mode=mode
            )
        }
    if kind == "sdk":
        return {
            "sdk_metadata": WorkflowTaskCompletedMetadata(
                core_used_flags=[1, 2][: draw.randint(0, 2)],
                lang_used_flags=[3],
                sdk_name=draw.choice(("", "py")),
                sdk_version="1.2",
            )
        }
    if kind == "meters":
        return {"metering_metadata": MeteringMetadata(nonfirst_local_activity_execution_attempts=draw.choice((0, 3)))}
    return {}
