"""The archive in files: what is kept comes back, in order, and nothing outside the allowed folders is touched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from perdure.api import common, workflow
from perdure.api.times import timestamp_of
from perdure.archival.api import ArchivedRun, ArchiveError, BadUri, Window
from perdure.archival.files import FileProvider
from perdure.archival.providers import Providers
from perdure.clock import DAY

EVER = Window(0, 2**62)


def _run(root: Path, work: Callable[[FileProvider, str], Coroutine[Any, Any, None]]) -> None:
    files = FileProvider(lambda: (str(root),))
    try:
        asyncio.run(work(files, root.as_uri() + "/archive"))
    finally:
        files.close()


def _info(run: ArchivedRun, closed: int) -> workflow.WorkflowExecutionInfo:
    return workflow.WorkflowExecutionInfo(
        execution=common.WorkflowExecution(workflow_id=run.workflow_id, run_id=run.run_id),
        close_time=timestamp_of(closed),
        memo=common.Memo(fields={"m": common.Payload(data=b"\x00\xff")}),
    )


def test_a_history_comes_back_as_it_was(tmp_path: Path) -> None:
    """Under its namespace, workflow and run only; keeping it again replaces it and leaves nothing beside it."""

    async def work(files: FileProvider, uri: str) -> None:
        run = ArchivedRun("ns", "../w\0", "r")
        assert await files.history(uri, run) is None
        await files.keep_history(uri, run, b"first")
        await files.keep_history(uri, run, b"\x00\xff")
        assert await files.history(uri, run) == b"\x00\xff"
        for other in (ArchivedRun("n2", "../w\0", "r"), ArchivedRun("ns", "w", "r"), ArchivedRun("ns", "../w\0", "s")):
            assert await files.history(uri, other) is None

    _run(tmp_path, work)
    assert len([name for _, _, names in os.walk(tmp_path) for name in names]) == 1


def test_records_come_last_closed_first_page_by_page(tmp_path: Path) -> None:
    """Across days and within one moment; a window and a filter narrow them, and tokens leave no gap."""

    async def work(files: FileProvider, uri: str) -> None:
        closed = [0, 5, 5, 5, DAY - 1, DAY, 3 * DAY]
        runs = [ArchivedRun("ns", f"w{number}", f"r{number}") for number in range(len(closed))]
        for run, time in zip(runs, closed, strict=True):
            await files.keep_record(uri, run, _info(run, time))
        await files.keep_record(uri, ArchivedRun("other", "w", "r"), _info(runs[0], 7))
        expected = sorted(zip(closed, [run.run_id for run in runs], strict=True), reverse=True)
        for size in (1, 2, 3, 10):
            found: list[tuple[int, str]] = []
            after = None
            while True:
                page = await files.records(uri, "ns", lambda _: True, EVER, size, after)
                found += [(_ns(info), info.execution.run_id) for info in page]
                if len(page) < size:
                    break
                after = found[-1]
            assert found == expected
        narrow = await files.records(uri, "ns", lambda info: info.execution.run_id != "r2", Window(5, DAY), 10, None)
        assert [info.execution.run_id for info in narrow] == ["r5", "r4", "r3", "r1"]
        assert narrow[0].memo.fields["m"].data == b"\x00\xff"

    _run(tmp_path, work)


def _ns(info: workflow.WorkflowExecutionInfo) -> int:
    return info.close_time.seconds * 10**9 + info.close_time.nanos


def test_only_folders_below_a_root_are_good(tmp_path: Path) -> None:
    """Neither another folder, nor a way out of the root by dots or links, nor anything but a plain file URI."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    root = f"file://{tmp_path}/in"
    files = FileProvider(lambda: (str(tmp_path / "in"), str(tmp_path / "file")))
    for good in (root, f"{root}/new/deep", f"{root}/a/../b", f"{root}/%20"):
        files.check(good)
    bad = [f"file://{tmp_path}/out", f"{root}/../out", f"{root}/%2e%2e/out", f"{root}/link", f"{root}/link/x"]
    bad += ["file://host/etc", "file:///etc", "file://", "file:relative", f"{root}?x=1", f"{root}#x", f"{root}/%00"]
    bad += ["s3://bucket", "http://localhost/x", "", "no uri", f"file://{tmp_path}/in2", f"file://{tmp_path}/file"]
    for uri in bad:
        with pytest.raises(BadUri):
            files.check(uri)
    with pytest.raises(BadUri):
        files.check(f"{root}/{'a' * 300}")
    with pytest.raises(BadUri):
        FileProvider(lambda: ()).check(root)
    with pytest.raises(BadUri, match="s3"):
        Providers({"file": files}).check("s3://bucket")


def test_a_link_planted_later_is_not_followed(tmp_path: Path) -> None:
    """A file that became a link is not read; a folder that became one is no folder of the archive any more."""

    async def work(files: FileProvider, uri: str) -> None:
        run = ArchivedRun("ns", "w", "r")
        await files.keep_history(uri, run, b"x")
        (path,) = (tmp_path / "archive").rglob("*.history")
        path.unlink()
        path.symlink_to("/etc/passwd")
        with pytest.raises(ArchiveError):
            await files.history(uri, run)
        (tmp_path / "archive").rename(tmp_path / "moved")
        (tmp_path / "archive").symlink_to("/etc")
        with pytest.raises(ArchiveError):
            await files.keep_history(uri, run, b"x")

    _run(tmp_path, work)


def test_what_cannot_be_written_is_an_archive_error(tmp_path: Path) -> None:
    """A file in the place of a folder: the run is tried again later."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "ns").write_text("in the way")

    async def work(files: FileProvider, uri: str) -> None:
        with pytest.raises(ArchiveError):
            await files.keep_record(uri, ArchivedRun("ns", "w", "r"), _info(ArchivedRun("ns", "w", "r"), 1))

    _run(tmp_path, work)
