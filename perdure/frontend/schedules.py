"""The RPCs of schedules (semantics 13.2, 13.9): requests to inputs of the schedule's machine, states to answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from perdure.api import Message, workflowservice
from perdure.api.times import timestamp_ns, timestamp_of
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument, NotFound, PermissionDenied
from perdure.frontend import schedule_inputs
from perdure.frontend.services import Call, Services
from perdure.frontend.visibility import group_value, page_size
from perdure.ids import ChainKey, Kind
from perdure.machines.schedule import show
from perdure.machines.schedule.inputs import Delete
from perdure.machines.schedule.machine import NOT_FOUND
from perdure.machines.schedule.spec import compiled, next_due
from perdure.machines.schedule.state import Schedule
from perdure.visibility import attributes
from perdure.visibility.conditions import Filter
from perdure.visibility.query import not_supported
from perdure.visibility.schedule_filter import compile_schedules

TIMES_MAX: Final = 1000
"""Times that one ListScheduleMatchingTimes answers."""
STARTS_S: Final = 1.0
"""How long describing a schedule waits for starts under way: who has just triggered one wants to see it."""
LOOKS_AT_ONCE: Final = 5_000
"""Looks at calendars and intervals before other calls have their turn."""
_TOKEN_BYTES: Final = 8


async def create_schedule(
    services: Services, call: Call, request: workflowservice.CreateScheduleRequest
) -> Message | bytes:
    """Creates a schedule, and does what its initial patch says; the same request id again is a success."""
    _allowed(services, call)
    fact = schedule_inputs.create(services, call, request)
    token = await services.engine.submit(_key(call, request.schedule_id), fact)
    assert isinstance(token, int)
    return workflowservice.CreateScheduleResponse(conflict_token=_token(token))


async def describe_schedule(
    services: Services, call: Call, request: workflowservice.DescribeScheduleRequest
) -> Message | bytes:
    """The whole state, as it is after everything that was acknowledged; starts under way are waited for a moment."""
    state = await _state(services, call, request.schedule_id, _settled)
    response = workflowservice.DescribeScheduleResponse(
        schedule=show.definition(state),
        info=show.info(state, services.clock.now_ns()),
        conflict_token=_token(state.token),
    )
    start = response.schedule.action.start_workflow
    for name, payload in start.search_attributes.indexed_fields.items():
        attributes.set_type(payload, name, call.namespace.search_attributes)
    if state.memo:
        response.memo.MergeFromString(state.memo)
    if state.search_attributes:
        response.search_attributes.MergeFromString(state.search_attributes)
    return response


async def update_schedule(
    services: Services, call: Call, request: workflowservice.UpdateScheduleRequest
) -> Message | bytes:
    """Replaces a schedule's definition, if its conflict token is the one that the request names, or it names none."""
    _allowed(services, call)
    fact = schedule_inputs.update(services, call, request)
    await services.engine.submit(_key(call, request.schedule_id), fact)
    return workflowservice.UpdateScheduleResponse()


async def patch_schedule(
    services: Services, call: Call, request: workflowservice.PatchScheduleRequest
) -> Message | bytes:
    """Triggers, backfills, pauses, unpauses."""
    _allowed(services, call)
    fact = schedule_inputs.patch(services, call, request)
    await services.engine.submit(_key(call, request.schedule_id), fact)
    return workflowservice.PatchScheduleResponse()


async def delete_schedule(
    services: Services, call: Call, request: workflowservice.DeleteScheduleRequest
) -> Message | bytes:
    """Removes a schedule; what it started runs on."""
    _allowed(services, call)
    await services.engine.submit(_key(call, request.schedule_id), Delete())
    return workflowservice.DeleteScheduleResponse()


async def list_schedule_matching_times(
    services: Services, call: Call, request: workflowservice.ListScheduleMatchingTimesRequest
) -> Message | bytes:
    """Times with jitter in (start, end]; a thousand at most."""
    state = await _state(services, call, request.schedule_id)
    if not request.HasField("start_time") or not request.HasField("end_time"):
        raise InvalidArgument("missing or invalid query")
    spec = compiled(state.spec)
    after, last = timestamp_ns(request.start_time), timestamp_ns(request.end_time)
    response = workflowservice.ListScheduleMatchingTimesResponse()
    rested = spec.looks
    for _ in range(TIMES_MAX):
        if spec.looks > rested + LOOKS_AT_ONCE:
            # Others are served in between, and a caller who is gone is noticed.
            await asyncio.sleep(0)
            rested = spec.looks
        due = next_due(spec, state.seed, after)
        if due is None or due.actual > last:
            break
        after = due.actual
        response.start_time.append(timestamp_of(after))
    return response


async def list_schedules(
    services: Services, call: Call, request: workflowservice.ListSchedulesRequest
) -> Message | bytes:
    """Schedules that a filter holds for, newest first."""
    found = _filter(services, call, request)
    if found.group_by is not None:
        raise not_supported("'GROUP BY' clause")
    size = page_size(services, call, request.maximum_page_size)
    page = await services.store.list_visibility(
        call.namespace.id, Kind.SCHEDULE, found.where, size, request.next_page_token
    )
    return workflowservice.ListSchedulesResponse(
        schedules=[show.entry(one.workflow_id, one.memo, one.search_attributes) for one in page.records],
        next_page_token=page.next_page_token,
    )


async def count_schedules(
    services: Services, call: Call, request: workflowservice.CountSchedulesRequest
) -> Message | bytes:
    """How many schedules a filter holds for."""
    found = _filter(services, call, request)
    counts = await services.store.count_visibility(call.namespace.id, Kind.SCHEDULE, found.where, found.group_by)
    response = workflowservice.CountSchedulesResponse(count=sum([count for _, count in counts]))
    if found.group_by is not None:
        for value, count in counts:
            response.groups.add(count=count).group_values.append(group_value(value))
    return response


def _allowed(services: Services, call: Call) -> None:
    if not services.config.get(settings.FRONTEND_ENABLE_SCHEDULES, call.namespace.name):
        raise PermissionDenied("Schedules are disabled on this namespace.")


def _filter(services: Services, call: Call, request: Any) -> Filter:
    _allowed(services, call)
    return compile_schedules(request.query, call.namespace.search_attributes)


def _settled(state: Schedule) -> bool:
    return not state.starting


async def _state(
    services: Services, call: Call, schedule_id: str, wanted: Callable[[Schedule], bool] = lambda _: True
) -> Schedule:
    _allowed(services, call)
    state = await services.engine.entities.wait(_key(call, schedule_id), wanted, STARTS_S)
    if state is None:
        raise NotFound(NOT_FOUND)
    assert isinstance(state, Schedule)
    return state


def _key(call: Call, schedule_id: str) -> ChainKey:
    return ChainKey(call.namespace.id, Kind.SCHEDULE, schedule_id)


def _token(number: int) -> bytes:
    return number.to_bytes(_TOKEN_BYTES, "big")
