"""Documents point at what is there: links, tests that prove a guarantee, targets of make, commands.

Text against the tree of files; whether a sentence is true is for readers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
README_LINES_MAX: Final = 60
"""One screen and a half of a terminal; what is longer belongs into docs/."""
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_exist(page: Path) -> None:
    """Relative links, and paths of the repository between backticks; the name of a test alone is found anywhere."""
    text = page.read_text(encoding="utf-8")
    dead = [
        target
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
        if "://" not in target and not (page.parent / target).exists()
    ]
    for name in re.findall(r"`((?:docs|tests|examples|bench|perdure)/[\w./-]+)`", text):
        if not (ROOT / name).exists() and not (ROOT / "perdure" / name).exists():
            dead.append(name)
    tests = {path.name for path in (ROOT / "tests").rglob("*.py")}
    dead += [name for name in re.findall(r"`(test_\w+\.py)`", text) if name not in tests]
    assert dead == []


def test_each_guarantee_names_its_proof() -> None:
    """Every row of the table names a test by its whole path."""
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (ROOT / "docs" / "guarantees.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    for number, proof in rows:
        named = re.findall(r"`([^`]+)`", proof)
        assert named, f"guarantee {number} has no proof"
        assert [name for name in named if not name.startswith("tests/") or not (ROOT / name).exists()] == []


def test_readme_is_short_and_its_commands_exist() -> None:
    """`make` targets of the README and of docs/ are in the Makefile."""
    assert (ROOT / "README.md").read_text().count("\n") <= README_LINES_MAX
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in DOCUMENTS:
        named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", page.read_text(), re.MULTILINE))
        assert {one or other for one, other in named} <= targets, page


def test_architecture_names_every_package() -> None:
    """A package that nobody finds in docs/architecture.md has no reason to be."""
    table = [line for line in ARCHITECTURE.read_text().splitlines() if line.startswith("| ")]
    listed = {name for line in table for name in re.findall(r"`(\w+)/`", line.split("|")[1])}
    assert listed == {path.parent.name for path in (ROOT / "perdure").glob("*/__init__.py")}
