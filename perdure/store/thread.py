"""One thread that runs blocking calls for the event loop, one after the other.

Leaner than an executor: no locks of its own around each item, one wake-up each way. A store gives it a COMMIT, a
checkpoint, or a read that touches many rows; statements of the hot path stay on the loop (DESIGN 5, the GIL convoy). It
must not touch asyncio objects from the thread except through `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, final

from perdure.store.settle import to_the_end

T = TypeVar("T")

_Item = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


@final
class CallThread:
    """Runs calls in order. The thread starts with the first call and ends with `stop`.

    It is a daemon, so it cannot hold up an exit.
    """

    __slots__ = ("_items", "_name", "_thread")

    def __init__(self, name: str) -> None:
        self._name = name
        self._items: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, run in the thread.

        When the caller is cancelled, the call still runs to its end before this returns.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._items.put((loop, future, call))
        return await to_the_end(future)

    async def stop(self) -> None:
        """Ends the thread after the calls that wait. A later call starts a new one."""
        thread = self._thread
        if thread is None:
            return
        await self.run(_nothing)
        self._items.put(None)
        thread.join()
        self._thread = None

    def _serve(self) -> None:
        while (item := self._items.get()) is not None:
            loop, future, call = item
            result: Any = None
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as raised:  # noqa: BLE001 - carried to the caller, whatever it is
                error = raised
            try:
                loop.call_soon_threadsafe(_resolve, future, result, error)
            except RuntimeError:  # the loop was closed under us: nobody waits any more
                return


def _nothing() -> None:
    """Passes through the queue behind everything else."""


def _resolve(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
