"""Schedules and batches that would hang, kill or wedge the server: each is answered, and the server serves on."""

from __future__ import annotations

import pytest

from perdure.api import Message, enums
from perdure.api import workflowservice as rpc
from perdure.errors import StatusCode
from tests.hostile.conftest import Run
from tests.machines.test_zone_files import file_of
from tests.service.rpc import Rpc, message, new_id, refusal

ACTION = message(start_workflow=message(workflow_id="w", workflow_type=message(name="W"), task_queue=message(name="q")))
YEAR_9999 = message(seconds=253_402_300_799)


def _create(schedule_id: str, **spec: object) -> rpc.CreateScheduleRequest:
    schedule = message(spec=spec, action=ACTION, state=message(paused=True))
    return rpc.CreateScheduleRequest(
        namespace="default", schedule_id=schedule_id, request_id=new_id(), schedule=schedule
    )


@pytest.mark.parametrize(
    "spec",
    [
        message(timezone_data=file_of("Europe/Berlin")[:-1]),
        message(timezone_data=file_of("Europe/Berlin")[:700]),
        message(timezone_data=b"TZif2" + b"\xff" * 200),
        message(timezone_data=b"\0" * 3_000_000),
        message(timezone_name="../../etc/passwd"),
        message(timezone_name="Europe\0"),
        message(cron_string=["@every " + "1" * 100_000 + "!"]),
        message(cron_string=["@every " + "9" * 5_000 + "h"]),
        message(cron_string=["0 0 * * *"] * 100_000),
    ],
    ids=range(9),
)
def test_specs_that_take_the_server_along_are_refused(run: Run, spec: dict[str, object]) -> None:
    """Two of these held it up for ever: a zone file without its end, and a duration that is none."""

    async def scenario(client: Rpc) -> None:
        error = await refusal(client.call(_create(new_id(), **spec), rpc.CreateScheduleResponse))
        assert error.code is StatusCode.INVALID_ARGUMENT, str(error)

    run(scenario)


def test_times_that_no_clock_of_ours_holds(run: Run) -> None:
    """Trigger and backfill in the year 9999: refused, not half stored."""

    async def scenario(client: Rpc) -> None:
        schedule_id = new_id()
        created = _create(schedule_id, interval=[message(interval=message(seconds=3600))])
        await client.call(created, rpc.CreateScheduleResponse)
        for patch in (
            message(trigger_immediately=message(scheduled_time=YEAR_9999)),
            message(backfill_request=[message(start_time=message(seconds=0), end_time=YEAR_9999)]),
            message(backfill_request=[message(start_time=message(seconds=-62_135_596_800))]),
        ):
            request = rpc.PatchScheduleRequest(namespace="default", schedule_id=schedule_id, patch=patch)
            error = await refusal(client.call(request, rpc.PatchScheduleResponse))
            assert error.code is StatusCode.INVALID_ARGUMENT, str(error)
        listed = rpc.ListScheduleMatchingTimesRequest(
            namespace="default", schedule_id=schedule_id, start_time=message(seconds=-(2**63)), end_time=YEAR_9999
        )
        assert len((await client.call(listed, rpc.ListScheduleMatchingTimesResponse)).start_time) == 1000

    run(scenario)


def test_batches_of_unknown_things(run: Run) -> None:
    """An execution type that nobody knows is the caller's mistake."""

    async def scenario(client: Rpc) -> None:
        request: Message = rpc.StartBatchOperationRequest(
            namespace="default",
            job_id=new_id(),
            reason="r",
            target_executions=[message(business_id="w", type=99)],
            termination_operation=message(),
        )
        error = await refusal(client.call(request, rpc.StartBatchOperationResponse))
        assert error.code is StatusCode.INVALID_ARGUMENT, str(error)
        assert enums.ExecutionType.values()[-1] < 99

    run(scenario)
