"""Style is a test (docs/architecture.md): sizes, docstrings, names, and who may touch clocks, threads and protobuf.

It reads source text only and imports nothing of the package. Exceptions are named here, one by one, so that adding one
is a visible decision.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60

LONG_FILES: frozenset[str] = frozenset()
LONG_FUNCTIONS: frozenset[str] = frozenset({"perdure/machines/workflow/execution.py:__init__"})

BANNED_WORDS = frozenset({"manager", "helper", "helpers", "util", "utils", "impl", "base", "misc"})
NAMES_OF_THE_API = frozenset({"set_worker_deployment_manager", "SetWorkerDeploymentManager"})
"""Names that the protos chose."""

ADAPTERS = (
    "perdure/store/sqlite",
    "perdure/store/sql",
    "perdure/store/thread.py",
    "perdure/store/faulty.py",
    "perdure/clock.py",
    "perdure/ids.py",
    "perdure/app.py",
    "perdure/cli/",
    "perdure/testing/virtual_time.py",
    "perdure/transport/tls.py",
    "perdure/system/outgoing.py",
    "perdure/archival/files.py",
    "perdure/transport/http_json.py",  # large JSON is read and written in a thread
)
"""The places where the outside world comes in (or is simulated); nothing else reads clocks, draws randomness or starts
threads."""
OUTSIDE_WORLD = frozenset(
    {"time", "random", "secrets", "uuid", "threading", "concurrent", "multiprocessing", "subprocess"}
)
THREADED_CALLS = frozenset({"run_in_executor", "to_thread"})
"""`asyncio.sleep` is not among them: it waits on the loop's clock, which simulation replaces."""

OTHER_PROCESSES = ("tests/crash/", "tests/differential/", "tests/conformance/", "tests/service/", "tests/ui/")
"""Tests that watch another process start or die, which has no virtual time."""

VIRTUAL_TIME = (
    "tests/sim/",
    "tests/store/test_faulty.py",
    "tests/transport/test_client.py",
    "tests/transport/test_server_virtual.py",
)
"""Here every loop is a virtual one: to sleep is to schedule."""

CORE = ("perdure/engine/", "perdure/matching/", "perdure/frontend/", "perdure/cluster/", "perdure/machines/")
"""What runs in the simulation as it is: it must never become an adapter."""
OUTSIDE_CALLS = frozenset({"urandom", "utcnow", "today", "new_event_loop", "get_event_loop"})

PROTOBUF = frozenset({"google", "temporalio", "grpc"})
PURE = ("perdure/machines/", "perdure/visibility/query.py", "perdure/api/splice.py", "perdure/transport/http2.py")
OPEN_MARKS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATHS = re.compile(r"""["'`\s](/work|/home|/root|/tmp|/Users)(/|\b)""")


@cache
def _sources(*folders: str) -> tuple[str, ...]:
    found = [p for f in folders for p in (ROOT / f).rglob("*.py") if (ROOT / f).exists()]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts))


@cache
def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def _tree(path: str) -> ast.Module:
    return ast.parse(_text(path), path)


ALL = _sources("perdure", "tests", "bench", "examples")
PACKAGE = _sources("perdure")


def _functions(path: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}:{node.name}", node


def _imports(path: str) -> Iterator[tuple[str, int]]:
    """Top-level names of what a file imports; imports for type checkers only do not count."""
    skipped: set[int] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped.update(id(child) for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(_tree(path)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((name.name.split(".")[0], node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node.lineno


@pytest.mark.parametrize("path", ALL)
def test_file_is_short_and_says_why_it_exists(path: str) -> None:
    """Under 600 lines, with a docstring that opens the module."""
    lines = _text(path).count("\n")
    assert lines < FILE_LINES_MAX or path in LONG_FILES, f"{path} has {lines} lines"
    assert ast.get_docstring(_tree(path)), f"{path} has no docstring"


def test_functions_fit_on_a_screen() -> None:
    """Under 60 lines, signature and docstring included; tests too."""
    long = [
        f"{name} ({node.end_lineno - node.lineno + 1} lines)"
        for path in ALL
        for name, node in _functions(path)
        if node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
        and name not in LONG_FUNCTIONS
    ]
    assert long == []


def test_named_exceptions_are_still_needed() -> None:
    """An exception whose reason is gone is taken off the list."""
    too_long = {
        name
        for path in ALL
        for name, node in _functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    }
    assert too_long >= LONG_FUNCTIONS
    assert {path for path in ALL if _text(path).count("\n") >= FILE_LINES_MAX} >= LONG_FILES


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_nothing_has_a_name_that_says_nothing() -> None:
    """No manager, helper, util, impl, base or misc among modules, classes and functions."""
    named = [(path, part.removesuffix(".py")) for path in ALL for part in path.split("/")]
    for path in ALL:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                named.append((path, node.name))
    empty = {
        f"{path}: {name}"
        for path, name in named
        if _words(name) & BANNED_WORDS and name not in NAMES_OF_THE_API and not name.startswith("test_")
    }
    assert empty == set()


def test_only_adapters_touch_the_outside_world() -> None:
    """Clocks, randomness, threads and processes come in through named adapters (STYLE rule 1)."""
    found = []
    for path in PACKAGE:
        if path.startswith(ADAPTERS):
            continue
        found += [f"{path}:{line} imports {name}" for name, line in _imports(path) if name in OUTSIDE_WORLD]
        for node in ast.walk(_tree(path)):
            called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if isinstance(node, ast.Call) and (called in THREADED_CALLS or called in OUTSIDE_CALLS):
                found.append(f"{path}:{node.lineno} calls {called}")
    assert found == []


def test_the_core_is_no_adapter() -> None:
    """Engine, matching and frontend know time, ids and the store as ports only (DESIGN 1.12)."""
    assert [
        adapter for adapter in ADAPTERS for core in CORE if core.startswith(adapter) or adapter.startswith(core)
    ] == []
    assert all(any(path.startswith(core) for path in PACKAGE) for core in CORE), "a folder of the core has moved"


def test_tests_do_not_sleep() -> None:
    """Time in tests is virtual, or an event is awaited."""
    found = []
    for path in _sources("tests"):
        for node in ast.walk(_tree(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "sleep":
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id in ("time", "asyncio"):
                argument = node.args[0] if node.args else None
                if not (isinstance(argument, ast.Constant) and argument.value == 0):
                    found.append(f"{path}:{node.lineno}")
    assert [place for place in found if not place.startswith((*OTHER_PROCESSES, *VIRTUAL_TIME))] == []


def test_protobuf_is_known_to_the_api_only() -> None:
    """Messages of two descriptor pools do not mix, so one package owns them; bytes cross everywhere else."""
    found = [
        f"{path}:{line} imports {name}"
        for path in PACKAGE
        if not path.startswith("perdure/api/")
        for name, line in _imports(path)
        if name in PROTOBUF
    ]
    assert found == []


def test_pure_modules_await_nothing() -> None:
    """Machines and other pure modules are synchronous, so that they compile and are tested without a loop."""
    found = [
        f"{path}:{node.lineno}"
        for path in PACKAGE
        if path.startswith(PURE)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    assert found == []


def test_no_bare_except_and_no_open_marks() -> None:
    """Errors are caught by type; open ends live in the issue list, not in comments."""
    found = []
    for path in ALL:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                found.append(f"{path}:{node.lineno} bare except")
        if OPEN_MARKS.search(_text(path)):
            found.append(f"{path} has an open mark")
    assert found == []


def test_no_file_names_a_place_on_one_machine() -> None:
    """Absolute paths of somebody's machine mean nothing elsewhere."""
    own = Path(__file__).relative_to(ROOT).as_posix()
    assert [path for path in ALL if path != own and MACHINE_PATHS.search(_text(path))] == []


def test_map_of_the_largest_folder_is_whole() -> None:
    """`machines/workflow` says in its docstring where what is: each module once, and none that is gone."""
    folder = ROOT / "perdure/machines/workflow"
    named = re.findall(r"`(\w+)`", _text("perdure/machines/workflow/__init__.py"))
    there = [path.stem for path in folder.iterdir() if path.suffix == ".py" or path.name == "commands"]
    assert sorted(named) == sorted(name for name in there if name != "__init__")
