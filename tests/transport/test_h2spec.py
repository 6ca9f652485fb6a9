"""Every case of h2spec, where that program is installed (PATH, or H2SPEC names it)."""

from __future__ import annotations

import asyncio
import os
import re
import shutil

import pytest

from perdure.transport.options import ServerOptions
from perdure.transport.server import GrpcServer

H2SPEC = os.environ.get("H2SPEC") or shutil.which("h2spec")


@pytest.mark.slow
@pytest.mark.skipif(H2SPEC is None, reason="h2spec is not installed")
def test_every_case_of_h2spec_passes() -> None:
    """145 cases in its normal mode, 147 in its strict one."""
    assert H2SPEC is not None
    command = H2SPEC

    async def test() -> str:
        server = GrpcServer(lambda call: call.respond(call.message), ServerOptions())
        port = await server.start("127.0.0.1", 0)
        arguments = ("--host", "127.0.0.1", "--port", str(port), "--timeout", "2", "--strict")
        process = await asyncio.create_subprocess_exec(command, *arguments, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        await server.stop(0)
        return output.decode()

    report = asyncio.run(test())
    found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", report)
    assert found is not None, report
    assert found[3] == found[4] == "0", report
