"""The commands of one workflow task completion while they are applied: what they share, and how one of them says no.

A command function has the shape `def start_timer(batch: Batch, command: command.Command) -> None`. It either
records events on `batch.draft` or raises `CommandRejected`, which fails the workflow task and drops the whole
batch (semantics 4.0).
"""

from __future__ import annotations

from typing import final

from perdure.api import command as commands
from perdure.api import enums, protocol, sdk, workflowservice
from perdure.machines.env import Env
from perdure.machines.workflow.bad_attributes import BadSearchAttributes
from perdure.machines.workflow.draft import RunDraft, Step
from perdure.machines.workflow.execution import Execution


class CommandRejected(Exception):
    """The worker's fault: fail the workflow task with `cause` (an `enums.WorkflowTaskFailedCause` number).

    `terminate` also terminates the workflow, for what no retry can mend (semantics 4.0, TERM).
    """

    def __init__(self, cause: int, message: str, terminate: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.terminate = terminate


@final
class Batch:
    """Shared by the commands of one completion.

    `completed_event_id` is C of semantics 4; `has_buffered` says that events wait which the worker has not seen,
    as of the completion (a cancelled timer may clear it); `force_task` asks for a new workflow task; `eager`
    collects activities by scheduled event id that the worker wants with the answer.
    """

    __slots__ = (
        "_named_ids",
        "_search_attributes",
        "completed_event_id",
        "draft",
        "eager",
        "force_task",
        "has_buffered",
        "index",
        "messages",
        "request",
        "started_children",
        "step",
        "unheeded",
    )

    def __init__(
        self,
        step: Step,
        draft: RunDraft,
        completed_event_id: int,
        request: workflowservice.RespondWorkflowTaskCompletedRequest,
        search_attributes: dict[int, dict[str, bytes] | BadSearchAttributes] | None = None,
        named_ids: dict[int, str] | None = None,
    ) -> None:
        self.step = step
        self.draft = draft
        self.completed_event_id = completed_event_id
        self.request = request
        self.has_buffered: bool = draft.has_buffered
        self.force_task: bool = False
        self.eager: list[int] = []
        self.index: int = 0
        """Which command is being applied."""
        self.started_children: set[str] = set()
        """Workflow ids of the children that this batch starts."""
        self.messages: list[protocol.Message] = list(request.messages)
        """Messages that no command has taken yet, in order."""
        self.unheeded: int = 0
        """Events of this batch that wait for their ids and are nothing to a worker."""
        self._search_attributes = search_attributes or {}
        self._named_ids = named_ids or {}

    def search_attributes(self) -> dict[str, bytes]:
        """The validated search attributes of the current command; b"" removes one."""
        found = self._search_attributes.get(self.index, {})
        if isinstance(found, BadSearchAttributes):
            cause = enums.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES
            raise CommandRejected(cause, found.message, terminate=found.too_large)
        return found

    def bad_search_attributes(self) -> BadSearchAttributes | None:
        """What is wrong with the search attributes of the current command."""
        found = self._search_attributes.get(self.index)
        return found if isinstance(found, BadSearchAttributes) else None

    def namespace_id(self, cause: int, name: str) -> str:
        """The id of the namespace that the current command is about; another than the run's must be allowed."""
        info = self.execution.info
        if not name or name == info.namespace:
            return info.namespace_id
        if not self.env.limits.cross_namespace_commands:
            raise CommandRejected(cause, "cross namespace commands are not allowed")
        return self._named_ids[self.index]

    def endpoint_id(self) -> str:
        """The id of the Nexus endpoint that the current command names, "" when there is none."""
        return self._named_ids.get(self.index, "")

    @property
    def execution(self) -> Execution:
        """The run's draft state."""
        return self.draft.execution

    @property
    def env(self) -> Env:
        """The step's world."""
        return self.draft.env

    def record(self, event_type: int, attributes: object, command: commands.Command) -> int:
        """Record the event of a command, with what the command says of itself for people."""
        metadata: sdk.UserMetadata | None = command.user_metadata if command.HasField("user_metadata") else None
        return self.draft.record(
            event_type, attributes, user_metadata=metadata, group_markers=command.event_group_markers
        )
