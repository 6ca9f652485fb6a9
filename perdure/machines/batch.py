"""A batch job: one operation on many executions, one after the other (semantics 17.1).

The job holds a page of targets and how far it has come in it. It owes the outside either the next page of its query, or
work on the rest of its page; what comes back moves it on. Work is repeated after a crash, and each operation is
idempotent at its workflow, so none is skipped and each is counted once: progress is what this state says.

A page begins behind the last target of the one before, in the order of lists, so what the job does to executions makes
it neither skip nor repeat any. Executions that start after the job do not belong to it: the caller puts that into the
query.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, final

import msgspec

from perdure.api import enums
from perdure.errors import AlreadyExists, NotFound, WorkflowExecutionAlreadyStarted
from perdure.ids import ChainKey, Kind, uuid_text
from perdure.machines.entity import AlarmRang, Listing, Step
from perdure.machines.env import Env

PAGE_TARGETS_MAX: Final = 256
"""Targets that the row of a job holds; those that a caller names may be more (`EXECUTIONS_MAX`)."""
EXECUTIONS_MAX: Final = 1_000
"""Targets that a caller may name."""
FORMAT: Final = 1

RUNNING: Final[int] = enums.WORKFLOW_EXECUTION_STATUS_RUNNING
COMPLETED: Final[int] = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
FAILED: Final[int] = enums.WORKFLOW_EXECUTION_STATUS_FAILED
STOPPED: Final[int] = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED

Target = tuple[str, str]
"""Workflow id and run id; the latter "" for the current run."""


_FIELDS: Final = (
    "closed",
    "cursor",
    "done",
    "estimate",
    "expires",
    "failed",
    "identity",
    "listed",
    "number",
    "page",
    "reason",
    "request",
    "request_id",
    "started",
    "status",
    "succeeded",
    "type",
)


@final
class Job:
    """The state of a job; times are ns since the epoch, `closed` and `expires` 0 while it runs.

    `request` is the serialized `StartBatchOperationRequest`, `type` an `enums.BatchOperationType` number, `status` an
    `enums.WorkflowExecutionStatus` number. `page` has the targets at hand, of which the first `done` are done, `number`
    counts pages, and `cursor` is where the next one begins; `listed` says that there is none.
    """

    __slots__ = _FIELDS

    def __init__(
        self,
        type: int,
        request: bytes,
        identity: str,
        reason: str,
        started: int,
        status: int = RUNNING,
        closed: int = 0,
        expires: int = 0,
        estimate: int = 0,
        succeeded: int = 0,
        failed: int = 0,
        number: int = 0,
        page: tuple[Target, ...] = (),
        done: int = 0,
        cursor: bytes = b"",
        listed: bool = False,
        request_id: str = "",
    ) -> None:
        self.type = type
        self.request = request
        self.identity = identity
        self.reason = reason
        self.started = started
        self.status = status
        self.closed = closed
        self.expires = expires
        self.estimate = estimate
        self.succeeded = succeeded
        self.failed = failed
        self.number = number
        self.page = page
        self.done = done
        self.cursor = cursor
        self.listed = listed
        self.request_id = request_id

    @property
    def running(self) -> bool:
        return self.status == RUNNING

    @property
    def total(self) -> int:
        """How many operations there are: an estimate while the job runs, exact when it is complete."""
        known = self.succeeded + self.failed
        return known if self.status == COMPLETED else max(self.estimate, known)

    def evolve(self, **changes: Any) -> Job:
        """The state with some fields replaced."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        fields.update(changes)
        return Job(**fields)


# -- facts -------------------------------------------------------------------------------------------------------------


@final
class StartJob:
    """Make a job. Without `targets` it asks for pages of its query."""

    __slots__ = ("identity", "reason", "request", "targets", "type")

    def __init__(self, type: int, request: bytes, identity: str, reason: str, targets: tuple[Target, ...]) -> None:
        self.type = type
        self.request = request
        self.identity = identity
        self.reason = reason
        self.targets = targets


@final
class StopJob:
    """No operation begins any more."""

    __slots__ = ()


@final
class PageFound:
    """The targets of page `number`; `cursor` is where the next one begins, b"" when this is the last.

    `estimate` is how many targets there are in all; the first page brings it.
    """

    __slots__ = ("cursor", "estimate", "number", "targets")

    def __init__(self, number: int, targets: tuple[Target, ...], cursor: bytes, estimate: int | None = None) -> None:
        self.number = number
        self.targets = targets
        self.cursor = cursor
        self.estimate = estimate


@final
class QueryRefused:
    """The query of the job cannot be executed: the job has failed."""

    __slots__ = ()


@final
class Worked:
    """Of page `number`, `count` targets from `first` on are done: `failed` of them failed, `skipped` do not count."""

    __slots__ = ("count", "failed", "first", "number", "skipped")

    def __init__(self, number: int, first: int, count: int, failed: int = 0, skipped: int = 0) -> None:
        self.number = number
        self.first = first
        self.count = count
        self.failed = failed
        self.skipped = skipped


# -- effects -----------------------------------------------------------------------------------------------------------


@final
class FindPage:
    """Owed: page `number` of the job's query, from `cursor` on; answered by `PageFound` or `QueryRefused`."""

    __slots__ = ("job", "number")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.number = job.number + 1

    @property
    def key(self) -> Hashable:
        return ("find", self.number)


@final
class Work:
    """Owed: the operation, on as many of the targets from `first` on as the performer likes; answered by `Worked`."""

    __slots__ = ("first", "job", "number")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.number = job.number
        self.first = job.done

    @property
    def key(self) -> Hashable:
        return ("work", self.number, self.first)


# -- the machine -------------------------------------------------------------------------------------------------------


@final
class BatchMachine:
    """Runs jobs; see the module."""

    kind: Final = Kind.BATCH

    def step(self, key: ChainKey, before: Job | None, fact: object, env: Env) -> Step[Job]:
        if isinstance(fact, StartJob):
            return _start(key, before, fact, env)
        if before is None:
            raise NotFound(f"workflow not found for ID: {key.id}")
        if isinstance(fact, StopJob):
            if not before.running:
                raise NotFound("workflow execution already completed")
            return Step(_closed(before, STOPPED, env))
        if isinstance(fact, AlarmRang):
            return Step(None if before.expires and env.now >= before.expires else before)
        if isinstance(fact, PageFound):
            return Step(_found(before, fact, env))
        if isinstance(fact, Worked):
            return Step(_worked(before, fact, env))
        assert isinstance(fact, QueryRefused), f"a batch job knows no {type(fact).__name__}"
        return Step(_closed(before, FAILED, env) if before.running else before)

    def alarm(self, state: Job) -> int:
        return state.expires

    def owed(self, state: Job) -> Sequence[FindPage | Work]:
        if not state.running:
            return ()
        return (Work(state),) if state.done < len(state.page) else (FindPage(state),)

    def encode(self, state: Job) -> bytes:
        fields = {name: getattr(state, name) for name in _FIELDS}
        return msgspec.msgpack.encode((FORMAT, fields))

    def decode(self, body: bytes) -> Job:
        """Names of fields are never reused; a field that this version does not know is ignored."""
        _, fields = msgspec.msgpack.decode(body)
        known = {name: fields[name] for name in _FIELDS if name in fields}
        known["page"] = tuple([(workflow_id, run_id) for workflow_id, run_id in known["page"]])
        return Job(**known)

    def listing(self, state: Job) -> Listing:
        return Listing(state.status, state.started, state.closed or None, _name(state.type))


def _name(type: int) -> str:
    return str(enums.BatchOperationType.Name(type))  # type: ignore[arg-type]  # wire numbers are plain ints here


def run_id_of(key: ChainKey) -> str:
    """What stands for the run id of a job where the API wants one."""
    return uuid_text(key.digest)


def _start(key: ChainKey, before: Job | None, fact: StartJob, env: Env) -> Step[Job]:
    if before is not None:
        raise _taken(key, before)
    targets = fact.targets
    job = Job(fact.type, fact.request, fact.identity, fact.reason, env.now, page=targets, listed=bool(targets))
    job.estimate = len(targets)
    job.request_id = env.request_id()
    return Step(job)


def _taken(key: ChainKey, job: Job) -> AlreadyExists:
    run_id = run_id_of(key)
    state = "is already running" if job.running else "already finished"
    message = f"Workflow execution {state}. WorkflowId: {key.id}, RunId: {run_id}."
    if not job.running:
        message += " Workflow Id reuse policy: reject duplicate workflow Id."
    return WorkflowExecutionAlreadyStarted(message, job.request_id, run_id, run_id)


def _found(job: Job, fact: PageFound, env: Env) -> Job:
    if not job.running or fact.number != job.number + 1 or job.done < len(job.page):
        return job
    estimate = job.estimate if fact.estimate is None else fact.estimate
    found = job.evolve(
        number=fact.number, page=fact.targets, done=0, cursor=fact.cursor, listed=not fact.cursor, estimate=estimate
    )
    return _moved_on(found, env)


def _worked(job: Job, fact: Worked, env: Env) -> Job:
    """Counts what was done, also when the job was stopped meanwhile."""
    if job.status not in (RUNNING, STOPPED) or fact.number != job.number or fact.first != job.done:
        return job
    done = job.done + fact.count
    assert fact.count > 0 and done <= len(job.page), "no more is done than there is"
    assert fact.failed + fact.skipped <= fact.count, "what does not count was done"
    succeeded = job.succeeded + fact.count - fact.failed - fact.skipped
    after = job.evolve(done=done, succeeded=succeeded, failed=job.failed + fact.failed)
    return _moved_on(after, env) if job.running else after


def _moved_on(job: Job, env: Env) -> Job:
    if job.listed and job.done == len(job.page):
        return _closed(job, COMPLETED, env)
    return job


def _closed(job: Job, status: int, env: Env) -> Job:
    """A closed job needs its targets no more. It is kept as long as a closed workflow is."""
    expires = env.now + env.namespace.retention
    left = job.page if status == STOPPED else ()
    return job.evolve(
        status=status, closed=env.now, expires=expires, page=left, done=job.done if left else 0, cursor=b""
    )
