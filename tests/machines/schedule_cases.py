"""Records what the real dev server answers about schedules' specs: `python -m tests.machines.schedule_cases TARGET`.

The answers stand in `recorded_schedules.jsonl`, one case a line, and `test_schedule_spec.py` replays them. Each case is
a spec that somebody might write, or one drawn from a seed; the server is asked for its canonical form and its times.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.schedule.v1 import Schedule, ScheduleSpec
from temporalio.api.workflowservice import v1 as rpc

from tests.differential.wire import Connection, RpcFailed

RECORDED = Path(__file__).with_name("recorded_schedules.jsonl")
SEED = 20261127
TIMES_KEPT = 12
"""So many times of a case are stored, and the count of all."""
SECONDS = 20.0
"""Deadline of an RPC: a new schedule answers late on a busy machine."""
Json = dict[str, object]

ZONES = (
    "", "UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana",
    "America/Santiago", "Pacific/Auckland", "Africa/Casablanca", "Asia/Tehran", "Europe/London", "Asia/Beirut",
    "Pacific/Apia", "America/St_Johns",
)  # fmt: skip
DAYS = ("2024-03-30", "2024-02-28", "2025-03-08", "2025-11-01", "2025-10-25", "2024-12-31", "2025-04-05", "2026-06-01")
CRONS = (
    "0 12 * * MON-FRI", "*/7 * * * *", "0 0 29 2 *", "@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually",
    "@midnight", "@every 90m", "@every 14h/3h", "@every 1.5d", "@every 1d2h3m4s", "@every 2.5s", "@every -1h",
    "@every", "@every 5", "@every 5x", "@every 500ms", "@every 1h/1h", "@every 1h/x", "@reboot", "* * * *",
    "30 4 1,15 * 5", "0 0 1 JAN *", "0 0 * * sunday", "0 0 * * 7", "0 0 * * 5-7", "0 0 * * 3-7/2", "0 0 * * 1-7",
    "0 0 * * 0-7", "0 0 * * 7-7", "15 10 * * * 2025", "15 10 * * * 2025-2030/2", "*/20 15 10 * * * 2026",
    "5/15 * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "1-2-3 * * * *",
    "1/2/3 * * * *", "1/ * * * *", "1/x * * * *", "1/0 * * * *", "a * * * *", "5-1 * * * *", ", * * * *",
    "0 0 * ja *", "0 0 * jan-mar *", "0 0 * * m", "0 0 * * mo,we", "0 0 * * T", "0 0 * * th-sa", "? * * * *",
    "0 1 * * * # at one", "  0 1 * * *  ", "TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=Europe/Paris 30 2 * * *",
    "TZ=Nowhere/City 0 0 * * *", "TZ=Asia/Tokyo", "TZ=Asia/Tokyo @daily", "TZ=Asia/Tokyo @every 5h",
    "0 0 L * *", "0 0 1W * *", "0 0 * * 1#1", "* * * * * * * *", "+5 * * * *", "0 0 31 4 *",
)  # fmt: skip


def cases() -> Iterator[Json]:
    """Every case's spec, as JSON."""
    for cron in CRONS:
        yield {"cronString": [cron]}
    yield from _pairs()
    yield from _structures()
    chance = random.Random(SEED)
    for _ in range(130):
        yield _drawn(chance)


def _pairs() -> Iterator[Json]:
    yield {}
    yield {"cronString": ["TZ=Asia/Tokyo 0 9 * * *", "TZ=Asia/Tokyo 0 10 * * *"]}
    yield {"cronString": ["TZ=Asia/Tokyo 0 9 * * *", "0 10 * * *"]}
    yield {"cronString": ["TZ=Asia/Tokyo 0 9 * * *"], "timezoneName": "Asia/Tokyo"}
    yield {"cronString": ["TZ=Asia/Tokyo 0 9 * * *"], "timezoneName": "Asia/Seoul"}
    yield {"cronString": ["0 9 * * *"], "timezoneName": "Asia/Seoul"}
    yield {"cronString": ["0 9 * * *"], "timezoneData": "bm90IGEgem9uZQ=="}
    yield {"cronString": ["0 9 * * *"], "timezoneData": base64.b64encode(_zone_file("Europe/Berlin")).decode()}
    for zone in ("/etc/passwd", "../Europe/Berlin", "Nowhere", "america/new_york", "Local", "EST5EDT"):
        yield {"cronString": ["0 9 * * *"], "timezoneName": zone}
    for interval, phase in (("3600s", "0s"), ("3600s", "900s"), ("0.5s", "0s"), ("10s", "10s"), ("10s", "-1s")):
        yield {"interval": [{"interval": interval, "phase": phase}]}
    yield {"interval": [{"interval": "90.7s", "phase": "10.9s"}]}
    yield {"interval": [{"interval": "86400s"}, {"interval": "61200s", "phase": "17s"}], "jitter": "600s"}
    yield {"interval": [{"interval": "604800s", "phase": "345600s"}], "timezoneName": "Asia/Tokyo"}
    yield {"interval": [{"interval": "60s"}], "startTime": "2025-03-09T01:00:00Z", "endTime": "2025-03-09T01:05:00Z"}
    yield {"interval": [{"interval": "60s"}], "jitter": "-5s"}
    yield {"interval": [{"interval": "60s"}], "jitter": "3600s"}
    yield {"interval": [{"interval": "60s"}], "excludeCalendar": [{"minute": "*/2", "hour": "*"}]}


def _structures() -> Iterator[Json]:
    one = [{"start": 0}]
    full: Json = {"second": one, "minute": one, "hour": [{"start": 9, "end": 17, "step": 4}]}
    day: Json = {"dayOfMonth": [{"start": 1, "end": 31}], "month": [{"start": 1, "end": 12}]}
    week: Json = {"dayOfWeek": [{"start": 0, "end": 6}]}
    yield {"structuredCalendar": [full | day | week]}
    yield {"structuredCalendar": [full | day]}
    yield {"structuredCalendar": [full | day | week | {"year": [{"start": 2026}]}]}
    yield {"structuredCalendar": [full | day | week | {"year": [{"start": 1999}]}]}
    yield {"structuredCalendar": [full | day | week | {"second": [{"start": 60}], "minute": [{"start": 5, "end": 3}]}]}
    yield {"structuredCalendar": [full | day | week | {"hour": [{"start": 1, "end": 2, "step": -1}]}]}
    yield {"structuredCalendar": [full | day | week | {"comment": "x" * 200}]}
    yield {"structuredCalendar": [full | day | week | {"comment": "x" * 201}]}
    yield {"structuredCalendar": [full | day | week], "excludeStructuredCalendar": [full | day | week]}
    yield {"calendar": [{}]}
    yield {"calendar": [{"second": "x", "hour": "99", "year": "1999-2200", "dayOfWeek": "9"}]}
    yield {"calendar": [{"second": "*", "minute": "*", "hour": "*"}], "excludeCalendar": [{"hour": "0-22"}]}
    yield {
        "calendar": [{"second": "*/10", "minute": "*", "hour": "*"}],
        "excludeCalendar": [{"second": "*", "minute": "*", "hour": "*", "dayOfWeek": "sat,sun"}],
    }
    yield {"calendar": [{"hour": "3", "comment": "at three"}], "cronString": ["0 4 * * *"], "jitter": "1800s"}


def _drawn(chance: random.Random) -> Json:
    def field(first: int, last: int) -> str:
        low, high = sorted((chance.randint(first, last), chance.randint(first, last)))
        return chance.choice([str(low), f"{low}-{high}", f"*/{chance.randint(1, last)}", f"{low}/{high or 1}", "*"])

    spec: Json = {"timezoneName": chance.choice(ZONES)}
    calendar = {"minute": field(0, 59), "hour": field(0, 23)}
    if chance.random() < 0.3:
        calendar["dayOfMonth"] = field(1, 31)
    if chance.random() < 0.3:
        calendar["dayOfWeek"] = field(0, 6)
    if chance.random() < 0.2:
        calendar["month"] = field(1, 12)
    if chance.random() < 0.2:
        calendar["second"] = field(0, 59)
    spec["calendar"] = [calendar]
    if chance.random() < 0.3:
        spec["interval"] = [{"interval": f"{chance.randint(60, 100_000)}s"}]
    if chance.random() < 0.3:
        spec["excludeCalendar"] = [{"minute": field(0, 59), "hour": field(0, 23), "second": "*"}]
    if chance.random() < 0.4:
        spec["jitter"] = f"{chance.choice([1, 30, 900, 86_400, 10_000_000])}s"
    return spec


def _zone_file(name: str) -> bytes:
    from importlib.resources import files

    return files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()


def record(target: str) -> None:
    """Ask the server at `target`, and write the file."""
    server = Connection(target)
    described = server.call(rpc.DescribeNamespaceRequest(namespace="default"), rpc.DescribeNamespaceResponse, SECONDS)
    namespace = described.namespace_info.id
    chance = random.Random(SEED)
    lines = []
    for number, spec in enumerate(cases()):
        schedule_id = f"recorded-{number}-{uuid.uuid4().hex[:6]}"
        case: Json = {"spec": spec, "seed": f"{namespace}-{schedule_id}"}
        case.update(_asked(server, schedule_id, spec, chance.choice(DAYS)))
        lines.append(json.dumps(case, separators=(",", ":")))
    RECORDED.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} cases in {RECORDED}")


def _asked(server: Connection, schedule_id: str, spec: Json, day: str) -> Json:
    schedule = Schedule(spec=ParseDict(spec, ScheduleSpec()))
    schedule.state.paused = True
    start = schedule.action.start_workflow
    start.workflow_id, start.workflow_type.name, start.task_queue.name = "w", "w", "q"
    request = rpc.CreateScheduleRequest(
        namespace="default", schedule_id=schedule_id, schedule=schedule, request_id=schedule_id
    )
    try:
        server.call(request, rpc.CreateScheduleResponse, SECONDS)
    except RpcFailed as error:
        return {"error": error.message}
    first, last = Timestamp(), Timestamp()
    first.FromJsonString(f"{day}T00:00:00Z")
    last.FromSeconds(first.seconds + 40 * 86_400)
    which = {"namespace": "default", "schedule_id": schedule_id}
    listing = rpc.ListScheduleMatchingTimesRequest(start_time=first, end_time=last, **which)
    times = server.call(listing, rpc.ListScheduleMatchingTimesResponse, SECONDS).start_time
    described = server.call(rpc.DescribeScheduleRequest(**which), rpc.DescribeScheduleResponse, SECONDS)
    server.call(rpc.DeleteScheduleRequest(**which), rpc.DeleteScheduleResponse, SECONDS)
    moments = [time.ToNanoseconds() // 1_000_000 for time in times]
    return {
        "canonical": MessageToDict(described.schedule.spec),
        "from": first.seconds,
        "to": last.seconds,
        "count": len(moments),
        "first": moments[:1],
        "then": [later - earlier for earlier, later in pairwise(moments[:TIMES_KEPT])],
        "last": moments[-1:],
    }


if __name__ == "__main__":
    record(sys.argv[1])
