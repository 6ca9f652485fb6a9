"""A sync of the database file ends before each reply.

SIGKILL leaves the page cache alone, so the crash test would pass on a server that never syncs. Here the server runs
under strace, and between the reply to one start and the reply to the next an fsync or fdatasync must have ended.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from perdure.api import workflowservice as rpc
from tests.service.processes import ServerProcess
from tests.service.rpc import Rpc, message, new_id

STRACE = shutil.which("strace")
STARTS = 20
CALLS = "fsync,fdatasync,write,writev,sendto,sendmsg"
TO_CLIENT = re.compile(r"(write|writev|sendto|sendmsg)\(\d+<TCP")
SYNC_ENDED = re.compile(r"(fsync|fdatasync)(\(\d+<[^>]*state\.db[^>]*>\)| resumed>.*\))\s+= 0")


async def _start_some(port: int) -> list[str]:
    """Starts, one after the other; the run ids that the replies hold."""
    run_ids = []
    async with Rpc(port) as client:
        for _ in range(STARTS):
            request = rpc.StartWorkflowExecutionRequest(
                namespace="default",
                workflow_id=new_id(),
                workflow_type=message(name="W"),
                task_queue=message(name="q"),
                request_id=new_id(),
            )
            run_ids.append((await client.call(request, rpc.StartWorkflowExecutionResponse)).run_id)
    return run_ids


@pytest.mark.slow
@pytest.mark.skipif(STRACE is None, reason="strace is not installed: syncs cannot be seen")
def test_a_sync_ends_before_each_reply(tmp_path: Path) -> None:
    """Seen from outside, in the order of system calls of all threads."""
    assert STRACE is not None
    trace = tmp_path / "trace"
    # -D: the server stays our child, and the tracer ends with it.
    tracer = (STRACE, "-D", "-f", "-yy", "-s", "400", "-e", f"trace={CALLS}", "-o", str(trace))
    with ServerProcess(tmp_path / "log", tmp_path / "state.db", prefix=tracer) as server:
        run_ids = asyncio.run(_start_some(server.port))
        server.stop()
    unanswered = iter(run_ids)
    awaited = next(unanswered, None)
    synced, unsynced, seen = False, [], 0
    for line in trace.read_text(errors="replace").splitlines():
        if SYNC_ENDED.search(line):
            synced = True
        elif awaited is not None and TO_CLIENT.search(line) and awaited in line:
            if not synced:
                unsynced.append(awaited)
            synced, seen, awaited = False, seen + 1, next(unanswered, None)
    assert seen == STARTS, "not every reply was found in the trace"
    assert unsynced == []
