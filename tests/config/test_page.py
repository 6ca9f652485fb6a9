"""docs/configuration.md and the list of keys without effect say what the code does (they cannot go stale)."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from perdure.cli.start_dev import FLAGS
from perdure.config import dynamic
from perdure.config import values as conversions
from perdure.config.values import Setting
from perdure.config.without_effect import WITHOUT_EFFECT

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "configuration.md"
KINDS: Final[dict[Callable[[object], Any], str]] = {
    conversions.to_int: "int",
    conversions.to_float: "number",
    conversions.to_bool: "bool",
    conversions.to_str: "text",
    conversions.to_strings: "list of text",
    conversions.to_duration_ns: "duration",
    conversions.to_retry_settings: "map",
    conversions.to_allowed_addresses: "list of maps",
}
UNITS: Final = (("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9), ("ms", 10**6))


@cache
def names_read() -> frozenset[str]:
    """Every name that stands in the code outside the table of settings."""
    found: set[str] = set()
    for path in (ROOT / "perdure").rglob("*.py"):
        if path != Path(dynamic.__file__):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Name):
                    found.add(node.id)
    return frozenset(found)


def with_effect() -> list[Setting[Any]]:
    """The settings that something reads, in the order of the table."""
    settings = {name: value for name, value in vars(dynamic).items() if isinstance(value, Setting)}
    return [setting for name, setting in settings.items() if name in names_read()]


def kind_of(setting: Setting[Any]) -> str:
    """What a value of it must be."""
    return KINDS[setting.convert]


def default_of(setting: Setting[Any]) -> str:
    """Its default, as one would write it in a flag; an empty list is a dash."""
    value = setting.default
    if kind_of(setting) == "duration":
        unit, size = next((one for one in UNITS if value % one[1] == 0 and value), ("s", 10**9))
        return f"{value // size}{unit}"
    if isinstance(value, bool):
        return str(value).lower()
    if kind_of(setting) == "map":
        return "1 s, ×2, no limit"
    if isinstance(value, tuple):
        return ", ".join(value) or "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_page_lists_every_setting_that_has_an_effect() -> None:
    """Key, type and default; what it does is for readers to judge, but is there."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): row[1:3] for row in rows if not row[0].startswith("`-")}
    assert listed == {setting.key: [kind_of(setting), default_of(setting)] for setting in with_effect()}
    assert all(len(row) == 4 and row[3] for row in rows if not row[0].startswith("`-"))


def test_keys_that_nothing_reads_are_known_as_such() -> None:
    """Whoever builds what a key switches takes it off the list and gives it a row on the page."""
    idle = {setting.folded for setting in dynamic.SETTINGS.values()} - {setting.folded for setting in with_effect()}
    assert idle == WITHOUT_EFFECT


def test_the_page_names_every_flag() -> None:
    """And no flag that is not there."""
    told = set(re.findall(r"^\| .*?`--([a-z-]+)", PAGE.read_text(), re.MULTILINE))
    assert told == {flag.name for flag in FLAGS} | {"log-level", "log-format"}
