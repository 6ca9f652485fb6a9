"""How a value of dynamic configuration is typed, converted and constrained (server_inventory 6.4).

Values arrive as JSON or YAML; every conversion is strict where the reference is (an int is never made of a float), so
that a mistake shows as a warning and the default stays. No file is read here and no key is named here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

from perdure.clock import SECOND

T = TypeVar("T")

_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 24 * 3600 * SECOND,
}
_TERM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)")
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Scope(Enum):
    """What a setting may be narrowed to; the order of precedence belongs to the scope."""

    GLOBAL = "global"
    NAMESPACE = "namespace"
    TASK_QUEUE = "task queue"
    DESTINATION = "destination"


class Constraints(NamedTuple):
    """What one value is meant for; the empty one is meant for everything."""

    namespace: str = ""
    task_queue: str = ""
    task_type: int = 0
    destination: str = ""


class Constrained(NamedTuple):
    """A raw value with its constraints, as a file or the command line gave it."""

    value: object
    constraints: Constraints = Constraints()


class Setting(Generic[T]):
    """One key: its type, default and scope. Keys compare without regard to case."""

    __slots__ = ("convert", "default", "folded", "key", "scope")

    def __init__(self, key: str, convert: Callable[[object], T], default: T, scope: Scope) -> None:
        self.key = key
        self.folded = key.lower()
        self.convert = convert
        self.default = default
        self.scope = scope

    def __repr__(self) -> str:
        return f"Setting({self.key!r})"


class RetrySettings(NamedTuple):
    """What fills the unset fields of a retry policy (semantics 2.1 item 3)."""

    initial_interval_ns: int = SECOND
    maximum_interval_coefficient: float = 100.0
    backoff_coefficient: float = 2.0
    maximum_attempts: int = 0


class AllowedAddress(NamedTuple):
    """A host pattern that completion callbacks may go to (`*` stands for any run of characters)."""

    pattern: str
    allow_insecure: bool


def to_int(value: object) -> int:
    """An int and nothing else; ValueError for floats, bools and strings."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("value type is not int")


def to_float(value: object) -> float:
    """A float or an int."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("value type is not float64")


def to_bool(value: object) -> bool:
    """A bool, or one of the words that Go reads as one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _TRUE:
        return True
    if isinstance(value, str) and value in _FALSE:
        return False
    raise ValueError("value type is not bool")


def to_str(value: object) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise ValueError("value type is not string")


def to_duration_ns(value: object) -> int:
    """Nanoseconds of a Go-style duration ("1m30s", also days); a bare number, quoted or not, means seconds."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * SECOND)
    raise ValueError("value not convertible to Duration")


def parse_duration(text: str) -> int:
    """Nanoseconds of "1h30m", "1.5s", "-2d", "250ms", "0"; a number without unit counts seconds. ValueError else."""
    if _NUMBER.fullmatch(text):
        return round(float(text) * SECOND)
    sign = -1 if text.startswith("-") else 1
    rest = text.removeprefix("-").removeprefix("+")
    total = 0.0
    whole = 0
    position = 0
    while position < len(rest):
        term = _TERM.match(rest, position)
        if term is None:
            break
        number, unit = term.groups()
        if "." in number:
            total += float(number) * _UNITS_NS[unit]
        else:
            whole += int(number) * _UNITS_NS[unit]
        position = term.end()
    if not rest or position < len(rest):
        raise ValueError(f"invalid duration {text!r}")
    return sign * (whole + round(total))


def to_retry_settings(value: object) -> RetrySettings:
    """A map of the four fields under their Go names, any subset; the rest keeps its default."""
    fields = {str(key).lower(): item for key, item in _mapping(value).items()}
    default = RetrySettings()
    initial_s = fields.get("initialintervalinseconds")
    return RetrySettings(
        default.initial_interval_ns if initial_s is None else to_int(initial_s) * SECOND,
        to_float(fields.get("maximumintervalcoefficient", default.maximum_interval_coefficient)),
        to_float(fields.get("backoffcoefficient", default.backoff_coefficient)),
        to_int(fields.get("maximumattempts", default.maximum_attempts)),
    )


def to_allowed_addresses(value: object) -> tuple[AllowedAddress, ...]:
    """A list of {Pattern, AllowInsecure}."""
    if not isinstance(value, list):
        raise ValueError("value type is not list")
    addresses = []
    for item in value:
        fields = {str(key).lower(): field for key, field in _mapping(item).items()}
        if not fields.get("pattern"):
            # Matches nothing; the reference skips it.
            continue
        addresses.append(AllowedAddress(to_str(fields["pattern"]), to_bool(fields.get("allowinsecure", False))))
    return tuple(addresses)


def to_strings(value: object) -> tuple[str, ...]:
    """A list of strings, or one string alone."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(to_str(item) for item in value)
    raise ValueError("value type is not a list of strings")


def _mapping(value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise ValueError("value type is not map")
    return value
