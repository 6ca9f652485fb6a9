"""To which event of a run's history a batch reset goes (semantics 7.4, 17.1): the caller names a workflow task, not it.

Reads history; changes nothing.
"""

from __future__ import annotations

from perdure.api import batch, common, enums
from perdure.api.history import History
from perdure.errors import InvalidArgument
from perdure.frontend.histories import PAGE_FRAGMENTS_MAX, read_page, read_page_reverse
from perdure.frontend.services import Services
from perdure.machines.workflow.execution import Execution


async def find(services: Services, execution: Execution, operation: batch.BatchOperationReset) -> tuple[str, int]:
    """The run and the event. Raises InvalidArgument when the run has no such point."""
    run_id = execution.info.run_id
    if not operation.HasField("options"):
        if operation.reset_type == enums.RESET_TYPE_FIRST_WORKFLOW_TASK:
            return run_id, await _first(services, execution)
        return run_id, await _last(services, execution)
    target = operation.options.WhichOneof("target")
    if target == "first_workflow_task":
        return run_id, await _first(services, execution)
    if target == "last_workflow_task":
        return run_id, await _last(services, execution)
    if target == "workflow_task_id":
        return run_id, operation.options.workflow_task_id
    return _of_build(services, execution, operation.options)


async def _first(services: Services, execution: Execution) -> int:
    """The first completed workflow task; before it is completed, the event after the first scheduled one."""
    scheduled = 0
    position = 1
    while position < execution.next_event_id:
        page = await read_page(services, execution.branches, position, execution.next_event_id, PAGE_FRAGMENTS_MAX)
        for event in History.FromString(page.body).events:
            if event.event_type == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                return event.event_id
            if event.event_type == enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED and not scheduled:
                scheduled = event.event_id
        position = page.next_event_id
    return _after(scheduled)


async def _last(services: Services, execution: Execution) -> int:
    """The last completed workflow task; without any, the event after the first scheduled one."""
    scheduled = 0
    last = execution.next_event_id - 1
    while last > 0:
        page = await read_page_reverse(services, execution.branches, last, PAGE_FRAGMENTS_MAX)
        for event in History.FromString(page.body).events:
            if event.event_type == enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                return event.event_id
            if event.event_type == enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
                scheduled = event.event_id
        last = page.next_event_id - 1
    return _after(scheduled)


def _after(scheduled: int) -> int:
    if not scheduled:
        raise InvalidArgument("unable to find any scheduled or completed task")
    return scheduled + 1


def _of_build(services: Services, execution: Execution, options: common.ResetOptions) -> tuple[str, int]:
    """The first workflow task that a build completed in this chain of runs."""
    build_id = options.build_id
    for point in execution.reset_points:
        if point.build_id != build_id:
            continue
        if not point.resettable:
            raise InvalidArgument(f"Reset point for {build_id} is not resettable")
        if point.expire_time and point.expire_time < services.clock.now_ns():
            raise InvalidArgument(f"Reset point for {build_id} is expired")
        if point.run_id != execution.info.run_id and options.current_run_only:
            raise InvalidArgument(f"Reset point for {build_id} points to previous run and CurrentRunOnly is set")
        return point.run_id, point.completed_event_id
    raise InvalidArgument(f"Can't find reset point for {build_id}")
