"""Requests are checked with Temporal's rules and words (semantics 2.1, 7)."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.api import Duration, common, deployment, enums, failure, taskqueue, workflowservice
from perdure.config.values import RetrySettings
from perdure.errors import InvalidArgument, PermissionDenied, Unimplemented
from perdure.frontend import validate

DEFAULTS = RetrySettings()


def _wrong(text: str) -> pytest.RaisesExc[InvalidArgument]:
    return pytest.RaisesExc(InvalidArgument, check=lambda error: error.message == text)


@given(st.uuids())
def test_uuids_are_run_ids(value: uuid.UUID) -> None:
    """Go accepts a UUID plain, in braces, as URN, and without hyphens."""
    text = str(value)
    for form in (text, text.upper(), "{" + text + "}", "urn:uuid:" + text, value.hex):
        assert validate.is_uuid(form)


@pytest.mark.parametrize("text", ["x", "01234567-89ab-cdef-0123-456789abcde", "0" * 31, "{" + "0" * 36 + "}", "é" * 36])
def test_other_texts_are_no_run_ids(text: str) -> None:
    """Anything else is not."""
    assert not validate.is_uuid(text)


def test_execution_needs_workflow_id_and_a_run_id_that_is_a_uuid() -> None:
    """The three complaints about an execution, in order (7.1)."""
    with _wrong("Execution is not set on request."):
        validate.execution(common.WorkflowExecution(), False)
    with _wrong("WorkflowId is not set on request."):
        validate.execution(common.WorkflowExecution(run_id="no"), True)
    with _wrong("Invalid RunId."):
        validate.execution(common.WorkflowExecution(workflow_id="wf", run_id="no"), True)
    validate.execution(common.WorkflowExecution(workflow_id="wf"), True)


def test_lengths_count_bytes() -> None:
    """A name of 500 two-byte characters fits 1,000 bytes, one more does not."""
    assert not validate.too_long("é" * 500, 1000)
    assert validate.too_long("é" * 501, 1000)
    with _wrong("WorkflowId exceeds maximum allowed length (1002/1000)"):
        validate.workflow_id("é" * 501, 1000)


def test_task_queue_defaults_to_normal_and_reserved_names_are_refused() -> None:
    """The kind is filled in; partitions are not for users (2.1.5)."""
    queue = taskqueue.TaskQueue(name="q")
    validate.task_queue(queue, True, 1000)
    assert queue.kind == enums.TASK_QUEUE_KIND_NORMAL
    with _wrong("taskQueue is not set"):
        validate.task_queue(taskqueue.TaskQueue(), False, 1000)
    with _wrong("missing task queue name"):
        validate.task_queue(taskqueue.TaskQueue(), True, 1000)
    with _wrong("task queue name cannot start with reserved prefix /_sys/"):
        validate.task_queue(taskqueue.TaskQueue(name="/_sys/q/1"), True, 1000)
    validate.task_queue(taskqueue.TaskQueue(name="/_sys/q/1"), True, 1000, root_only=False)
    with _wrong("taskQueue length exceeds limit"):
        validate.task_queue(taskqueue.TaskQueue(name="q" * 1001), True, 1000)


def test_only_a_sticky_queue_has_a_normal_one_beside_it() -> None:
    sticky = taskqueue.TaskQueue(name="s", kind=enums.TASK_QUEUE_KIND_STICKY, normal_name="q")
    validate.partition(sticky)
    validate.partition(taskqueue.TaskQueue(name="q"))
    with _wrong("only sticky queues can have normal name. tq: q, normal name: other"):
        validate.partition(taskqueue.TaskQueue(name="q", normal_name="other"))


def test_retry_policy_gets_its_defaults() -> None:
    """1 s, 2.0, 100 times the initial interval, unlimited attempts (2.1.3)."""
    policy = common.RetryPolicy(initial_interval=Duration(seconds=3))
    validate.retry_policy(policy, DEFAULTS)
    assert policy.initial_interval.seconds == 3
    assert policy.backoff_coefficient == 2.0
    assert policy.maximum_interval.seconds == 300
    assert policy.maximum_attempts == 0


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            common.RetryPolicy(initial_interval=Duration(seconds=-1)),
            "invalid InitialInterval set on retry policy: negative duration",
        ),
        (
            common.RetryPolicy(initial_interval=Duration(seconds=1, nanos=-1)),
            "invalid InitialInterval set on retry policy: duration has seconds and nanos with different signs",
        ),
        (
            common.RetryPolicy(backoff_coefficient=0.5),
            "BackoffCoefficient cannot be less than 1 on retry policy.",
        ),
        (
            common.RetryPolicy(initial_interval=Duration(seconds=2), maximum_interval=Duration(seconds=1)),
            "MaximumInterval cannot be less than InitialInterval on retry policy.",
        ),
        (common.RetryPolicy(maximum_attempts=-1), "MaximumAttempts cannot be negative on retry policy."),
        (
            common.RetryPolicy(non_retryable_error_types=["TemporalTimeout:Nap"]),
            "Invalid timeout type value: Nap.",
        ),
        (
            common.RetryPolicy(non_retryable_error_types=["TemporalTimeout:HEARTBEAT"]),
            "Invalid timeout type value: HEARTBEAT.",
        ),
    ],
)
def test_bad_retry_policies(policy: common.RetryPolicy, text: str) -> None:
    """Each rule of a retry policy with its text (2.1.3)."""
    with _wrong(text):
        validate.retry_policy(policy, DEFAULTS)


def test_single_attempt_is_not_judged() -> None:
    """With one attempt the rest of the policy does not matter (2.1.3)."""
    validate.retry_policy(common.RetryPolicy(maximum_attempts=1, backoff_coefficient=0.1), DEFAULTS)


def test_timeout_types_that_exist_may_be_named() -> None:
    """Both spellings of a timeout type are known."""
    names = ["TemporalTimeout:StartToClose", "TemporalTimeout:TIMEOUT_TYPE_HEARTBEAT", "MyError"]
    validate.retry_policy(common.RetryPolicy(non_retryable_error_types=names), DEFAULTS)


def test_timeouts_are_capped_and_not_negative() -> None:
    """Long durations are cut in the request, negative ones refused (2.1.6)."""
    request = workflowservice.StartWorkflowExecutionRequest(workflow_run_timeout=Duration(seconds=10**11))
    validate.workflow_timeouts(request)
    assert request.workflow_run_timeout.seconds == 100 * 365 * 24 * 3600
    request.workflow_task_timeout.seconds = -1
    with _wrong("An invalid WorkflowTaskTimeoutSeconds is set on request. cause: negative duration"):
        validate.workflow_timeouts(request)


def test_start_delay_excludes_cron() -> None:
    """Both at once are refused (2.1.4)."""
    request = workflowservice.StartWorkflowExecutionRequest(
        cron_schedule="* * * * *", workflow_start_delay=Duration(seconds=1)
    )
    with _wrong("CronSchedule and WorkflowStartDelay may not be used together."):
        validate.start_delay(request)
    request.cron_schedule = ""
    assert validate.start_delay(request) == 1_000_000_000


def test_id_policies_are_filled_in() -> None:
    """TERMINATE_IF_RUNNING becomes a conflict policy; unset ones get their defaults (2.1.1)."""
    request = workflowservice.StartWorkflowExecutionRequest(
        workflow_id_reuse_policy=enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    )
    validate.default_id_policies(request, enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
    assert request.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    assert request.workflow_id_reuse_policy == enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    request = workflowservice.StartWorkflowExecutionRequest()
    validate.default_id_policies(request, enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
    assert request.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL


def test_contradicting_id_policies() -> None:
    """Terminating what runs and rejecting duplicates do not go together (2.1.7)."""
    terminate = enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    with pytest.raises(InvalidArgument, match="REJECT_DUPLICATE cannot be used together"):
        validate.id_policies(enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, terminate)
    with pytest.raises(InvalidArgument, match="TERMINATE_IF_RUNNING cannot be used together"):
        validate.id_policies(enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING, terminate)
    validate.id_policies(enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, terminate)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (common.Priority(priority_key=-1), "priority key can't be negative"),
        (common.Priority(fairness_key="k" * 65), "fairness key length exceeds limit"),
        (common.Priority(fairness_weight=-1), "must be greater than zero"),
    ],
)
def test_bad_priorities(message: common.Priority, text: str) -> None:
    """Each rule of a priority with its text (2.1.9)."""
    with _wrong(text):
        validate.priority(message)


def test_links() -> None:
    """Number, size, kind and required fields of links (2.1.10)."""
    good = common.Link(batch_job=common.Link.BatchJob(job_id="job"))
    validate.links([good] * 10, 10, 4000)
    with _wrong("cannot attach more than 10 links per request, got 11"):
        validate.links([good] * 11, 10, 4000)
    with _wrong("unsupported link variant"):
        validate.links([common.Link()], 10, 4000)
    with _wrong("workflow event link must not have an empty namespace field"):
        validate.links([common.Link(workflow_event=common.Link.WorkflowEvent())], 10, 4000)
    with pytest.raises(InvalidArgument, match="link exceeds allowed size of 4000, got"):
        validate.links([common.Link(batch_job=common.Link.BatchJob(job_id="j" * 4001))], 10, 4000)


def test_old_versioning_may_be_switched_off() -> None:
    """A worker that uses build-id versioning is refused where that is off."""
    stamp = common.WorkerVersionCapabilities(build_id="1", use_versioning=True)
    with pytest.raises(PermissionDenied):
        validate.worker_versioning(stamp, None, taskqueue.TaskQueue(), 255, False)
    validate.worker_versioning(stamp, None, taskqueue.TaskQueue(), 255, True)


def test_a_version_of_a_deployment_gets_no_task() -> None:
    """Until deployments are built: tasks have no version. A worker that only names its own is welcome."""
    options = deployment.WorkerDeploymentOptions(deployment_name="d", build_id="1")
    none = common.WorkerVersionCapabilities()
    for mode in (enums.WORKER_VERSIONING_MODE_UNSPECIFIED, enums.WORKER_VERSIONING_MODE_UNVERSIONED):
        options.worker_versioning_mode = mode
        validate.worker_versioning(none, options, taskqueue.TaskQueue(), 255, True)
    options.worker_versioning_mode = enums.WORKER_VERSIONING_MODE_VERSIONED
    with pytest.raises(Unimplemented, match="worker deployments"):
        validate.worker_versioning(none, options, taskqueue.TaskQueue(), 255, True)


def test_activity_failure_is_an_application_failure() -> None:
    """A worker reports an application failure for an activity, with valid delays all the way down (5.3).

    Who names the activity by its id may report any kind.
    """
    with _wrong("Failure must have ApplicationFailureInfo."):
        validate.activity_failure(failure.Failure(message="x"), by_id=False)
    validate.activity_failure(failure.Failure(message="x"), by_id=True)
    info = failure.ApplicationFailureInfo(next_retry_delay=Duration(seconds=1, nanos=-1))
    report = failure.Failure(
        application_failure_info=failure.ApplicationFailureInfo(),
        cause=failure.Failure(application_failure_info=info),
    )
    with pytest.raises(InvalidArgument, match="NextRetryDelay is not a valid duration"):
        validate.activity_failure(report, by_id=True)
