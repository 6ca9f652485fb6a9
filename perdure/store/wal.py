"""Checkpoints of SQLite's write-ahead log, by us: in a thread of their own, when enough bytes have gathered.

Left to SQLite they run inside a COMMIT and stall it for as long as a second (DESIGN 5). How much has gathered is read
from the shared wal-index, whose header is part of SQLite's documented file format (walformat.html: mxFrame at byte 16);
no SQL runs for it. That file must stay open until the last connection is closed: closing any descriptor of it would
drop the locks that SQLite holds.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import struct
from collections.abc import Callable
from typing import final

from perdure.store.thread import CallThread

LAPS = 4
"""How many times the bound the log may hold before commits wait for it to be emptied."""

_FRAMES = struct.Struct("=I")
_FRAMES_OFFSET = 16
_FRAME_HEADER_BYTES = 24


@final
class Checkpointer:
    """Moves the log into the database file each time another `bytes_max` has gathered.

    Under steady writes a checkpoint never ends level with the log, so the log would never begin anew and grow for ever.
    Past `LAPS` times the bound a second, short one therefore runs while the store's write lock is held: then everything
    is in the database file, and the next transaction writes at the log's start.
    """

    __slots__ = (
        "_bytes_max",
        "_connect",
        "_connection",
        "_done_frames",
        "_fd",
        "_frame_bytes",
        "_task",
        "_thread",
        "_write_lock",
        "runs",
    )

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        path: str,
        page_bytes: int,
        bytes_max: int,
        write_lock: asyncio.Lock,
    ) -> None:
        self._connect = connect
        self._write_lock = write_lock
        self._connection: sqlite3.Connection | None = None
        self._thread = CallThread("perdure-checkpoint")
        self._bytes_max = bytes_max
        self._frame_bytes = page_bytes + _FRAME_HEADER_BYTES
        self._fd = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        self._done_frames = 0
        self._task: asyncio.Task[None] | None = None
        self.runs = 0

    def log_frames(self) -> int:
        """Frames in the log, from its start to its end."""
        raw = os.pread(self._fd, _FRAMES.size, _FRAMES_OFFSET)
        frames: int = _FRAMES.unpack(raw)[0] if len(raw) == _FRAMES.size else 0
        return frames

    def after_commit(self) -> None:
        """Starts a checkpoint when one is needed and none runs. Costs one `pread`."""
        if self._task is not None:
            return
        frames = self.log_frames()
        if frames < self._done_frames:
            self._done_frames = 0  # a writer has started the log anew
        if (frames - self._done_frames) * self._frame_bytes >= self._bytes_max:
            level = frames * self._frame_bytes >= LAPS * self._bytes_max
            self._task = asyncio.get_running_loop().create_task(self._checkpoint(level))

    async def _checkpoint(self, level: bool) -> None:
        try:
            self._done_frames = await self._thread.run(self._run)
            if level:
                async with self._write_lock:
                    self._done_frames = await self._thread.run(self._run)
        except sqlite3.Error:
            # The log is whole without it; the next commit asks again. A disk that is broken shows at that commit.
            self._done_frames = 0
        finally:
            self._task = None
            self.runs += 1

    def _run(self) -> int:
        """In the thread: the number of frames that are in the database file now. Passive.

        It neither waits nor makes others wait.
        """
        if self._connection is None:
            self._connection = self._connect()
        _busy, _log, done = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return max(int(done), 0)

    async def close(self) -> None:
        """Waits for the checkpoint that runs and closes its connection.

        The last connection's close moves the rest of the log.
        """
        if self._task is not None:
            await asyncio.wait((self._task,))
        await self._thread.stop()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def release(self) -> None:
        """Closes the wal-index; only after all connections are closed."""
        os.close(self._fd)
