"""docs/migrating.md lists the RPCs that are not built: each of them, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from perdure.api import method_table
from perdure.frontend import service

PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"


def test_the_page_lists_every_rpc_that_is_not_built() -> None:
    """Whoever builds one takes its name off the page."""
    built = {*service.HANDLERS, *service.STREAM_HANDLERS}
    missing = {path.rsplit("/", 1)[1] for path in method_table() if path.startswith(service._SERVED)} - {
        path.rsplit("/", 1)[1] for path in built
    }
    section = PAGE.read_text(encoding="utf-8").split("## What is not built yet")[1].split("Beyond RPCs")[0]
    assert set(re.findall(r"`([A-Z]\w+)`", section)) - {"UNIMPLEMENTED"} == missing
