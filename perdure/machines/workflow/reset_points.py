"""What a run remembers of the builds that completed its workflow tasks: reset points, and the search attributes that
name them (semantics 1.1, 3.5.3, 16).

A function of history, so only `apply.py` writes it. Nothing here resets anything.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import final

from perdure.api import common, history, workflow
from perdure.api.times import timestamp_ns, timestamp_of
from perdure.machines.json_payloads import compact, keyword_list

RESET_POINTS_MAX = 20
"""The oldest are dropped."""

BUILD_IDS = "BuildIds"
BINARY_CHECKSUMS = "BinaryChecksums"
DEPLOYMENT = "TemporalWorkerDeployment"
UNVERSIONED = "unversioned"
_ASSIGNED = "assigned:"
_PINNED = "pinned:"


@final
class ResetPoint:
    """The first workflow task that a build completed in a run of this chain; `expire_time` 0 while that run is open."""

    __slots__ = (
        "binary_checksum",
        "build_id",
        "completed_event_id",
        "create_time",
        "expire_time",
        "resettable",
        "run_id",
    )

    def __init__(
        self,
        binary_checksum: str,
        build_id: str,
        run_id: str,
        completed_event_id: int,
        create_time: int,
        expire_time: int,
        resettable: bool,
    ) -> None:
        self.binary_checksum = binary_checksum
        self.build_id = build_id
        self.run_id = run_id
        self.completed_event_id = completed_event_id
        self.create_time = create_time
        self.expire_time = expire_time
        self.resettable = resettable

    def expiring(self, when: int) -> ResetPoint:
        """The same point with the time at which its run goes."""
        return ResetPoint(
            self.binary_checksum,
            self.build_id,
            self.run_id,
            self.completed_event_id,
            self.create_time,
            when,
            self.resettable,
        )


def message(point: ResetPoint) -> workflow.ResetPointInfo:
    """A reset point as the wire has it."""
    shown = workflow.ResetPointInfo(
        binary_checksum=point.binary_checksum,
        build_id=point.build_id,
        run_id=point.run_id,
        first_workflow_task_completed_id=point.completed_event_id,
        create_time=timestamp_of(point.create_time),
        resettable=point.resettable,
    )
    if point.expire_time:
        shown.expire_time.CopyFrom(timestamp_of(point.expire_time))
    return shown


def inherited(started: history.WorkflowExecutionStartedEventAttributes, start_time: int) -> tuple[ResetPoint, ...]:
    """The points that a run takes over from the runs before it: those that have not expired."""
    if not started.HasField("prev_auto_reset_points"):
        return ()
    found: list[ResetPoint] = []
    for shown in started.prev_auto_reset_points.points:
        expire_time = timestamp_ns(shown.expire_time) if shown.HasField("expire_time") else 0
        if not expire_time or expire_time >= start_time:
            found.append(
                ResetPoint(
                    shown.binary_checksum,
                    shown.build_id,
                    shown.run_id,
                    shown.first_workflow_task_completed_id,
                    timestamp_ns(shown.create_time),
                    expire_time,
                    shown.resettable,
                )
            )
    return tuple(found)


def known(points: tuple[ResetPoint, ...], binary_checksum: str, build_id: str) -> bool:
    """Whether this build has a point already."""
    return (binary_checksum, build_id) in [(point.binary_checksum, point.build_id) for point in points]


def checksums(points: tuple[ResetPoint, ...]) -> list[str]:
    """The binary checksums that points name, in order."""
    return [point.binary_checksum for point in points if point.binary_checksum]


def build_ids(serialized: bytes | None) -> list[str]:
    """The build ids that a run's search attribute holds; what is no list of texts counts as none."""
    if serialized is None:
        return []
    try:
        found = json.loads(common.Payload.FromString(serialized).data)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


@lru_cache(maxsize=1024)
def build_ids_noted(
    held: bytes | None, mark: str | None, versioned: bool, overridden: bool, bytes_max: int
) -> bytes | None:
    """The run's search attribute of build ids, serialized, once a worker with this mark (None: nobody) has completed a
    workflow task; None when it has none. `held` is the attribute before, and is given back when nothing changes.

    The sentinel of unversioned runs leads, a new build comes last. A run with a versioning override has no sentinel.
    Many runs are of the same few builds, so answers are kept.
    """
    before = build_ids(held)
    after = [] if overridden or versioned else [UNVERSIONED]
    after += [one for one in before if not _is_sentinel(one) and not one.startswith(_PINNED)]
    if mark is not None and mark not in before:
        after.append(mark)
    if after == before:
        return held
    kept = fitting(after, bytes_max)
    return keyword_list(kept) if kept else None


def _is_sentinel(build_id: str) -> bool:
    return build_id == UNVERSIONED or build_id.startswith(_ASSIGNED)


def mark_of(stamp: common.WorkerVersionStamp) -> str:
    """What the search attribute of build ids calls a worker's build."""
    if not stamp.build_id:
        return UNVERSIONED
    return f"versioned:{stamp.build_id}" if stamp.use_versioning else f"{UNVERSIONED}:{stamp.build_id}"


def fitting(values: list[str], bytes_max: int) -> list[str]:
    """The values whose JSON has at most `bytes_max` bytes: the oldest go first, but never the leading sentinel."""
    kept = list(values)
    while kept and len(compact(kept)) > bytes_max:
        if len(kept) > 1 and _is_sentinel(kept[0]):
            del kept[1]
        else:
            del kept[0]
    return kept
