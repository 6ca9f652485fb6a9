"""Which line of a queue a task waits in and a poll asks, where workers are versioned the old ways (semantics 12.6).

A queue has one line for unversioned workers, "", and one for each version set and each build id that rules speak of.
The line of a set is named by its default build id, so that a set and a build id that nobody has declared are treated
alike: tasks of an unknown build id wait for polls of exactly that. A run is placed by the build id of the worker that
completed its last workflow task; one that no worker has seen yet goes where the queue's default lies. Pure.
"""

from __future__ import annotations

from zlib import crc32

from perdure.errors import NewerBuildExists
from perdure.machines import version_rules
from perdure.machines.queue_data import QueueData
from perdure.machines.version_sets import place_of


def versioned(data: QueueData) -> bool:
    """Whether build ids matter to a queue at all."""
    return bool(data.version_sets or data.assignment_rules or data.redirect_rules)


def line_of_task(data: QueueData, build_id: str | None, run_id: str) -> str:
    """The line in which a task waits. `build_id` None: the run is new; "": its worker was unversioned."""
    if build_id == "":
        return ""
    if build_id is not None:
        return _line_of(data, build_id)
    if data.version_sets:
        return data.version_sets[-1].names()[-1]
    return version_rules.redirected(data, _assigned(data, run_id))


def line_of_poll(data: QueueData, build_id: str) -> str:
    """The line that a versioned worker's poll asks. Raises NewerBuildExists for a replaced build id."""
    line = _line_of(data, build_id)
    if line != build_id:
        raise NewerBuildExists(line)
    return line


def _line_of(data: QueueData, build_id: str) -> str:
    place, _ = place_of(data, build_id)
    if place >= 0:
        return data.version_sets[place].names()[-1]
    return version_rules.redirected(data, build_id)


def _assigned(data: QueueData, run_id: str) -> str:
    """What the assignment rules say of a new run; the same each time they are asked."""
    threshold = 100.0 * crc32(run_id.encode()) / 2**32
    for rule in data.assignment_rules:
        if rule.ramp >= version_rules.FULL_RAMP or rule.ramp > threshold:
            return rule.target
    return ""
