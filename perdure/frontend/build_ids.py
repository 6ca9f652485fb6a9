"""Version sets of build ids and what they still reach: the oldest way to version workers (server_inventory 1.12).

Off unless `frontend.workerVersioningDataAPIs` is on. Judges requests; `machines.version_sets` says what they mean.
"""

from __future__ import annotations

from typing import Final

from perdure.api import Message, enums, taskqueue, workflowservice
from perdure.config import dynamic as settings
from perdure.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from perdure.frontend import validate
from perdure.frontend.services import Call, Services
from perdure.ids import Kind
from perdure.machines import version_sets
from perdure.machines.queue_data import QueueData
from perdure.machines.workflow.reset_points import UNVERSIONED
from perdure.visibility.resolve import compile_list
from perdure.visibility.syntax import quoted

_Update = workflowservice.UpdateWorkerBuildIdCompatibilityRequest

SETS_DISABLED: Final = "Worker versioning v0.1 (Version Set-based, deprecated) is disabled on this namespace."
RULES_DISABLED: Final = "Worker versioning v0.2 (Rules-based, deprecated) is disabled on this namespace."
BUILD_ID_TOO_LONG: Final = "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID."


async def update_worker_build_id_compatibility(services: Services, call: Call, request: _Update) -> Message | bytes:
    """One operation on the version sets of a queue."""
    _check_enabled(services, call, SETS_DISABLED)
    _check_update(services, request)
    check_queue(services, call, request.task_queue)
    get = services.config.get
    name, namespace_id = call.namespace.name, call.namespace.id
    sets_max = get(settings.VERSION_COMPATIBLE_SET_LIMIT_PER_QUEUE, name)
    build_ids_max = get(settings.VERSION_BUILD_ID_LIMIT_PER_QUEUE, name)
    queues_max = get(settings.TASK_QUEUES_PER_BUILD_ID_LIMIT, name)

    def changed(before: QueueData) -> QueueData:
        after = _changed(before, request, services.clock.now_ns())
        version_sets.within_limits(after, sets_max, build_ids_max)
        known = {build_id for one in before.version_sets for build_id in one.names()}
        for build_id in [build_id for one in after.version_sets for build_id in one.names()]:
            if build_id not in known and len(services.task_queues.with_build_id(namespace_id, build_id)) >= queues_max:
                raise FailedPrecondition(
                    f"Exceeded max task queues allowed to be mapped to a single build ID: {queues_max}"
                )
        return after

    await services.task_queues.update(namespace_id, request.task_queue, changed)
    return workflowservice.UpdateWorkerBuildIdCompatibilityResponse()


def _changed(data: QueueData, request: _Update, now_ns: int) -> QueueData:
    operation = request.WhichOneof("operation")
    if operation == "add_new_build_id_in_new_default_set":
        return version_sets.with_new_default_set(data, request.add_new_build_id_in_new_default_set, now_ns)
    if operation == "add_new_compatible_build_id":
        added = request.add_new_compatible_build_id
        return version_sets.with_compatible(
            data, added.new_build_id, added.existing_compatible_build_id, added.make_set_default, now_ns
        )
    if operation == "promote_set_by_build_id":
        return version_sets.with_set_promoted(data, request.promote_set_by_build_id, now_ns)
    if operation == "promote_build_id_within_set":
        return version_sets.with_promoted_in_set(data, request.promote_build_id_within_set, now_ns)
    assert operation == "merge_sets", "the request was checked"
    merged = request.merge_sets
    return version_sets.with_sets_merged(data, merged.primary_set_build_id, merged.secondary_set_build_id, now_ns)


async def get_worker_build_id_compatibility(
    services: Services, call: Call, request: workflowservice.GetWorkerBuildIdCompatibilityRequest
) -> Message | bytes:
    """The version sets of a queue, its default last; `max_sets` of them when that is given."""
    _check_enabled(services, call, SETS_DISABLED)
    check_queue(services, call, request.task_queue)
    sets = services.task_queues.find(call.namespace.id, request.task_queue).version_sets
    if request.max_sets > 0:
        sets = sets[-request.max_sets :]
    return workflowservice.GetWorkerBuildIdCompatibilityResponse(
        major_version_sets=[taskqueue.CompatibleVersionSet(build_ids=one.names()) for one in sets]
    )


async def get_worker_task_reachability(
    services: Services, call: Call, request: workflowservice.GetWorkerTaskReachabilityRequest
) -> Message | bytes:
    """Which workflows could still need a worker of these build ids; "" is the unversioned worker."""
    _check_enabled(services, call, RULES_DISABLED)
    _check_reachability(services, call, request)
    limit = services.config.get(settings.REACHABILITY_TASK_QUEUE_SCAN_LIMIT)
    response = workflowservice.GetWorkerTaskReachabilityResponse()
    for build_id in request.build_ids:
        shown = response.build_id_reachability.add(build_id=build_id)
        queues = list(request.task_queues) or services.task_queues.with_build_id(call.namespace.id, build_id)
        for name in queues[:limit]:
            found = await _reachability(services, call, build_id, name, int(request.reachability))
            shown.task_queue_reachability.add(task_queue=name).reachability.extend(found)  # type: ignore[arg-type]  # wire numbers are plain ints here
        for name in queues[limit:]:
            shown.task_queue_reachability.add(task_queue=name).reachability.append(enums.TASK_REACHABILITY_UNSPECIFIED)
    return response


async def _reachability(services: Services, call: Call, build_id: str, queue: str, asked: int) -> list[int]:
    """By new workflows, then by existing ones as far as they were asked for."""
    sets = services.task_queues.find(call.namespace.id, queue).version_sets
    grace_ns = services.config.get(settings.REACHABILITY_QUERY_SET_DURATION_SINCE_DEFAULT)
    recently = services.clock.now_ns() - grace_ns
    if not build_id:
        default = not sets
        by_new = default or min([one.default_ns for one in sets]) > recently
        builds = f"BuildIds = {quoted(UNVERSIONED)}"
    else:
        found = [place for place, one in enumerate(sets) if one.names()[-1] == build_id]
        if not found:
            return []
        default = found[0] == len(sets) - 1
        by_new = default or sets[found[0]].default_ns > recently
        compatible = ", ".join([quoted(f"versioned:{one}") for one in sets[found[0]].names()])
        builds = f"BuildIds IN ({compatible})"
    if default and asked != enums.TASK_REACHABILITY_CLOSED_WORKFLOWS:
        # Those that no worker has seen yet.
        builds = f"(BuildIds IS NULL OR {builds})"
    reached: list[int] = [enums.TASK_REACHABILITY_NEW_WORKFLOWS] if by_new else []
    if asked == enums.TASK_REACHABILITY_NEW_WORKFLOWS:
        return reached
    status = {
        int(enums.TASK_REACHABILITY_OPEN_WORKFLOWS): " AND ExecutionStatus = 'Running'",
        int(enums.TASK_REACHABILITY_CLOSED_WORKFLOWS): " AND ExecutionStatus != 'Running'",
    }.get(asked, "")
    if await exists(services, call, f"TaskQueue = {quoted(queue)} AND {builds}{status}"):
        reached.append(asked or enums.TASK_REACHABILITY_EXISTING_WORKFLOWS)
    return reached


async def exists(services: Services, call: Call, query: str) -> bool:
    """Whether a filter holds for any workflow of the namespace."""
    where = compile_list(query, call.namespace.search_attributes)
    page = await services.store.list_visibility(call.namespace.id, Kind.WORKFLOW, where, 1, b"")
    return bool(page.records)


def _check_enabled(services: Services, call: Call, text: str) -> None:
    if not services.config.get(settings.WORKER_VERSIONING_DATA_APIS, call.namespace.name):
        raise PermissionDenied(text)


def check_queue(services: Services, call: Call, name: str) -> None:
    """The name of a queue that a request is about."""
    queue = taskqueue.TaskQueue(name=name)
    validate.task_queue(queue, True, services.view(call).limits.id_length)


def _check_update(services: Services, request: _Update) -> None:
    """All faults of a request in one text, as the reference lists them."""
    limit = services.config.get(settings.WORKER_BUILD_ID_SIZE_LIMIT)
    faults: list[str] = []

    def check(build_id: str, field: str) -> None:
        if not build_id:
            faults.append(f"`{field}` to be set")
        elif validate.too_long(build_id, limit):
            faults.append(f" Worker build IDs to be no larger than {limit} characters")

    if not request.task_queue:
        faults.append("`task_queue` to be set")
    operation = request.WhichOneof("operation")
    if operation is None:
        faults.append("an operation to be specified")
    elif operation == "add_new_compatible_build_id":
        added = request.add_new_compatible_build_id
        check(added.new_build_id, "add_new_compatible_version")
        if not added.existing_compatible_build_id:
            faults.append("`existing_compatible_version` to be set")
    elif operation == "add_new_build_id_in_new_default_set":
        check(request.add_new_build_id_in_new_default_set, "add_new_version_id_in_new_default_set")
    elif operation == "promote_set_by_build_id":
        check(request.promote_set_by_build_id, "promote_set_by_version_id")
    elif operation == "promote_build_id_within_set":
        check(request.promote_build_id_within_set, "promote_version_id_within_set")
    if faults:
        raise InvalidArgument(", ".join(["request to update worker build ID compatability requires: ", *faults]))


def _check_reachability(
    services: Services, call: Call, request: workflowservice.GetWorkerTaskReachabilityRequest
) -> None:
    if not request.build_ids:
        raise InvalidArgument("Must query at least one build ID (or empty string for unversioned worker)")
    limit = services.config.get(settings.REACHABILITY_QUERY_BUILD_ID_LIMIT)
    if len(request.build_ids) > limit:
        raise InvalidArgument(f"Too many build ids queried at once, limit: {limit}")
    for build_id in request.build_ids:
        if validate.too_long(build_id, services.config.get(settings.WORKER_BUILD_ID_SIZE_LIMIT)):
            raise InvalidArgument(BUILD_ID_TOO_LONG)
    if "" in request.build_ids and not request.task_queues:
        raise InvalidArgument(
            "Cannot get reachability of an unversioned worker without specifying at least one task queue "
            "(empty build ID is interpereted as unversioned)"
        )
    for name in request.task_queues:
        check_queue(services, call, name)
    if request.reachability not in enums.TaskReachability.values():
        raise InvalidArgument(f"Unsupported reachability type: {int(request.reachability)}")
