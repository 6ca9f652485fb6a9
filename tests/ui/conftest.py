"""Perdure, a worker, the Web UI's server and a browser, each started once for all pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.service.processes import ServerProcess, free_port

from .pages import Site
from .programs import chromium, missing, ui_server

START_S = 30.0
FLAGS = (
    *("--search-attribute", "City=Keyword", "--search-attribute", "Amount=Int", "--namespace", "second"),
    *("--dynamic-config-value", "frontend.WorkflowPauseEnabled=true"),
)
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def archival(folder: Path) -> list[str]:
    """The flags that let namespaces keep what they delete in files below a folder."""
    settings = (
        'system.historyArchivalState="enabled"',
        'system.visibilityArchivalState="enabled"',
        f'perdure.archivalFileRoots=["{folder}"]',
        'system.namespaceMinRetentionLocal="1s"',
    )
    return [part for setting in settings for part in ("--dynamic-config-value", setting)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why, when the pages cannot be looked at."""
    reason = missing()
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def running(command: list[str], log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session, killed at the end. What it says goes to the log: nobody reads a pipe."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_answer(url: str) -> None:
    """Until somebody answers there."""
    end = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def await_line(process: subprocess.Popen[bytes], line: str, log: Path) -> None:
    """Until it has printed a line."""
    end = time.monotonic() + START_S
    while line not in log.read_text(errors="replace").splitlines():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("it is not ready: " + log.read_text(errors="replace")[-2000:])
        time.sleep(0.05)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Perdure with a worker and workflows in every state."""
    folder = tmp_path_factory.mktemp("ui")
    archive = folder / "archive"
    archive.mkdir()
    with ServerProcess(folder / "server.log", None, (*FLAGS, *archival(archive))) as perdure:
        world = [sys.executable, "-m", "tests.ui.world", f"127.0.0.1:{perdure.port}", str(archive)]
        log = folder / "world.log"
        with running(world, log, Path(__file__).parents[2]) as worker:
            await_line(worker, "ready", log)
            yield perdure


@pytest.fixture(scope="session")
def ui_port(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The Web UI's own server, attached to Perdure's gRPC port."""
    folder = tmp_path_factory.mktemp("ui-server")
    port = free_port()
    (folder / "development.yaml").write_text(
        f"temporalGrpcAddress: 127.0.0.1:{server.port}\nhost: 127.0.0.1\nport: {port}\nenableUi: true\n"
        "disableNewsFetch: true\ncors:\n  cookieInsecure: true\n"
    )
    program = ui_server()
    assert program is not None, "the tests are skipped without it"
    command = [program, "--root", str(folder), "--config", ".", "--env", "development", "start"]
    with running(command, folder / "log"):
        await_answer(f"http://127.0.0.1:{port}/healthz")
        yield port


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield chrome
        chrome.close()


@pytest.fixture
def site(browser: Browser, ui_port: int, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A fresh page of the Web UI. Any answer that is an error fails its test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, timezone_id="UTC")
    site = Site(context.new_page(), f"http://127.0.0.1:{ui_port}")
    yield site
    site.shoot(request.node.name)
    context.close()
    assert site.errors == []
