"""The archive in files: `file:///absolute/folder`, below one of the folders that the operator has allowed.

    <folder>/<namespace id>/history/<2 characters>/<name of the run>.history    its serialized `History`
    <folder>/<namespace id>/closed/<days since 1970>/<close time, ns>_<name>.json    its `WorkflowExecutionInfo` in JSON

Histories stay the bytes they were: nothing that an event may hold is lost on the way.
A file appears whole or not at all: it is written beside its place, synced and renamed. No part of a name comes from a
caller: names of runs are digests, and a folder is followed only as far as it stays below its allowed root when links
are resolved. Work on files runs in one thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar, final
from urllib.parse import unquote, urlsplit

from perdure.api import workflow
from perdure.api.json_read import from_json
from perdure.api.json_write import to_json
from perdure.api.times import timestamp_ns
from perdure.archival.api import ArchivedRun, ArchiveError, BadUri, Matches, Place, Window
from perdure.clock import DAY

FILE_BYTES_MAX: Final = 1 << 30
"""More than any file that was written here."""
_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_RECORD: Final = re.compile(r"([0-9]+)_[0-9a-f]+\.json")
_DAY: Final = re.compile(r"[0-9]+")

T = TypeVar("T")


@final
class FileProvider:
    """Archives in files below `roots()`, absolute folders; none means that no URI is good."""

    __slots__ = ("_roots", "_thread")

    def __init__(self, roots: Callable[[], tuple[str, ...]]) -> None:
        self._roots = roots
        self._thread = ThreadPoolExecutor(1, "perdure-archive")

    def close(self) -> None:
        """Finishes what is being written."""
        self._thread.shutdown(wait=True)

    def check(self, uri: str) -> None:
        self._folder(uri)

    async def keep_history(self, uri: str, run: ArchivedRun, body: bytes) -> None:
        await self._run(lambda: _write(self._history_path(uri, run), body))

    async def history(self, uri: str, run: ArchivedRun) -> bytes | None:
        return await self._run(lambda: _read(self._history_path(uri, run)))

    async def keep_record(self, uri: str, run: ArchivedRun, info: workflow.WorkflowExecutionInfo) -> None:
        def write() -> None:
            closed = timestamp_ns(info.close_time)
            folder = self._folder(uri) / run.namespace_id / "closed" / str(closed // DAY)
            _write(folder / f"{closed}_{_name(run)}.json", to_json(info, shorthand=False))

        await self._run(write)

    async def records(
        self, uri: str, namespace_id: str, matches: Matches, window: Window, limit: int, after: Place | None
    ) -> list[workflow.WorkflowExecutionInfo]:
        def read() -> list[workflow.WorkflowExecutionInfo]:
            found: list[workflow.WorkflowExecutionInfo] = []
            last = 0
            for closed, path in _closed(self._folder(uri) / namespace_id / "closed", window, after):
                if len(found) >= limit and closed != last:
                    break
                last = closed
                body = _read(path)
                if body is None:
                    continue
                info = workflow.WorkflowExecutionInfo()
                from_json(info, body, shorthand=False)
                if matches(info) and (after is None or (closed, info.execution.run_id) < after):
                    found.append(info)
            # Files are named by digests: within one moment the order is made here.
            found.sort(key=lambda info: (timestamp_ns(info.close_time), info.execution.run_id), reverse=True)
            return found[:limit]

        return await self._run(read)

    def _history_path(self, uri: str, run: ArchivedRun) -> Path:
        name = _name(run)
        return self._folder(uri) / run.namespace_id / "history" / name[:2] / f"{name}.history"

    def _folder(self, uri: str) -> Path:
        """The folder of a URI. Raises BadUri for one that is not below a root, now that links are resolved."""
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise BadUri(f"URI is invalid: {error}") from None
        if parts.scheme != "file":
            raise BadUri("URI scheme does not match the archiver")
        if parts.netloc or parts.query or parts.fragment:
            raise BadUri("URI is invalid: file URIs have a path and nothing else")
        path = unquote(parts.path)
        if not path.startswith("/") or "\0" in path:
            raise BadUri("directory path is empty" if not path else "URI is invalid: the path must be absolute")
        folder = Path(os.path.realpath(path))
        roots = [Path(os.path.realpath(root)) for root in self._roots()]
        if not any(folder == root or root in folder.parents for root in roots):
            raise BadUri(f"the path is not below a folder of perdure.archivalFileRoots: {path}")
        try:
            usable = folder.is_dir() or not folder.exists()
        except OSError as error:
            raise BadUri(f"URI is invalid: {error.strerror}") from None
        if not usable:
            raise BadUri("a path to a directory was expected")
        return folder

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        except (OSError, ValueError) as error:
            raise ArchiveError(f"archive: {error}") from error


def _name(run: ArchivedRun) -> str:
    text = f"{run.workflow_id}\0{run.run_id}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _FILE_MODE)
    try:
        with open(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes | None:
    """What a file holds, None when there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        return file.read(FILE_BYTES_MAX)


def _closed(folder: Path, window: Window, after: Place | None) -> Iterator[tuple[int, Path]]:
    """Close times and files of records in the window that do not come before the place, last closed first."""
    latest = window.latest if after is None else min(window.latest, after[0])
    days = [int(name) for name in _names(folder) if _DAY.fullmatch(name)]
    for day in sorted(days, reverse=True):
        if not window.earliest // DAY <= day <= latest // DAY:
            continue
        times = [(int(name[: name.index("_")]), name) for name in _names(folder / str(day)) if _RECORD.fullmatch(name)]
        for closed, name in sorted(times, reverse=True):
            if window.earliest <= closed <= latest:
                yield closed, folder / str(day) / name


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
