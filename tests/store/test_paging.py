"""Walking a list page by page while executions start, close and go: nothing that stays in its place is missed or seen
twice, on every store.
"""

from __future__ import annotations

import random

import pytest

from perdure.ids import Kind
from perdure.store.api import ChainWrite, Fence, Reclaim, Store
from perdure.visibility import attributes
from perdure.visibility.record import VisibilityRecord, order_key
from perdure.visibility.resolve import compile_list
from tests.store.conftest import Medium
from tests.store.rows import NAMESPACE, key, record, run_id

RUNS = 60
FILTERS = (
    "",
    "ExecutionStatus IN ('Running', 'Completed')",
    "WorkflowType = 'A'",
    "CK = 'x'",
    "CK STARTS_WITH 'x' OR WorkflowType = 'B'",
    "WorkflowId STARTS_WITH 'w1'",
    "StartTime >= '1970-01-01T00:00:00.000001010Z'",
)


class Life:
    """Executions that start, close and are removed; `records` is what is stored."""

    def __init__(self, store: Store, fence: Fence, seed: int) -> None:
        self.store = store
        self.fence = fence
        self.random = random.Random(seed)
        self.records: dict[int, VisibilityRecord] = {}
        self.time = 10_000

    async def change(self) -> int:
        """One execution starts, closes, or goes; which one."""
        self.time += self.random.randrange(2)
        number = self.random.randrange(RUNS)
        before = self.records.get(number)
        name = f"w{number}"
        if before is None or before.close_time is None:
            closed = None if before is None else self.time
            kind = "A" if number % 2 else "B"
            keywords = {"CK": "x" if number % 3 else "xy"}
            shown = record(name, number, 1, 1 if closed is None else 2, closed, workflow_type=kind, keywords=keywords)
            self.records[number] = shown
            await self.store.commit(self.fence, [ChainWrite(key(name), visibility=(shown,))])
        else:
            del self.records[number]
            await self.store.commit(self.fence, [ChainWrite(key(name), reclaim=(Reclaim(run_id(number), ()),))])
        return number


@pytest.mark.parametrize("text", FILTERS)
async def test_pages_miss_nothing_that_stays(medium: Medium, seed: int, text: str) -> None:
    """Between two pages anything may happen; what nothing happened to is seen once, in order."""
    async with medium.opened() as (store, fence):
        life = Life(store, fence, seed)
        for _ in range(2 * RUNS):
            await life.change()
        where = compile_list(text, {"CK": attributes.KEYWORD})
        for page_size in (1, 7):
            expected = {one.run_id for one in life.records.values()}
            touched: set[str] = set()
            seen: list[VisibilityRecord] = []
            token = b""
            while True:
                page = await store.list_visibility(NAMESPACE, Kind.WORKFLOW, where, page_size, token)
                seen += page.records
                token = page.next_page_token
                if not token:
                    break
                for _ in range(life.random.randrange(3)):
                    touched.add(record("", await life.change()).run_id)
            walked = [one for one in seen if one.run_id not in touched]
            assert [order_key(one) for one in walked] == sorted({order_key(one) for one in walked})
            whole = await store.list_visibility(NAMESPACE, Kind.WORKFLOW, where, 1000, b"")
            stayed = {one.run_id for one in whole.records if one.run_id in expected - touched}
            assert {one.run_id for one in walked} == stayed
