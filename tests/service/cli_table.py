"""The commands of Temporal's CLI that are driven against a server, in order, as one long session.

A row says what is typed and what must come back. Most rows are compared with what the same session gets from the real
server; the others say what of the answer counts. Later rows use what earlier ones made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.service.cli_workflows import NOBODY, QUEUE

Answer = Any
"""A command's JSON, or its text where it prints none."""


@dataclass(frozen=True)
class Row:
    """One command. `words` are typed; {name} stands for something that an earlier row has kept.

    `compared`: the normalised answer equals the real server's. `check` looks at our answer. `keeps` names what later
    rows use, each with the way to it in the answer. `fails`: the command must refuse, with this text in its message.
    `again_s`: asked again until `check` holds, for so many seconds at most. `text`: it knows no JSON.
    """

    words: str
    compared: bool = True
    check: Callable[[Answer], bool] | None = None
    keeps: tuple[tuple[str, Callable[[Answer], str]], ...] = ()
    fails: str = ""
    again_s: float = 0.0
    text: bool = False

    def holds(self, answer: Answer) -> bool:
        """Whether an answer is what is wanted; one of another shape is not."""
        try:
            return self.check is None or self.check(answer)
        except (KeyError, TypeError, IndexError):
            return False

    @property
    def command(self) -> str:
        """The command without its flags, for the count of distinct ones."""
        return re.split(r" -", self.words, maxsplit=1)[0]


def _has(**fields: object) -> Callable[[Answer], bool]:
    return lambda answer: all(answer[name] == value for name, value in fields.items())


def _status(name: str) -> Callable[[Answer], bool]:
    return lambda answer: answer["workflowExecutionInfo"]["status"] == f"WORKFLOW_EXECUTION_STATUS_{name}"


def _completed(answer: Answer) -> bool:
    return str(answer["state"]) == "BATCH_OPERATION_STATE_COMPLETED"


def _job(answer: Answer) -> str:
    return str(answer["batchJobId"])


WITH_START = f"--type Ledger --task-queue {QUEUE} --input 1"


WORKER_KEY = "cli-worker"
"""A worker that the session has announced: an SDK's own heartbeats come when they like."""
LEDGER = f"workflow start --type Ledger --task-queue {QUEUE} --input 1 -w"
ERRAND = f"workflow start --type Errand --task-queue {QUEUE} -w"
IDLE = f"workflow start --type Idle --task-queue {NOBODY} -w"

CLUSTER = (
    Row("operator cluster health"),
    Row("operator cluster system", False, lambda answer: bool(answer["serverVersion"])),
    Row("operator cluster describe", False, lambda answer: bool(answer["clusterId"] and answer["persistenceStore"])),
    Row("operator cluster list", False, lambda answer: answer[0]["clusterName"] == "active"),
    Row("operator cluster remove --name elsewhere", fails="cannot be found in clusters cache"),
    Row("operator cluster upsert --frontend-address 127.0.0.1:1", False, fails="Unable connect to remote cluster"),
)

NAMESPACES = (
    Row("operator namespace create -n cli-ns --retention 48h --description first --email a@b --data k=v"),
    Row("operator namespace create -n cli-ns --retention 48h", fails="already exists"),
    Row("operator namespace update -n cli-ns --description second --retention 72h", False),
    Row("operator namespace describe -n cli-ns", False, lambda a: a["namespaceInfo"]["description"] == "second"),
    Row("operator namespace list", False, lambda a: "cli-ns" in [one["namespaceInfo"]["name"] for one in a]),
    Row("operator namespace delete -n cli-ns --yes", False),
    Row("operator namespace describe -n cli-ns", fails="cli-ns"),
    Row("operator namespace delete -n temporal-system --yes", fails="unable to delete system namespace"),
)

ATTRIBUTES = (
    Row("operator search-attribute create --name CliText --type Text --name CliKeyword --type Keyword"),
    Row("operator search-attribute list", False, lambda a: a["customAttributes"]["CliKeyword"].endswith("KEYWORD")),
    Row("operator search-attribute remove --name CliText --yes"),
)

ENDPOINTS = (
    Row("operator nexus endpoint create --name cli-end --target-namespace default --target-task-queue q"),
    Row("operator nexus endpoint get --name cli-end"),
    Row("operator nexus endpoint list"),
    Row("operator nexus endpoint update --name cli-end --target-url https://example.com", False),
    Row("operator nexus endpoint get --name cli-end", False, lambda a: a["version"] == "2"),
    Row("operator nexus endpoint delete --name cli-end"),
    Row("operator nexus endpoint list"),
)

WORKFLOWS = (
    Row(f"{LEDGER} one --memo 'k=\"v\"' --search-attribute 'CliKeyword=\"x\"' --static-summary sum"),
    Row(f"{LEDGER} one --fail-existing", fails="already"),
    Row("workflow describe -w one", False, _status("RUNNING"), again_s=10),
    Row("workflow query -w one --type balance"),
    Row("workflow signal -w one --name add --input 2"),
    Row("workflow update execute -w one --name put --input 4 --update-id u1"),
    Row("workflow update start -w one --name put --input 8 --update-id u2 --wait-for-stage accepted"),
    Row("workflow update result -w one --update-id u2"),
    Row("workflow update describe -w one --update-id u1"),
    Row("workflow update execute -w one --name nothing", fails="nothing"),
    Row("workflow stack -w one", False, lambda a: "Ledger" in str(a)),
    Row("workflow metadata -w one"),
    Row("workflow list --query \"CliKeyword = 'x'\"", False, lambda a: len(a) == 1, again_s=10),
    Row("workflow count --query \"CliKeyword = 'x'\""),
    Row('workflow list --query "Nothing = 1"', fails="Nothing"),
    Row("workflow list --archived", fails="Cluster is not configured"),
    Row("workflow signal -w one --name close"),
    Row("workflow result -w one"),
    Row("workflow show -w one", False, lambda a: a["events"][-1]["eventType"].endswith("EXECUTION_COMPLETED")),
    Row("workflow trace -w one", False, lambda a: "Ledger" in a, text=True),
    Row("workflow show -w none", fails="none"),
    Row(f"workflow execute --type Double --task-queue {QUEUE} --input 21 -w two"),
    Row(f"workflow signal-with-start --signal-name add --signal-input 5 {WITH_START} -w three"),
    Row(
        "workflow start-update-with-start --update-name put --update-input 1 --update-id s1"
        f" --update-wait-for-stage accepted {WITH_START} -w four --id-conflict-policy UseExisting"
    ),
    Row(
        "workflow execute-update-with-start --update-name put --update-input 2 --update-id s2"
        f" {WITH_START} -w four --id-conflict-policy UseExisting"
    ),
    Row("workflow reset -w one --type FirstWorkflowTask --reason again"),
    Row("workflow reset -w one --event-id 4 --reason again"),
    Row("workflow update-options -w three --versioning-override-behavior auto_upgrade"),
    Row(
        "workflow reset with-workflow-update-options -w three --type LastWorkflowTask --reason again"
        " --versioning-override-behavior auto_upgrade"
    ),
    Row("workflow pause -w four --reason rest"),
    Row("workflow describe -w four", False, _status("PAUSED")),
    Row("workflow unpause -w four --reason work"),
    Row("workflow cancel -w three"),
    Row("workflow terminate -w four --reason enough"),
    Row("workflow terminate -w four --reason enough", fails="completed"),
    Row("workflow delete -w two --yes"),
)

ACTIVITIES = (
    Row(f"{ERRAND} errand"),
    Row("workflow describe -w errand", False, lambda a: len(a.get("pendingActivities", ())) == 2, again_s=10),
    Row("activity pause -w errand -a one --reason rest"),
    Row("activity unpause -w errand -a one"),
    Row("activity reset -w errand -a one"),
    Row("activity update-options -w errand -a one --start-to-close-timeout 7m --retry-maximum-attempts 3"),
    Row('activity complete -w errand -a one --result "\\"done\\""'),
    Row("activity fail -w errand -a two --reason no", fails="invalid activityID"),
    Row("activity complete -w errand -a two --result 2"),
    Row("workflow result -w errand"),
    Row("activity complete -w errand -a one --result 1", fails="workflow execution already completed"),
)

IDLES = "--query \"WorkflowType = 'Idle'\""


def _batch(command: str, flags: str) -> tuple[Row, Row]:
    """A command over all idle executions, and the end of its job."""
    begun = Row(f"{command} {IDLES} {flags} --yes", False, keeps=(("job", _job),))
    return begun, Row("batch describe --job-id {job}", False, _completed, again_s=20)


BATCHES = (
    *[Row(f"{IDLE} batch-{number}") for number in range(3)],
    Row(f"workflow count {IDLES}", False, _has(count="3"), again_s=10),
    *_batch("workflow signal", "--name go --reason why"),
    Row("batch list", False, lambda a: len(a) == 1),
    Row("batch terminate --job-id {job} --reason late", fails="could not find Batch Job"),
    Row("batch describe --job-id none", fails="none"),
    Row(f"workflow signal {IDLES} --name slow --reason why --rps 0.5 --yes", False, keeps=(("job", _job),)),
    Row("batch terminate --job-id {job} --reason enough", False),
    Row("batch describe --job-id {job}", False, lambda a: a["state"] == "BATCH_OPERATION_STATE_FAILED"),
    *_batch("workflow update-options", "--versioning-override-behavior auto_upgrade"),
    *_batch("workflow cancel", "--reason why"),
    *_batch("workflow terminate", "--reason why"),
    Row(f"workflow list {IDLES}", False, lambda a: [one["status"][26:] for one in a] == ["TERMINATED"] * 3, again_s=10),
    *_batch("workflow delete", "--reason why"),
    Row(f"workflow count {IDLES}", False, lambda a: a.get("count", "0") == "0", again_s=4),
)

SPAN = "--start-time 2024-01-01T00:00:00Z --end-time 2024-01-01T03:00:00Z"

SCHEDULES = (
    Row(
        f"schedule create -s plan --interval 1h/5m --type Idle --task-queue {NOBODY} -w planned --input 1 --paused"
        " --notes first"
    ),
    Row(f"schedule create -s plan --interval 1h --type Idle --task-queue {NOBODY} -w planned", fails="already"),
    Row("schedule describe -s plan", False, lambda a: a["schedule"]["state"]["paused"] is True),
    Row("schedule list", False, lambda a: [one["scheduleId"] for one in a] == ["plan"], again_s=10),
    Row(f"schedule list-matching-times -s plan {SPAN}", False),
    Row("schedule toggle -s plan --unpause --reason go"),
    Row("schedule toggle -s plan --pause --reason stop"),
    Row("schedule trigger -s plan"),
    Row(f"schedule backfill -s plan {SPAN} --overlap-policy BufferOne"),
    Row(f"schedule update -s plan --cron '0 12 * * *' --type Idle --task-queue {NOBODY} -w planned --notes second"),
    Row("schedule describe -s plan", False, lambda a: a["schedule"]["state"]["notes"] == "second", again_s=10),
    Row("schedule delete -s plan"),
    Row("schedule describe -s plan", fails="not found"),
    Row("schedule describe -s none", fails="not found"),
)

QUEUES = (
    Row(f"task-queue describe --task-queue {QUEUE}", False, lambda a: bool(a)),
    Row(f"task-queue list-partition --task-queue {QUEUE}", False, lambda a: bool(a)),
    Row(f"task-queue config set --task-queue {QUEUE} --task-queue-type activity --queue-rps-limit 100", False),
    Row(f"task-queue config get --task-queue {QUEUE} --task-queue-type activity", False, lambda a: "100" in str(a)),
)

WORKERS = (
    Row("worker list", False, lambda a: WORKER_KEY in str(a)),
    Row("worker count", False, lambda a: int(a["count"]) >= 1),
    Row(f"worker describe --worker-instance-key {WORKER_KEY}", False, lambda a: QUEUE in str(a)),
    Row("worker describe --worker-instance-key none", fails="none"),
    Row(f"task-queue update-build-ids add-new-default --task-queue {NOBODY} --build-id 1.0"),
    Row(
        f"task-queue update-build-ids add-new-compatible --task-queue {NOBODY} --build-id 1.1"
        " --existing-compatible-build-id 1.0"
    ),
    Row(f"task-queue update-build-ids promote-id-in-set --task-queue {NOBODY} --build-id 1.0"),
    Row(f"task-queue get-build-ids --task-queue {NOBODY}"),
    Row(f"task-queue get-build-id-reachability --task-queue {NOBODY} --build-id 1.0"),
    Row(f"task-queue versioning insert-assignment-rule --task-queue {QUEUE} --build-id 2.0 --yes"),
    Row(f"task-queue versioning get-rules --task-queue {QUEUE}"),
)

LOCAL = (
    Row("env set --env cli --key address --value 127.0.0.1:1 --env-file {folder}/env.yaml"),
    Row("env get --env cli --env-file {folder}/env.yaml", False),
    Row("env list --env-file {folder}/env.yaml", False),
    Row("env delete --env cli --env-file {folder}/env.yaml"),
    Row("config set --profile cli --prop address --value 127.0.0.1:1 --config-file {folder}/config.toml", False),
    Row("config get --profile cli --prop address --config-file {folder}/config.toml", False),
    Row("config list --config-file {folder}/config.toml", False),
    Row("config delete --profile cli --prop address --config-file {folder}/config.toml", False),
)

TABLE = (
    *CLUSTER,
    *NAMESPACES,
    *ATTRIBUTES,
    *ENDPOINTS,
    *WORKFLOWS,
    *ACTIVITIES,
    *BATCHES,
    *SCHEDULES,
    *QUEUES,
    *WORKERS,
    *LOCAL,
)
