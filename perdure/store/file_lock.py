"""An exclusive lock on a file for the life of its holder; the operating system lets go of it however a process ends.

The lock is on the open file description, so a second holder in the same process is refused, too. The file stays:
removing it would let two processes hold locks on two files of one name.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import final

from perdure.store.api import StoreBusy, StoreError


@final
class FileLock:
    """A lock on the file at `path`, which holds the number of the process that took it last."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self) -> None:
        """Takes the lock or raises `StoreBusy` at once."""
        assert self._fd is None, "taken twice"
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from error
        try:
            _lock(fd)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise StoreBusy(f"{self._path} is held by another server (process {holder})") from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Lets go. Idempotent."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, 1 << 20, os.SEEK_SET)  # locks are mandatory there: a byte past the end leaves the number readable
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
