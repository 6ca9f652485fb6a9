"""A workflow that is changed by updates, written as a user of the SDK writes it."""

from __future__ import annotations

from temporalio import workflow


@workflow.defn
class Counter:
    """Counts what updates add, until a signal; `again` continues it as new."""

    @workflow.init
    def __init__(self, total: int) -> None:
        self._total = total
        self._released = False
        self._order = ""

    @workflow.run
    async def run(self, total: int) -> int:
        await workflow.wait_condition(lambda: bool(self._order))
        if self._order == "again":
            workflow.continue_as_new(self._total)
        if self._order == "end":
            await workflow.wait_condition(workflow.all_handlers_finished)
        return self._total

    @workflow.update
    async def add(self, number: int) -> int:
        self._total += number
        return self._total

    @add.validator
    def check_add(self, number: int) -> None:
        if number < 0:
            raise ValueError("only upwards")

    @workflow.update(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def add_when_released(self, number: int) -> int:
        await workflow.wait_condition(lambda: self._released)
        self._total += number
        return self._total

    @workflow.signal
    def release(self) -> None:
        self._released = True

    @workflow.signal
    def order(self, word: str) -> None:
        self._order = word

    @workflow.query
    def total(self) -> int:
        return self._total
