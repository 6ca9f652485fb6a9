"""Dynamic configuration as a document: Temporal's map of key to a list of {value, constraints}.

It turns parsed YAML into `Constrained` values and says what is wrong with it; a document with a mistake in its
constraints is refused whole, so that a reload keeps the old values (server_inventory 6.4). Reading YAML needs the
`yaml` extra; watching the file belongs to whoever has a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perdure.config.values import Constrained, Constraints

_TASK_TYPES = {"workflow": 1, "activity": 2, "nexus": 3}
_IGNORED = frozenset({"namespaceid", "shardid", "historytasktype", "chasmtasktype"})
"""Constraints on things that this server has none of; a value so narrowed never applies."""


class BadDocument(ValueError):
    """The document cannot be used; the text says where."""


def read_dynamic_config(path: Path) -> dict[str, list[Constrained]]:
    """Read a YAML file. Raises OSError, BadDocument, or ImportError when PyYAML is not installed."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as wrong:
        raise BadDocument(f"{path.name}: {wrong}") from wrong
    return parse_dynamic_config(document)


def parse_dynamic_config(document: object) -> dict[str, list[Constrained]]:
    """Values by key as `DynamicConfig.replace` takes them; an empty document is no values."""
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise BadDocument("the document is not a map of keys")
    parsed: dict[str, list[Constrained]] = {}
    for key, entries in document.items():
        if not isinstance(entries, list):
            raise BadDocument(f"{key}: not a list of values")
        parsed[str(key)] = [found for entry in entries if (found := _entry(str(key), entry)) is not None]
    return parsed


def _entry(key: str, entry: object) -> Constrained | None:
    if not isinstance(entry, Mapping) or "value" not in entry:
        raise BadDocument(f"{key}: an entry without a value")
    constraints = entry.get("constraints") or {}
    if not isinstance(constraints, Mapping):
        raise BadDocument(f"{key}: constraints are not a map")
    namespace = task_queue = destination = ""
    task_type = 0
    for name, value in constraints.items():
        folded = str(name).lower()
        if folded == "namespace":
            namespace = _string(key, name, value)
        elif folded == "taskqueuename":
            task_queue = _string(key, name, value)
        elif folded == "destination":
            destination = _string(key, name, value)
        elif folded == "tasktype":
            task_type = _task_type(key, value)
        elif folded in _IGNORED:
            return None
        else:
            raise BadDocument(f"{key}: unknown constraint {name!r}")
    return Constrained(entry["value"], Constraints(namespace, task_queue, task_type, destination))


def _string(key: str, name: object, value: object) -> str:
    if not isinstance(value, str):
        raise BadDocument(f"{key}: constraint {name} is not a string")
    return value


def _task_type(key: str, value: object) -> int:
    if isinstance(value, str) and value.lower() in _TASK_TYPES:
        return _TASK_TYPES[value.lower()]
    if isinstance(value, int) and value in _TASK_TYPES.values():
        return value
    raise BadDocument(f"{key}: unknown task type {value!r}")
