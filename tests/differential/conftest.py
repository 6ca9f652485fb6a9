"""Servers and runs of the session: each server started once, each scenario run as soon as a thread is free."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from .runner import Run, by_settings, collect, run, settings
from .servers import EVICTING, PERDURE, REAL, MissingProgram, Program, Server
from .wire import Connection

PARALLEL = 12
"""Scenarios under way on one server; they mostly wait. More would distort short timeouts on two cores."""

compared_fields: dict[str, int] = {}
"""Number of equal field values by scenario, for the summary at the end of the session."""


repeated: list[str] = []
"""Scenarios that differed in the crowd and ran again alone, for the summary: too many are a sign of trouble."""


class Arena:
    """Runs scenarios on one server, the ones the session selected all at once."""

    def __init__(self, connection: Connection, names: list[str]) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(PARALLEL)
        self._runs = {name: self._submit(name) for name in names}

    def _submit(self, name: str) -> Future[Run]:
        return self._pool.submit(run, collect()[name], name, self._connection)

    def result(self, name: str) -> Run:
        """The run of a scenario, once it is over."""
        return self._runs[name].result()

    def finish(self) -> None:
        """Wait until every scenario is over."""
        wait(self._runs.values())

    def again(self, name: str) -> Run:
        """Run a scenario once more."""
        return run(collect()[name], name, self._connection)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Arenas:
    """An arena for each set of settings that the selected scenarios ask for."""

    def __init__(self, arenas: dict[tuple[str, ...], Arena]) -> None:
        self._arenas = arenas

    def result(self, name: str) -> Run:
        """The run of a scenario, once it is over."""
        return self._arenas[settings(name)].result(name)

    def alone(self, name: str) -> Run:
        """Run a scenario again when all others of these arenas are over."""
        for arena in self._arenas.values():
            arena.finish()
        return self._arenas[settings(name)].again(name)


def selected(request: pytest.FixtureRequest) -> list[str]:
    """Names of the scenarios that this session's selected tests run on the fixture's server, each once."""
    names: dict[str, None] = {}
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        uses = request.fixturename in getattr(item, "fixturenames", ())
        if uses and callspec is not None and "scenario" in callspec.params:
            names[callspec.params["scenario"]] = None
    return list(names)


def served(program: Program, request: pytest.FixtureRequest, folder: Path, second: bool = False) -> Iterator[Arenas]:
    """Arenas on servers of their own. A missing program fails the tests: it is a dependency."""
    arenas: dict[tuple[str, ...], Arena] = {}
    with ExitStack() as stack:
        for number, (wanted, names) in enumerate(by_settings(selected(request)).items()):
            try:
                server = Server(program, folder / f"{program.name}-{number}{'-again' * second}.log", wanted)
            except MissingProgram as missing:
                pytest.fail(str(missing), pytrace=False)
            connection = Connection(stack.enter_context(server).target)
            stack.callback(connection.close)
            arenas[wanted] = Arena(connection, names)
            stack.callback(arenas[wanted].close)
        yield Arenas(arenas)


@pytest.fixture(scope="session")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """The real Temporal dev server."""
    yield from served(REAL, request, tmp_path_factory.mktemp("differential"))


@pytest.fixture(scope="session")
def real_again(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """A second real server, for the harness's test of itself."""
    yield from served(REAL, request, tmp_path_factory.mktemp("differential"), second=True)


@pytest.fixture(scope="session")
def perdure(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """Perdure."""
    yield from served(PERDURE, request, tmp_path_factory.mktemp("differential"))


@pytest.fixture(scope="session")
def evicting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    """Perdure without a memory."""
    yield from served(EVICTING, request, tmp_path_factory.mktemp("differential"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how much was compared."""
    if compared_fields:
        total = sum(compared_fields.values())
        terminalreporter.write_line(f"differential: {total} fields compared in {len(compared_fields)} scenarios")
    if repeated:
        terminalreporter.write_line(f"differential: differed under load, so ran again alone: {', '.join(repeated)}")
