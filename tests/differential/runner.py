"""Collects the scenarios and runs them, many at a time, against a server.

Scenarios wait much and compute little, so a pool of threads runs them side by side on both servers. They share nothing
but the servers: each has workflow ids and task queues of its own.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from . import scenarios
from .script import Script, Stopped
from .wire import Connection

Scenario = Callable[[Script], None]


@dataclass(frozen=True)
class Run:
    """What one scenario saw on one server."""

    name: str
    lines: tuple[str, ...]

    @property
    def fields(self) -> int:
        """Number of field values in the transcript; headings do not count."""
        return sum(1 for line in self.lines if ": " in line)


def collect() -> dict[str, Scenario]:
    """All scenarios by name, "file.function", in the order of files and of functions in them."""
    found: dict[str, Scenario] = {}
    for module_info in sorted(pkgutil.iter_modules(scenarios.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{scenarios.__name__}.{module_info.name}")
        for name, value in vars(module).items():
            if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_"):
                found[f"{module_info.name}.{name}"] = value
    return found


def settings(name: str) -> tuple[str, ...]:
    """The dynamic configuration that a scenario's file asks for beside what all servers get: its `SETTINGS`."""
    module = importlib.import_module(f"{scenarios.__name__}.{name.partition('.')[0]}")
    found: tuple[str, ...] = getattr(module, "SETTINGS", ())
    return found


def by_settings(names: list[str]) -> dict[tuple[str, ...], list[str]]:
    """The scenarios that can share a server, by what that server is set to."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        groups.setdefault(settings(name), []).append(name)
    return groups


def run(scenario: Scenario, name: str, connection: Connection) -> Run:
    """Run one scenario. An exception is a mistake in the scenario, and is raised."""
    script = Script(connection, name)
    with contextlib.suppress(Stopped):
        scenario(script)
    return Run(name, tuple(script.transcript))


def differences(expected: Run, got: Run, expected_name: str, got_name: str) -> str:
    """A unified diff of two transcripts, empty when they are the same."""
    return "\n".join(difflib.unified_diff(expected.lines, got.lines, expected_name, got_name, lineterm="", n=12))
